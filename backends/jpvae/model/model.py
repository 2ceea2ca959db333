"""The model as data: sizes, prior, likelihoods, and the ONE layout of its parameters that every engine uses.

encoder.<i>.<k>.weight (in, out), encoder.<i>.<k>.bias (out,)      the last layer gives n_i means and n_i log-variances
decoder.<i>.<k>.weight, decoder.<i>.<k>.bias                       the last layer gives the likelihood's c_i outputs
encoder.<i>.linear.weight, decoder.<i>.linear.weight               what goes past the hidden layers, added to the last one
likelihood.<i>.<name>                                              a likelihood's own parameters
predictive.<i>.<name>                                              no engine's: what calibration adds (inference/predictive.py)
prior.<name>                                                       the joint prior's own parameters (priors.py)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

import jpvae_core as jc
from jpvae_core import vjp

from ..errors import ConfigError
from ..views.columns import tuples
from .likelihoods import Likelihood, Marginal, Spec, likelihood
from .posterior import COORDINATES, POSTERIORS, Coordinates
from .prior import Bound, Prior
from .priors import prior_of


@dataclass(frozen=True)
class Model:
    """Everything that fixes a JPVAE but its parameters' values; plain numbers and strings, so it goes into a file's header.

    features: each view's model columns; likelihood_names: as likelihoods/ names them; hidden: sizes of the encoders' layers, of
    all views or of each; entries: "error", or "marginalise" where single cells may be missing; own_networks: the parts,
    "encoder.0" say, that are no dense layers but the user's own; linear_skip: whether encoders and decoders with hidden layers
    are those plus a linear map; coordinates: of the fused posterior's variances, as ``jpvae_core.fuse`` has them; reads_within:
    how far from 0 encoders read measurements, which are standardised; None: however far.
    """

    # Fields that the files of earlier releases lack, as their models had them.
    ADDED: ClassVar[dict[str, Any]] = {
        "own_networks": (),
        "posterior": "factorised",
        "cell_bits": False,
        "linear_skip": False,
        "coordinates": "latent",
        "reads_within": None,
    }

    features: tuple[int, ...]
    latent_dims: tuple[int, ...]
    likelihood_names: tuple[Spec, ...]
    hidden: tuple[int, ...] | tuple[tuple[int, ...], ...] = (512, 512)
    prior: str = "orthogonal"
    alpha: float = 0.95
    learn_alpha: bool = False
    bound: Bound = "sigmoid"
    rank: int | None = None
    entries: str = "error"
    own_networks: tuple[str, ...] = ()
    posterior: str = "factorised"
    cell_bits: bool = False  # where cells may be missing, whether the encoders read which
    linear_skip: bool = False
    coordinates: Coordinates = "latent"
    reads_within: float | None = None

    def __post_init__(self) -> None:
        M, dims = len(self.features), self.latent_dims
        if len(dims) != M or min(dims, default=0) < 1:
            raise ConfigError(f"latent_dims is {dims}; expected one positive size, or one per view ({M} views)")
        limit = self.reads_within
        if not (limit is None or (isinstance(limit, float) and 0 < limit < math.inf)):
            raise ConfigError(f"reads_within is {limit!r}; expected None or a positive number of standard deviations")
        if len(self.likelihood_names) != M:
            raise ConfigError(
                f"likelihood names {len(self.likelihood_names)} views; expected one name, or one per view ({M} views)"
            )
        if self._each_has_layers and len(self.hidden) != M:
            raise ConfigError(f"hidden is {self.hidden}; expected layer sizes for all views, or for each of the {M} views")
        if not all(0 < size <= _WIDEST for i in range(M) for size in self.hidden_layers(i)):
            raise ConfigError(f"hidden is {self.hidden}; expected positive layer sizes, at most {_WIDEST:,}")
        parts = [f"{part}.{i}" for i in range(M) for part in ("encoder", "decoder")]
        if self.own_networks != tuple(part for part in parts if part in self.own_networks):
            raise ConfigError(f"own_networks is {self.own_networks!r}; expected a tuple of some of {parts}, in this order")
        if max(dims) > _MOST_LATENTS:
            raise ConfigError(f"latent_dims is {dims}; expected at most {_MOST_LATENTS:,} per view")
        if self.posterior not in POSTERIORS:
            raise ConfigError(f"posterior is {self.posterior!r}; expected one of {list(POSTERIORS)}")
        if self.coordinates not in COORDINATES:
            raise ConfigError(f"coordinates is {self.coordinates!r}; expected one of {list(COORDINATES)}")
        _ = self.joint  # checks the prior's own options
        if self.entries not in ("error", "marginalise"):
            raise ConfigError(
                f"entries is {self.entries!r}; expected 'error' (on a NaN cell) or 'marginalise' (it is left out, and imputed)"
            )
        for spec, c in zip(self.likelihood_names, self.features, strict=True):
            if likelihood(spec).width not in (None, c):
                raise ConfigError(f"likelihood_names has {spec}; expected parts of {c} columns together")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Model:
        """From the JSON form of ``dataclasses.asdict``. Raises KeyError, TypeError or ConfigError for any other."""
        given = {**cls.ADDED, **value}
        for name, kind in _KINDS.items():
            if type(given[name]) is not kind or (kind is list and not {*map(type, given[name])} <= {int}):
                raise TypeError(f"{name} is of {type(given[name]).__name__}; expected {kind.__name__}")
        return cls(**{f.name: tuples(given[f.name]) for f in fields(cls)})

    @property
    def views(self) -> int:
        """M, the number of views."""
        return len(self.features)

    @cached_property
    def likelihoods(self) -> tuple[Likelihood, ...]:
        """One likelihood per view."""
        made = tuple(likelihood(name) for name in self.likelihood_names)
        return tuple(Marginal(one, bits=self.cell_bits) for one in made) if self.entries == "marginalise" else made

    @property
    def widths_and_likelihoods(self) -> tuple[tuple[int, Spec], ...]:
        """What each view's columns must come to."""
        return tuple(zip(self.features, self.likelihood_names, strict=True))

    @cached_property
    def joint(self) -> Prior:
        """The joint prior's options. Raises ConfigError where they do not go together."""
        options = {"alpha": self.alpha, "learn_alpha": self.learn_alpha, "bound": self.bound, "rank": self.rank}
        return prior_of(self.prior, self.latent_dims, rotations=not self.in_frames, **options)

    @property
    def in_frames(self) -> bool:
        """Whether the posterior's variances are diagonal in the coordinates of the prior's frames."""
        return self.posterior == "fused" and self.coordinates == "frame"

    @property
    def directions(self) -> int:
        """d, the number of coupled directions."""
        return self.joint.directions

    @property
    def noise_dim(self) -> int:
        """Standard normals per row that completing the latents takes (JointPrior.noise_dim)."""
        return self.joint.noise_dim

    @property
    def posterior_noise_dim(self) -> int:
        """Standard normals per row that a draw of the posterior takes in training (``jpvae_core.Fused.noise_dim``)."""
        latents = sum(self.latent_dims)
        if self.posterior != "fused":
            return latents
        sources = 1 if self.in_frames and self.joint.couples else 1 + self.views
        return latents + sources * self.joint.source_dim

    @property
    def coupling_parameters(self) -> tuple[str, ...]:
        """The raw parameters that move at ``coupling_rate`` times the learning rate."""
        return self.joint.coupling_parameters

    @property
    def _each_has_layers(self) -> bool:
        return any(isinstance(sizes, tuple) for sizes in self.hidden)

    def hidden_layers(self, view: int) -> tuple[int, ...]:
        """Sizes of a view's encoder's hidden layers; its decoder's mirror them."""
        sizes: Any = self.hidden[view] if self._each_has_layers else self.hidden
        return tuple(sizes)

    def is_own(self, name: str) -> bool:
        """Whether a part, or what a parameter's name says that it is of, is a network of the user's own."""
        return ".".join(name.split(".")[:2]) in self.own_networks

    def decay(self, name: str, ndim: int) -> float:
        """By how much weight decay moves a parameter: 1 for a matrix of a network, 0 for a bias, the prior and likelihoods.

        Hidden layers beside a linear path decay faster: what the linear path can explain is left to it.
        """
        if not name.startswith(("encoder.", "decoder.")) or ndim < 2:
            return 0.0
        part, view, layer = name.split(".")[:3]
        beside = layer != "linear" and not self.is_own(name) and self.linear_path(part, int(view)) is not None
        return _HIDDEN_DECAY if beside else 1.0

    def read(self, view: int, inputs: np.ndarray) -> np.ndarray:
        """What a view's encoder reads of prepared rows (R, c): measurements no further from 0 than ``reads_within``.

        Of a cell many standard deviations from the mean a linear map would make predictions as far away.
        """
        limited = self.limited(view)
        if not limited.size:
            return inputs
        limits = np.full(inputs.shape[1], np.inf, inputs.dtype)
        limits[limited] = self.reads_within
        return np.asarray(np.clip(inputs, -limits, limits))

    def limited(self, view: int) -> np.ndarray:
        """The columns of which a view's encoder reads no more than ``reads_within``: its measurements, or none."""
        if self.reads_within is None or self.is_own(f"encoder.{view}"):
            return np.empty(0, np.intp)
        measured = self.likelihoods[view].normal_noise(self.features[view]).values()
        return np.concatenate([np.empty(0, np.intp), *measured])

    def linear_path(self, part: str, view: int) -> tuple[int, int] | None:
        """(in, out) of the linear map beside a view's hidden layers in its "encoder" or "decoder"; None where there is none."""
        layers = self.layers(part, view)
        return (layers[0][0], layers[-1][1]) if self.linear_skip and len(layers) > 1 else None

    def depth(self, view: int) -> int:
        """How many dense layers a view's encoder has, and its decoder."""
        return len(self.hidden_layers(view)) + 1

    def layers(self, part: str, view: int) -> list[tuple[int, int]]:
        """(in, out) of each dense layer of a view's "encoder" or "decoder"; none of a network of the user's own."""
        if self.is_own(f"{part}.{view}"):
            return []
        n, c, hidden = self.latent_dims[view], self.features[view], self.hidden_layers(view)
        read = 2 * c if self.cell_bits else c
        sizes = (read, *hidden, 2 * n) if part == "encoder" else (n, *reversed(hidden), c)
        return list(pairwise(sizes))

    @property
    def weights(self) -> int:
        """How many the dense layers have."""
        return sum(n * m for i in range(self.views) for part in ("encoder", "decoder") for n, m in self.layers(part, i))

    def threads(self, rows: int) -> int:
        """How many threads the products of so many rows are worth: on cores that others use too, each product waits for the
        slowest of them, and a small one waits longer than it computes (docs/performance.md)."""
        return max(1, rows * self.weights // _WORK_OF_A_THREAD)

    def named_layers(self, part: str, view: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """``layers`` by the names that their matrices have, one by one, the linear path last."""
        for k, shape in enumerate(self.layers(part, view)):
            yield str(k), shape
        if (path := self.linear_path(part, view)) is not None:
            yield "linear", path

    def initial_parameters(
        self, seed: int, scaling: Sequence[tuple[np.ndarray, np.ndarray]] | None = None
    ) -> dict[str, np.ndarray]:
        """All parameters but those of the user's own networks.

        LeCun-normal weights (truncated at two standard deviations), zero biases, skew entries uniform in [0, 0.01). Beside a
        linear path the last of the hidden layers' matrices is 0: training starts from the linear model.

        scaling: the views' locations and scales, from which a likelihood may have its decoder's last bias start elsewhere.
        One generator per array, keyed by seed and position: float64, the same for every engine.
        """
        arrays: dict[str, np.ndarray] = {}
        streams = iter(np.random.SeedSequence(seed).spawn(8 * sum(map(self.depth, range(self.views))) + 8 * self.views + 8))

        def weight(fan_in: int, fan_out: int) -> np.ndarray:
            rng = np.random.default_rng(next(streams))
            values = rng.standard_normal((fan_in, fan_out))
            while (tail := np.abs(values) > 2.0).any():
                values[tail] = rng.standard_normal(int(tail.sum()))
            return values / (_TRUNCATED_STD * math.sqrt(fan_in))

        for i in range(self.views):
            for part in ("encoder", "decoder"):
                if self.is_own(f"{part}.{i}"):  # all else starts as it would without it
                    _ = [next(streams) for _ in range(self.depth(i))]
                for k, (fan_in, fan_out) in enumerate(self.layers(part, i)):
                    arrays[f"{part}.{i}.{k}.weight"] = weight(fan_in, fan_out)
                    arrays[f"{part}.{i}.{k}.bias"] = np.zeros(fan_out)
                if (path := self.linear_path(part, i)) is not None:
                    arrays[f"{part}.{i}.{self.depth(i) - 1}.weight"][...] = 0.0
                    arrays[f"{part}.{i}.linear.weight"] = weight(*path)
            if scaling is not None and not self.is_own(f"decoder.{i}"):
                arrays[f"decoder.{i}.{self.depth(i) - 1}.bias"] = self.likelihoods[i].initial_outputs(*scaling[i])
            for name, value in _own_parameters(self.likelihoods[i], self.features[i]).items():
                arrays[f"likelihood.{i}.{name}"] = value

        def skew_entries(n: int) -> np.ndarray:
            return np.random.default_rng(next(streams)).uniform(0.0, 0.01, n * (n - 1) // 2)

        return arrays | self.joint.initial_parameters(skew_entries)

    def joint_prior(self, p: Mapping[str, Any]) -> jc.JointPrior:
        """The joint prior from the raw parameters (arrays of any library, leading batch axes allowed)."""
        return self.joint.joint_prior(p)

    def joint_prior_vjp(self, p: Mapping[str, Any], prior: jc.JointPrior, cotangent: vjp.PriorCotangent) -> dict[str, Any]:
        """The cotangents of the raw parameters from that of ``prior = joint_prior(p)`` (priors.py)."""
        return self.joint.joint_prior_vjp(p, prior, cotangent)

    def log_variances(self, xp: Any, raw: Any) -> Any:
        """The posterior's log-variances from what an encoder gives: as they are, or for the fused posterior at most 0.

        There a view's evidence is q_i / N(0, 1), which has a precision of 1/sigma^2 - 1 >= 0: -softplus keeps it so.
        """
        return -xp.logaddexp(xp.zeros_like(raw), raw) if self.posterior == "fused" else raw

    def own_parameters(self, p: Mapping[str, Any], view: int) -> dict[str, Any]:
        """A view's likelihood parameters, by their short names."""
        head = f"likelihood.{view}."
        return {name.removeprefix(head): value for name, value in p.items() if name.startswith(head)}


_KINDS = {"learn_alpha": bool, "cell_bits": bool, "linear_skip": bool, "features": list, "latent_dims": list}  # in a file
_WORK_OF_A_THREAD = 2**29  # rows times weights
_WIDEST, _MOST_LATENTS = 2**24, 2**16
_HIDDEN_DECAY = 4.0  # docs/experiments.md
_TRUNCATED_STD = 0.8796256610342398  # the standard deviation of a standard normal truncated at +-2


def _own_parameters(family: Likelihood, features: int) -> Mapping[str, np.ndarray]:
    """A likelihood's own parameters. Raises ConfigError where a file could not keep them."""
    found, columns = family.parameters(features), family.own_columns(features)
    for name, x in found.items():
        shape = np.shape(columns[name]) if name in columns else np.shape(x)
        plain = isinstance(x, np.ndarray) and x.dtype.kind in "fiu" and x.shape == shape and np.isfinite(x).all()
        if not plain:
            raise ConfigError(
                f"likelihood {type(family).__name__} gives its parameter {name!r} as {x!r:.80}; expected a NumPy array of "
                f"finite numbers of shape {shape}, of its method parameters"
            )
    return found
