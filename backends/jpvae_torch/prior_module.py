"""A joint prior as a module for anybody's PyTorch code: it holds the raw parameters, and calling it gives the ``JointPrior``.

Which raw parameters a prior has, and where its correlations start, is jpvae.model.priors' to decide; here they become
``nn.Parameter``s. A start from a given prior keeps its rotations' signs as buffers.

What a prior is made with beside its parameters (its kind, a fixed alpha, a bound, ...) is in the state too, as "_extra_state",
and is compared when a state is loaded. It is JSON in a tensor of bytes, for a state goes through tools that take nothing but
tensors: safetensors, averages of checkpoints.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import torch

import jpvae_core as jc
from jpvae.errors import ConfigError
from jpvae.model.priors import prior_of
from jpvae.option_values import KINDS, is_number, seed_of

from .given_prior import start_of

_START = 0.01  # skew entries start uniform below it: near the identity, where rotations move freely, and at no symmetric point


class JointPriorModule(torch.nn.Module):
    """The learned joint prior over the latents of several views. Call it once per step, inside your model's ``forward``.

    Parameters
    ----------
    dims : sequence of int, or dict of int
        The latent sizes of the views; in a dict by name masks, means and so on may be dicts too.
    prior : {"orthogonal", "svd", "canonical", "independent"}
        "orthogonal": C = alpha * rotation, one latent size (the rotation is learned). "svd": two views of any sizes,
        C = U diag(s) V^T. "canonical": any number of views and sizes on ``rank`` shared directions. "independent": C = 0.
    alpha : float
        Where the correlations start: high, for decoders have to learn to use them. "orthogonal" keeps it unless learn_alpha.
    rank : int, or None
        The number of shared directions of "svd" and "canonical"; without it the smallest latent size.
    learn_alpha : bool
        Of "orthogonal" with two views: alpha = tanh(t/2) is learned.
    bound : {"sigmoid", "tanh"}
        Of "svd": "sigmoid" for correlations in (0, 1), "tanh" for (-1, 1).
    seed : int
        Of the rotations' start: skew entries uniform in [0, 0.01), so close to the identity.
    device : device, or None
        As of any module.
    dtype : torch.float32, torch.float64 or None
        None: torch's default. Keep it so (``.float()``) in a model that is half precision otherwise.

    Raises
    ------
    jpvae.errors.ConfigError
        Where the options do not fit, naming them.

    Notes
    -----
    Every value of the parameters is a valid prior; nothing is projected or clipped after a step. They need no weight decay
    (it would pull rotations to the identity, correlations to 1/2), and correlations want a tenth of the learning rate: at the
    full rate they fall before the decoders have learned to use them. ``parameter_groups`` does both.

    The state has the settings that the parameters alone do not determine (kind, sizes, names, a fixed alpha, rank, bound), as
    "_extra_state": ``load_state_dict`` refuses a state of others, and loads one without them with a warning.

    Examples
    --------
    >>> import torch
    >>> import jpvae_core as jc
    >>> from jpvae_torch import JointPriorModule
    >>> prior = JointPriorModule((2, 2))
    >>> means, log_vars = [torch.ones(5, 2)] * 2, [torch.zeros(5, 2)] * 2
    >>> jc.kl_divergence(prior(), means, log_vars).shape
    torch.Size([5])
    >>> module = JointPriorModule((2, 3), "canonical")
    >>> [group["lr"] for group in module.parameter_groups(1e-3)], sorted(module.no_weight_decay())
    ([0.001, 0.0001], ['frame_0', 'frame_1', 'logits'])
    >>> module.extra_repr()
    "'canonical', dims=(2, 3), rank=2"
    >>> JointPriorModule((2, 3), "canonical", seed=1).load_state_dict(module.state_dict())
    <All keys matched successfully>
    >>> module.get_extra_state().dtype  # the settings, as JSON
    torch.uint8
    """

    def __init__(
        self,
        dims: Sequence[int] | Mapping[str, int],
        prior: Literal["orthogonal", "svd", "canonical", "independent"] = "orthogonal",
        alpha: float = 0.95,
        rank: int | None = None,
        *,
        learn_alpha: bool = False,
        bound: Literal["sigmoid", "tanh"] = "sigmoid",
        seed: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.names = tuple(dims) if isinstance(dims, Mapping) else None
        given = {"prior": prior, "alpha": alpha, "learn_alpha": learn_alpha, "bound": bound, "rank": rank}
        options = {name: KINDS[name](name, value) for name, value in given.items()}
        try:
            self.options = prior_of(options.pop("prior"), _sizes(dims), **options)
        except ConfigError as error:
            raise ConfigError(str(error).replace("latent_dims", "dims")) from error  # as they are called here
        device, dtype = _device(device), _dtype(dtype)
        rng = np.random.default_rng(seed_of(seed))
        start = self.options.initial_parameters(lambda n: rng.uniform(0.0, _START, n * (n - 1) // 2))
        self._numbers = {name for name, x in start.items() if np.ndim(x) == 0}  # held in one axis: FSDP takes no scalars
        for name, x in start.items():
            value = torch.as_tensor(np.atleast_1d(x), dtype=dtype, device=device)
            self.register_parameter(_attribute(name), torch.nn.Parameter(value))
        self._own = {name: _attribute(name) for name in start}
        for name, n in self.options.skew_sizes().items():
            self._own[f"{name}.signs"] = f"{_attribute(name)}_signs"
            self.register_buffer(self._own[f"{name}.signs"], torch.ones(n, dtype=dtype, device=device))
        self.register_buffer("_like", torch.zeros((), dtype=dtype, device=device), persistent=False)
        with torch.no_grad():
            self()  # what the core keeps for each size is made now, not while something traces

    @classmethod
    def of(cls, prior: jc.JointPrior[torch.Tensor], *, learn_alpha: bool = False) -> Self:
        """A module that starts at a given prior: ``module()`` equals it but for rounding, in its dtype and on its device.

        Parameters
        ----------
        prior : JointPrior
            With torch's arrays, and no leading axes; ``JointPrior.from_covariance(C)``, say, or one with a known rotation.
        learn_alpha : bool
            As for the class.

        Returns
        -------
        JointPriorModule

        Raises
        ------
        ShapeError, LibraryError
            If the prior is a stack of priors, or holds arrays that are not torch's.
        jpvae.errors.ConfigError

        Examples
        --------
        >>> import torch
        >>> import jpvae_core as jc
        >>> from jpvae_torch import JointPriorModule
        >>> C = torch.tensor([[0.5, 0.1], [0.0, -0.2]])
        >>> module = JointPriorModule.of(jc.JointPrior.from_covariance(C))
        >>> bool(torch.allclose(module().cross_covariance(1, 0), C, atol=1e-6))
        True
        """
        start = start_of(prior, learn_alpha)
        dims: Any = prior.dims if prior.names is None else dict(zip(prior.names, prior.dims, strict=True))
        module = cls(dims, **start.options)
        for name, value in start.correlations.items():
            module._put(name, value)
        for name, frame in zip(module.options.skew_sizes(), start.frames, strict=False):  # independent views have none
            entries, signs = jc.inverse_frame(frame)
            module._put(name, entries)
            module._put(f"{name}.signs", signs)
        return module

    def _put(self, name: str, value: torch.Tensor) -> None:
        parameter: torch.Tensor = getattr(self, self._own[name])
        if value.shape != parameter.shape:
            raise jc.ShapeError(f"{name} has shape {tuple(value.shape)}; expected {tuple(parameter.shape)}: no leading axes")
        with torch.no_grad():
            parameter.copy_(value)

    __call__: Callable[..., jc.JointPrior[torch.Tensor]]  # torch's own gives Any

    def forward(self) -> jc.JointPrior[torch.Tensor]:
        """The prior that the parameters are now.

        Returns
        -------
        JointPrior
        """
        like: Any = self._like
        if self.options.couples:
            held = {name: getattr(self, own) for name, own in self._own.items()}
            made = self.options.joint_prior({name: x[0] if name in self._numbers else x for name, x in held.items()})
        else:
            made = jc.JointPrior.independent(self.options.dims, like=like)
        return made if self.names is None else made.named(*self.names)

    def get_extra_state(self) -> torch.Tensor:
        """What the prior is made with beside its parameters, as JSON in bytes.

        Returns
        -------
        uint8 tensor (bytes,)
        """
        return torch.tensor(list(json.dumps(self._settings()).encode("ascii")), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Nothing: ``load_state_dict`` has refused a state of other settings by then.

        Parameters
        ----------
        state : tensor

        Examples
        --------
        >>> from jpvae_torch import JointPriorModule
        >>> module = JointPriorModule((2, 2))
        >>> module.set_extra_state(module.get_extra_state())
        """

    def _settings(self) -> dict[str, Any]:
        """Of the options those that the map from parameters to prior depends on (alpha, where it is learned, is a start)."""
        o = self.options
        settings: dict[str, Any] = {"prior": o.name, "dims": list(o.dims), "names": list(self.names or []) or None}
        if o.couples and "prior.logits" not in o.coupling_parameters:
            settings |= {"learn_alpha": o.learn_alpha} | ({} if o.learn_alpha else {"alpha": float(o.alpha)})
        return settings | ({"rank": o.directions} if o.ranked else {}) | ({"bound": o.bound} if o.bounds else {})

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """torch's, after a comparison of settings: parameters of the same shapes would be another prior's."""
        *_, error_messages = rest
        key, mine = f"{prefix}_extra_state", self._settings()
        if key not in state_dict:  # (``load_state_dict`` works on a copy)
            warnings.warn(f"the state has no {key}, so its prior's settings cannot be compared with {mine}", stacklevel=2)
            state_dict[key] = self.get_extra_state()
        theirs = _read(state_dict[key])
        free = {"names"} if None in (self.names, theirs.get("names")) else set()  # views without names are read in order
        wrong = {name: value for name, value in mine.items() if name not in free and theirs.get(name) != value}
        if wrong:
            differences = "; ".join(f"{name}={theirs.get(name)!r}, not {value!r}" for name, value in wrong.items())
            error_messages.append(
                f"{key} is that of a prior with {differences}. Make the module with the state's settings, {theirs}, or start "
                "at its prior: JointPriorModule.of(prior)."
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def parameter_groups(self, lr: float | torch.Tensor, coupling_rate: float = 0.1) -> list[dict[str, Any]]:
        """For an optimiser: rotations at ``lr``, correlations at ``coupling_rate * lr``, both without weight decay.

        Parameters
        ----------
        lr : float, or tensor ()
        coupling_rate : float

        Returns
        -------
        list of dict
            What every optimiser of torch's takes.

        Raises
        ------
        jpvae.errors.ConfigError
            If a rate is negative or not a number.
        """
        for name, rate in (("lr", lr), ("coupling_rate", coupling_rate)):
            plain = rate.item() if isinstance(rate, torch.Tensor) and rate.ndim == 0 and rate.is_floating_point() else rate
            if not is_number(plain) or not 0 <= plain < 2.0**1000:
                raise ConfigError(f"{name} is {rate!r}; expected a number of at least 0")
        slow = {self._own[name] for name in self.options.coupling_parameters}
        named = list(self.named_parameters())
        rotations, correlations = ([p for name, p in named if (name in slow) is which] for which in (False, True))
        groups = ((rotations, lr), (correlations, coupling_rate * lr))
        return [{"params": params, "lr": rate, "weight_decay": 0.0} for params, rate in groups if params]

    def no_weight_decay(self) -> set[str]:
        """The names of the parameters that weight decay must not touch (timm's convention): all of them.

        Returns
        -------
        set of str
        """
        return {name for name, _ in self.named_parameters()}

    def extra_repr(self) -> str:
        """What it was made with, for ``print``.

        Returns
        -------
        str
        """
        return f"{self.options.name!r}, dims={self.options.dims}, rank={self.options.directions}"


def _read(state: Any) -> dict[str, Any]:
    """The settings of a state, which may have been through a change of dtype or an average with itself."""
    try:
        found = json.loads(bytes(round(x) for x in state.tolist()))
    except (AttributeError, TypeError, ValueError):  # no tensor, no numbers, no JSON
        found = {}
    return found if isinstance(found, dict) else {}


def _dtype(dtype: Any) -> torch.dtype:
    """float32 or float64, torch's default where there is no other."""
    found = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(found, torch.dtype) or found not in (torch.float32, torch.float64):
        whose = "torch's default dtype" if dtype is None else "dtype"
        raise ConfigError(f"{whose} is {found!r}; expected torch.float32 or torch.float64")
    return found


def _device(device: Any) -> Any:
    try:
        return None if device is None else torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"device is {device!r}; expected one of torch's, as 'cpu' or 'cuda:0'") from error


def _sizes(dims: Any) -> tuple[int, ...]:
    """One latent size for each view."""
    listed = isinstance(dims, Sequence) and not isinstance(dims, bytes)
    sizes = tuple(dims.values() if isinstance(dims, Mapping) else dims if listed else ())
    if not sizes or not all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) > 0 for n in sizes):
        raise ConfigError(f"dims is {dims!r}; expected one positive integer for each view, in a sequence or by name")
    return tuple(map(int, sizes))


def _attribute(name: str) -> str:
    """A module's parameters have no dots in their names: "prior.frame.0" is ``frame_0``."""
    return name.removeprefix("prior.").replace(".", "_")
