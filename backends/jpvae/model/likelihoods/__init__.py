"""Likelihoods p(x | z) of one view, one family per file, written once over the array API so that every engine shares them.

A view's likelihood is named by plain JSON: a family's name, or for a view of several families a list of
(name, number of model columns) and ("categorical", number of model columns, levels of each variable). registry.py has the
names: built-in ones, those of installed packages, and those of a person's own objects.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from jpvae_core._array_api import Array

from ...errors import ConfigError
from .bernoulli import Bernoulli
from .by_column import observed_moments, over_rows
from .categorical import Categorical
from .counts import Counts
from .family import Floats, Likelihood
from .gaussian import Gaussian
from .marginal import Marginal
from .mixed import Mixed
from .negative_binomial import NegativeBinomial
from .poisson import Poisson
from .registry import LIKELIHOODS, UnknownLikelihood, family_of
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
    "UnknownLikelihood",
    "likelihood",
    "names_in",
    "observed_moments",
    "over_rows",
]

Spec: TypeAlias = "str | tuple[tuple[str | int, ...], ...]"


def likelihood(spec: Spec) -> Likelihood:
    """The likelihood of that name, or of several parts. Raises ConfigError for an unknown one."""
    if isinstance(spec, str):
        return family_of(spec)
    for part in spec:
        parts: tuple[Any, ...] = part if isinstance(part, tuple) else (part,)
        name, *sizes = parts
        whole = all(isinstance(n, int) and n > 0 for n in sizes) and len(sizes) == (2 if name == "categorical" else 1)
        if not whole or sizes[0] % sizes[-1]:
            raise ConfigError(f"likelihood has the part {part}; expected (name, columns), or ('categorical', columns, levels)")
    checked: Any = spec
    return Mixed([(family_of(name, *levels), width) for name, width, *levels in checked])


def names_in(spec: Spec) -> list[str]:
    """The families' names in a view's likelihood."""
    return [spec] if isinstance(spec, str) else [name for name, *_ in spec if isinstance(name, str)]


def has_slopes(family: Likelihood) -> bool:
    """Whether it has ``log_prob_vjp``, each of its parts too: those from elsewhere that are for autograd alone need not."""
    if isinstance(family, Mixed):
        return all(has_slopes(part) for part in family.parts)
    if isinstance(family, Marginal):
        return has_slopes(family.family)
    return type(family).log_prob_vjp is not Likelihood.log_prob_vjp
