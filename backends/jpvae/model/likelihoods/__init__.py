"""Likelihoods p(x | z) of one view, one family per file, written once over the array API so that every engine shares them.

A view's likelihood is named by plain JSON: a family's name, or for a view of several families a list of
(name, number of model columns) and ("categorical", number of model columns, levels of each variable).
To add a family: a class with the methods of ``Likelihood`` that differ (family.py), an entry in LIKELIHOODS, and a row in the
table of proofs_tests/engines/test_likelihoods.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from ...errors import ConfigError
from .bernoulli import Bernoulli
from .categorical import Categorical
from .counts import Counts
from .family import Array, Floats, Likelihood
from .gaussian import Gaussian
from .marginal import Marginal
from .mixed import Mixed
from .negative_binomial import NegativeBinomial
from .poisson import Poisson
from .student_t import StudentT

__all__ = [
    "LIKELIHOODS",
    "Array",
    "Bernoulli",
    "Categorical",
    "Counts",
    "Floats",
    "Gaussian",
    "Likelihood",
    "Marginal",
    "Mixed",
    "NegativeBinomial",
    "Poisson",
    "Spec",
    "StudentT",
    "likelihood",
]

Spec: TypeAlias = "str | tuple[tuple[str | int, ...], ...]"

LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "student_t": StudentT,
    "categorical": Categorical,
    "poisson": partial(Counts, Poisson(), sized=True),
    "poisson_unscaled": partial(Counts, Poisson(), sized=False),
    "negative_binomial": partial(Counts, NegativeBinomial(), sized=True),
    "negative_binomial_unscaled": partial(Counts, NegativeBinomial(), sized=False),
}


def likelihood(spec: Spec) -> Likelihood:
    """The likelihood of that name, or of several parts. Raises ConfigError for an unknown one."""
    if isinstance(spec, str):
        return _of(spec)
    for part in spec:
        name, *sizes = part if isinstance(part, tuple) else (part,)
        whole = all(isinstance(n, int) and n > 0 for n in sizes) and len(sizes) == (2 if name == "categorical" else 1)
        if not whole or sizes[0] % sizes[-1]:
            raise ConfigError(f"likelihood has the part {part}; expected (name, columns), or ('categorical', columns, levels)")
    return Mixed([(_of(name, *levels), width) for name, width, *levels in spec])


def _of(name: str | int, *levels: int) -> Likelihood:
    if not isinstance(name, str) or name not in LIKELIHOODS:
        raise ConfigError(f"likelihood is {name!r}; expected one of {sorted(LIKELIHOODS)} (one for all views, or one per view)")
    return LIKELIHOODS[name](*levels)
