"""Calls of everything public in ``jpvae_core`` and ``jpvae_torch`` with values that nobody means, for every argument and for
one entry of each list or dict: accepted, or refused by an error of jpvae_core.errors that names an argument of the call.

    python proofs_tests/_support/odd_core_calls.py [--accepted]     every call; prints the counts, and what was accepted

On 2026-11-26, in 20 seconds: 20,022 calls: 19,012 refused, 1,010 accepted, 0 wrong
"""

from __future__ import annotations

import itertools
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from odd_calls import FEW, VALUES, Odd

import jpvae_core as jc
from jpvae_torch import JointPriorModule
from jpvae_torch.distributions import JointNormal

ARRAYS = [np.zeros(shape) for shape in ((0,), (1,), (3, 0), (2, 2), (3, 2), (1, 3, 2), (4, 3, 2))]
ARRAYS += [x.astype(dtype) for x in (np.zeros((3, 2)),) for dtype in (np.float16, np.float32, int, bool, complex, object, str)]
ARRAYS += [torch.zeros(3, 2), torch.zeros(3, 2).double(), torch.ones(2).bool(), torch.zeros(2, 2).to_sparse(), torch.float32]
ARRAYS += [torch.zeros(3, 2, device="meta").double(), torch.zeros(3, 2).double().requires_grad_()]
RNG = np.random.default_rng(0)
Z = [RNG.standard_normal((3, 2)) for _ in range(2)]
L = [-np.abs(z) for z in Z]
PRIOR = jc.JointPrior.from_covariance(np.diag([0.5, -0.2])).named("a", "b")
BY_NAME = {"means": dict(zip("ab", Z, strict=True)), "log_vars": dict(zip("ab", L, strict=True))}
MASK = np.asarray([[True, True], [True, False], [False, True]])
FUSED, IN_FRAMES = (jc.fuse(PRIOR, Z, L, MASK, coordinates) for coordinates in ("latent", "frame"))
MASKS = jc.subsets(PRIOR, MASK)
POSTERIOR = {"prior": PRIOR, "means": Z, "log_vars": L}
LATENTS = {"prior": PRIOR, "latents": Z, "mask": MASK}
NOISE = np.zeros((3, PRIOR.noise_dim))
LOSS = {"prior": PRIOR, "log_probs": [np.zeros((3, 3))] * 2, "kl": np.zeros((3, 3)), "masks": MASKS}
EYE = np.eye(2)

CORE: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "kl_divergence": (jc.kl_divergence, POSTERIOR | {"mask": MASK}),
    "kl_divergence, columns": (jc.kl_divergence, {"prior": PRIOR, **BY_NAME, "mask": {"a": MASK[:, 0], "b": [1, 0, 1]}}),
    "kl_divergence, std": (
        lambda **a: jc.kl_divergence(**a),
        {"prior": PRIOR, "means": Z, "std": [-x for x in L], "mask": [1, 0]},
    ),
    "fuse": (jc.fuse, POSTERIOR | {"mask": MASK, "coordinates": "latent"}),
    "log_density": (jc.log_density, LATENTS),
    "conditional_mean": (jc.conditional_mean, LATENTS),
    "condition": (jc.condition, LATENTS | {"log_vars": L}),
    "complete": (jc.complete, LATENTS | {"noise": NOISE}),
    "sample": (jc.sample, {"prior": PRIOR, "noise": NOISE}),
    "reparameterize": (jc.reparameterize, {"mean": Z[0], "log_var": L[0], "noise": Z[1]}),
    "subsets": (jc.subsets, {"prior": PRIOR, "mask": MASK, "parts": [["a"], [1]]}),
    "subset_loss": (jc.subset_loss, LOSS | {"weights": [1.0, 1.0, 1.0], "beta": 1.0, "cross": 1.0}),
    "condition_gaussian": (
        jc.condition_gaussian,
        {"mean": np.zeros(2), "cov": EYE, "observed_index": [0], "values": np.zeros((3, 1))},
    ),
    "kl_eq9": (jc.kl_eq9, {"means": Z, "log_vars": L, "C": 0.1 * EYE}),
    "kl_eq16": (jc.kl_eq16, {"means": Z, "log_vars": L, "rotation": EYE, "alpha": 0.5}),
    "kl_dense": (jc.kl_dense, {"means": Z, "log_vars": L, "covariance": np.eye(4)}),
    "independent": (jc.JointPrior.independent, {"dims": [2, 2], "like": EYE}),
    "JointPrior.orthogonal": (jc.JointPrior.orthogonal, {"rotation": EYE, "alpha": 0.5}),
    "svd": (jc.JointPrior.svd, {"U": EYE, "logits": np.zeros(2), "V": EYE, "bound": "tanh"}),
    "canonical": (jc.JointPrior.canonical, {"frames": [EYE, EYE], "logits": np.zeros((2, 2))}),
    "from_covariance": (jc.JointPrior.from_covariance, {"C": 0.1 * EYE, "rank": 1}),
    "named": (lambda names: PRIOR.named(names, "y"), {"names": "x"}),
    "marginal": (PRIOR.marginal, {"views": [0]}),
    "cross_covariance": (PRIOR.cross_covariance, {"i": 0, "j": 1}),
    "to": (PRIOR.to, {"like": EYE}),
    "to, by name": (lambda **a: PRIOR.to(**a), {"dtype": "float32", "device": "cpu"}),
    "check": (PRIOR.check, {"tolerance": 0.1}),
    "frame": (jc.frame, {"params": np.zeros(3), "n": 3, "d": 2, "signs": [1, 1, -1]}),
    "orthogonal": (jc.orthogonal, {"params": np.zeros(3), "n": 3, "signs": np.ones(3)}),
    "inverse_frame": (jc.inverse_frame, {"Q": EYE}),
    "skew": (jc.skew, {"params": np.zeros(3), "n": 3}),
    "skew_entries": (jc.skew_entries, {"A": np.zeros((2, 2))}),
    "cayley": (jc.cayley, {"A": np.zeros((2, 2))}),
    "inverse_cayley": (jc.inverse_cayley, {"Q": EYE}),
    "sign_matrix": (jc.sign_matrix, {"n": 3, "r": 1, "like": EYE}),
    "sigmoid_bound": (jc.sigmoid_bound, {"logits": np.zeros(2)}),
    "tanh_bound": (jc.tanh_bound, {"logits": np.zeros(2)}),
    "number_bound": (jc.number_bound, {"alpha": 0.5, "like": EYE}),
    "Moments.update": (lambda rows: jc.Moments().update(rows), {"rows": Z[0]}),
    "Moments.merge": (lambda other: jc.Moments().merge(other), {"other": jc.Moments()}),
    "Fused.draw": (FUSED.draw, {"noise": np.zeros((3, FUSED.noise_dim))}),
    "Fused.log_density": (FUSED.log_density, {"latents": Z}),
    "FusedInFrames.draw": (IN_FRAMES.draw, {"noise": np.zeros((3, IN_FRAMES.noise_dim))}),
    "FusedInFrames.log_density": (IN_FRAMES.log_density, {"latents": Z}),
}
T: Any = PRIOR.to(torch.zeros(1, dtype=torch.float64))
JOINT = JointNormal(T).expand((3,))
MODULE = JointPriorModule((2, 2))
GUESTS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "JointPriorModule": (
        JointPriorModule,
        {"dims": (2, 2), "prior": "svd", "alpha": 0.5, "rank": 1, "learn_alpha": False, "bound": "tanh", "seed": 0}
        | {"device": "cpu", "dtype": torch.float32},
    ),
    "JointPriorModule.of": (JointPriorModule.of, {"prior": T, "learn_alpha": False}),
    "parameter_groups": (MODULE.parameter_groups, {"lr": 0.1, "coupling_rate": 0.1}),
    "JointNormal": (JointNormal, {"prior": T}),
    "expand": (JOINT.expand, {"batch_shape": (2, 3)}),
    "rsample": (JOINT.rsample, {"sample_shape": (2,)}),
    "sample": (JOINT.sample, {"sample_shape": (2,)}),
    "log_prob": (JOINT.log_prob, {"value": torch.zeros(3, 4).double()}),
    "split": (JOINT.split, {"value": torch.zeros(3, 4).double()}),
    "marginal": (JOINT.marginal, {"views": [0]}),
    "condition": (JOINT.condition, {"latents": {"a": torch.zeros(3, 2).double()}}),
}


def in_torch(x: Any) -> Any:
    """The arguments of ``CORE`` as torch's, in lists and dicts too."""
    if isinstance(x, dict | list):
        return {key: in_torch(y) for key, y in x.items()} if isinstance(x, dict) else [in_torch(y) for y in x]
    return torch.asarray(x) if isinstance(x, np.ndarray) else T if isinstance(x, jc.JointPrior) else x


ON_ITS_OWN = ("Fused", "FusedInFrames", "named", "marginal", "cross_covariance", "to", "check")  # methods of NumPy's objects
TORCH = {name: (f, in_torch(given)) for name, (f, given) in CORE.items() if re.split(r"\W", name)[0] not in ON_ITS_OWN}


def calls(
    table: dict[str, tuple[Callable[..., Any], dict[str, Any]]], values: list[Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    """Function, argument, value and call: the value in place of the argument, and in place of each entry that it has."""
    for name, (function, given) in table.items():
        for argument, meant in given.items():
            for value in values:
                yield name, argument, value, (function, given | {argument: value})
                if isinstance(meant, list):
                    yield name, argument, [value, ...], (function, given | {argument: [value, *meant[1:]]})
                if isinstance(meant, dict):
                    yield name, argument, {"b": value}, (function, given | {argument: meant | {list(meant)[-1]: value}})


def outcome(call: tuple[Callable[..., Any], dict[str, Any]]) -> str:
    """What came out: "accepted", "refused", or what should not have."""
    function, given = call
    try:
        function(**given)
    except jc.JPVAEError as error:
        return "refused" if any(re.search(rf"\b{name}\b", str(error)) for name in given) else f"! {error!r}"
    except Exception as error:  # noqa: BLE001  (that there is none is what is tested)
        return f"! {error!r}"
    return "accepted"


def sweep(few: bool = False) -> tuple[Counter[str], list[str], list[str]]:
    """Every call: how many came out how, those that came out wrong, and those that were accepted."""
    counts, wrong, accepted = Counter[str](), [], []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        values = [*(FEW if few else VALUES), *ARRAYS, Odd]
        tables = (CORE, GUESTS) if few else (CORE, GUESTS, TORCH)
        for name, argument, value, call in itertools.chain(*(calls(table, values) for table in tables)):
            found = outcome(call)
            counts["wrong" if found.startswith("!") else found] += 1
            line = f"{name}: {argument}={str(value)[:60]!r}: {found[:300]}".replace("\n", " ")
            wrong += [line] if found.startswith("!") else []
            accepted += [line] if found == "accepted" else []
    return counts, wrong, accepted


if __name__ == "__main__":
    totals, bad, taken = sweep()
    print(f"{sum(totals.values()):,} calls: {dict(totals)}", *(taken if "--accepted" in sys.argv else ()), *bad, sep="\n")
    sys.exit(bool(bad))
