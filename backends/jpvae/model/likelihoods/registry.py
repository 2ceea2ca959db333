"""Likelihoods by name: the built-in ones, those of installed packages, and a person's own objects.

    "gaussian"                              built in
    "laplace"                               of a package that declares it, in its pyproject.toml:
                                            [project.entry-points."jpvae.likelihoods"]
                                            laplace = "shapes.families:Laplace"
    Laplace(), Huber(bend=2.0)              an object; a file keeps it as 'shapes.families:Huber {"bend": 2.0}'

An entry point is a class of ``Likelihood``, or a function without arguments that gives one. It is imported when it is first
named. What a FILE names is never imported for that: it must be built in, declared by an installed package, or imported already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial, reduce
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...installed import is_there, loaded, package_of
from .bernoulli import Bernoulli
from .categorical import Categorical
from .counts import Counts
from .family import Likelihood
from .gaussian import Gaussian
from .marginal import Marginal
from .mixed import Mixed
from .negative_binomial import NegativeBinomial
from .poisson import Poisson
from .student_t import StudentT

GROUP = "jpvae.likelihoods"
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


class UnknownLikelihood(ConfigError):
    """No likelihood of that name is built in, declared by an installed package, or imported."""

    def __init__(self, name: Any, message: str) -> None:
        super().__init__(message)
        self.name = name


class Named(str):
    """The name of a person's own likelihood, as a file keeps it; it carries the object along."""

    family: Likelihood

    def __new__(cls, family: Likelihood, name: str | None = None) -> Named:
        """``family``'s name: its module, class, and options if it is a dataclass of plain numbers and texts."""
        made = super().__new__(cls, _name_of(family) if name is None else name)
        made.family = family
        return made

    def __reduce__(self) -> tuple[type[Named], tuple[Likelihood, str]]:
        return Named, (self.family, str(self))


def names() -> list[str]:
    """Every likelihood that can be named here: built in, or of an installed package whose module is there."""
    return sorted({*LIKELIHOODS, *(point.name for point in entry_points(group=GROUP) if is_there(point))})


def name_of(said: Any) -> str:
    """The name of a likelihood, given as a name or as an object. Raises ConfigError where there is none."""
    if isinstance(said, Likelihood):
        return _built_in(said) or Named(said)
    if isinstance(said, type) and issubclass(said, Likelihood):
        raise ConfigError(f"likelihood is the class {said.__qualname__}; expected an object of it: {said.__qualname__}()")
    family_of(said)
    return str(said) if not isinstance(said, Named) else said


def family_of(name: Any, *levels: int) -> Likelihood:
    """The likelihood of that name. Raises UnknownLikelihood, or ConfigError for a package's entry that does not work."""
    if isinstance(name, Named):
        return name.family
    if isinstance(name, str):
        if name in LIKELIHOODS:
            return LIKELIHOODS[name](*levels)
        found = _declared(name) if ":" not in name else _imported(name)
        if found is not None:
            return found
        if ":" in name:
            reason = f"module {name.partition(':')[0]!r} has not been imported, or lacks that class"
            if class_of(name) is not None:
                reason = "its class does not take these options"
            raise UnknownLikelihood(name, f"likelihood is {name!r}, which is not here: {reason}")
    expected = f"one of {names()} (one for all views, or one per view), or a Likelihood object"
    raise UnknownLikelihood(name, f"likelihood is {name!r}; expected {expected}")


def title(name: str) -> str:
    """A likelihood's name for people: of an object its class and options."""
    return name.rpartition(":")[2] if " {" not in name else name[name.index(":") + 1 :]


def source_of(name: str) -> str | None:
    """The "module:class" that a name which is not built in comes from; None for a built-in."""
    if name in LIKELIHOODS:
        return None
    if ":" in name:
        return name.partition(" ")[0]
    return _points(name)[0].value if _points(name) else None


def check_kept(name: str) -> None:
    """Raise ConfigError where a file that keeps this name could not be read again."""
    module, _, rest = name.partition(":")
    if not rest:
        return
    advice = "Define its class at the top level of a module that can be imported"
    if module == "__main__":
        raise ConfigError(
            f"likelihood {title(name)} is defined in the script or notebook itself, where no other program can find it, and "
            f"nothing was written. {advice}, import it from there, and fit again."
        )
    if _imported(str(name)) is None:
        raise ConfigError(
            f"likelihood {title(name)} of module {module!r} could not be found again from a file, and nothing was written. "
            f"{advice}; let it have no options, or be a dataclass of numbers, texts, booleans and None. Then fit again."
        )


def _built_in(family: Likelihood) -> str | None:
    if type(family) in (Bernoulli, Categorical, Counts, Gaussian, StudentT):
        return family.name
    if isinstance(family, Marginal | Mixed):
        raise ConfigError(f"likelihood is a {type(family).__name__}; expected its parts: likelihood={{view: {{column: ...}}}}")
    return None


def _name_of(family: Likelihood) -> str:
    where = f"{type(family).__module__}:{type(family).__qualname__}"
    if not is_dataclass(family):
        return f"{where} {{...{id(family):x}}}" if vars(family) else where
    options = {field.name: getattr(family, field.name) for field in fields(family)}
    options = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    if not all(isinstance(value, str | int | float | bool | None) for value in options.values()):
        return f"{where} {{...{id(family):x}}}"
    return f"{where} {json.dumps(options, sort_keys=True)}" if options else where


def class_of(name: str) -> Callable[..., Likelihood] | None:
    """The class of a name with a colon, if it is imported already or declared by an installed package."""
    where = name.partition(" ")[0]
    module, _, path = where.partition(":")
    made: Any = reduce(lambda at, part: getattr(at, part, None), path.split("."), sys.modules.get(module))
    if made is None:
        point = next((point for point in entry_points(group=GROUP) if point.value == where), None)
        made = None if point is None else loaded(point, "likelihood")
    return made if isinstance(made, type) and issubclass(made, Likelihood) else None


def _imported(name: str) -> Likelihood | None:
    """The object of a name with a colon, if its class is here and takes its options."""
    made, options = class_of(name), name.partition(" ")[2]
    if made is None:
        return None
    try:
        return made(**json.loads(options)) if options else made()
    except (TypeError, ValueError):  # of other options than the file has
        return None


def _declared(name: str) -> Likelihood | None:
    """The likelihood of an installed package's entry point."""
    points = _points(name)
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        raise ConfigError(
            f"likelihood {name!r} is declared by several packages ({', '.join(sorted(map(package_of, points)))}); "
            "expected one. Uninstall the others, or give the object itself"
        )
    made = loaded(points[0], "likelihood")
    family = made() if callable(made) else made
    if not isinstance(family, Likelihood):
        raise ConfigError(
            f"likelihood {name!r} of package {package_of(points[0])} is {family!r}; expected its entry point "
            f"{points[0].value!r} to be a class of jpvae's Likelihood, or a function that makes one"
        )
    return family


def _points(name: str) -> list[EntryPoint]:
    return list(entry_points(group=GROUP, name=name))
