"""The one place where backends are found: by a registered name, an entry point of another package, or as what makes one."""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np

from jpvae_core._array_api import Array

from .engine_protocol import Engine
from .errors import ConfigError, MissingDependency
from .installed import is_there, loaded, package_of
from .model.batch import Batch
from .model.model import Model

__all__ = ["ENGINES", "Array", "Batch", "Engine", "engine", "engine_name", "limited"]


ENGINES = {"torch": "jpvae_torch", "numpy": "jpvae_numpy"}  # packages with a class Engine
AUTO = "auto"
_SMALL = 1_000_000  # weights
_METHODS = ("asarray", "numpy", "start", "parameters", "to_arrays", "train_step", "encode", "decode", "xp")
GROUP = "jpvae.engines"  # entry points of other packages, each an engine's class


def names() -> list[str]:
    """Every engine that can be named here: built in, or of an installed package whose module is there."""
    return sorted({*ENGINES, *(point.name for point in entry_points(group=GROUP) if is_there(point))})


def engine(
    backend: str | Callable[..., Engine],
    model: Model,
    dtype: str = "float32",
    device: str = "cpu",
    networks: Mapping[str, Any] | None = None,
    threads: int | None = None,
) -> Engine:
    """The engine of that name, or of that class (or what makes one: ``functools.partial(Engine, ...)``).

    networks: factories of the model's own networks, by part; threads: of its products, in place of its own choice. Raises
    ConfigError for an unknown name, an unusable device, or networks or threads that the engine does not take;
    MissingDependency where its framework is absent.
    """
    make, called = _maker(backend), engine_name(backend)
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype is {dtype!r}; expected 'float32' or 'float64'")
    options: dict[str, Any] = {"networks": networks} if networks else {}
    options |= {} if threads is None else {"threads": threads}
    taken = inspect.signature(make).parameters if options else {}
    if networks and "networks" not in taken:
        raise ConfigError(
            f"networks is given with backend={called!r}, whose networks are dense layers; expected backend='torch'"
        )
    if threads is not None and "threads" not in taken:
        raise ConfigError(f"threads is {threads} with backend={called!r}, which chooses its own; expected None")
    no_engine = f"backend is {backend!r}, which is no engine ({{}}); expected a name or an Engine class"
    try:
        inspect.signature(make).bind(model, dtype, device, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(no_engine.format(error)) from error
    try:
        made = make(model, dtype, device, **options)
        if lacking := [name for name in _METHODS if not hasattr(made, name)]:
            raise ConfigError(no_engine.format(f"what it makes has no {lacking[0]!r}"))
        made.numpy(made.asarray(np.zeros(1)))  # some devices ("meta") take numbers and give none back
        return made
    except (RuntimeError, AssertionError, ModuleNotFoundError) as error:
        reason = textwrap.shorten(str(error), 250, placeholder=" ...")  # torch adds lists of all that it has elsewhere
        if device == "cpu":  # which every engine has
            raise ConfigError(f"backend={called!r} cannot be used here: {type(error).__name__}: {reason}") from error
        raise ConfigError(f"device is {device[:80]!r}, which backend={called!r} cannot use here: {reason}") from error


def limited(made: Engine, rows: int) -> AbstractContextManager[None]:
    """The engine's context of that name; one that does nothing where it has none."""
    own: Callable[[int], AbstractContextManager[None]] | None = getattr(made, "limited", None)
    return nullcontext() if own is None else own(rows)


def chosen(model: Model, device: str = "cpu") -> str:
    """The engine's name under ``backend="auto"``: NumPy's for a small model of dense layers on the CPU, where its steps are the
    faster ones, and where torch is absent; else torch's."""
    small = model.weights < _SMALL and device == "cpu" and not model.own_networks
    return "numpy" if small or find_spec("torch") is None else "torch"


def engine_name(backend: str | Callable[..., Any]) -> str:
    """What stands for an engine in a file: its registered name, or for a class from elsewhere "module:class"."""
    if isinstance(backend, str):
        return backend
    made = backend.func if isinstance(backend, functools.partial) else backend
    home, name = getattr(made, "__module__", ""), getattr(made, "__qualname__", type(made).__qualname__)
    for called, package in ENGINES.items():
        if _imported(package, "Engine") is made:
            return called
    for point in entry_points(group=GROUP):  # which takes a look at every package that is installed
        if point.name not in ENGINES and _imported(point.module, point.attr) is made:
            return str(point.name)
    return f"{home}:{name}"


def arguments(backend: str | Callable[..., Any]) -> list[str]:
    """The names of what a ``functools.partial`` gives its engine, which ``engine_name`` does not keep."""
    return sorted(backend.keywords) if isinstance(backend, functools.partial) else []


def nameable(backend: str | Callable[..., Any]) -> bool:
    """Whether ``engine_name`` of it leads another program to it: not for what is defined in a function or in ``__main__``."""
    called = engine_name(backend)
    if isinstance(backend, str):  # of a file, or of the person's: a name already
        return True
    module, _, path = called.partition(":")
    made = backend.func if isinstance(backend, functools.partial) else backend
    return not path or (module != "__main__" and _imported(module, path) is made)


def _imported(module: str, path: str) -> Any:
    """What the program has imported itself; None where it has not."""
    return functools.reduce(lambda at, part: getattr(at, part, None), path.split("."), sys.modules.get(module))


def _maker(backend: str | Callable[..., Engine]) -> Callable[..., Engine]:
    if not isinstance(backend, str):
        return backend
    points = [] if backend in ENGINES else [point for point in entry_points(group=GROUP) if point.name == backend]
    module, _, path = backend.partition(":")
    made: Any = None
    try:
        if backend in ENGINES:
            made = import_module(ENGINES[backend]).Engine
        elif points:
            made = _declared(points)
        elif path:  # of a file: only what the program has imported itself
            made = _imported(module, path)
    except ModuleNotFoundError as error:
        message = f"backend={backend!r} needs {error.name}: pip install 'jpvae[{backend}]', or take backend='numpy'"
        raise MissingDependency(message) from error
    if made is None and path:
        raise ConfigError(f"backend is {backend!r}, which is unavailable: import {module}, or load(path, backend='numpy')")
    if not callable(made):
        raise ConfigError(
            f"backend is {backend!r}; expected one of {names()}, or an Engine class. An engine of another package is there "
            "where that package is installed; for a file, JPVAE.load(path, backend=...) takes another engine"
        )
    checked: Callable[..., Engine] = made
    return checked


def _declared(points: Sequence[EntryPoint]) -> Any:
    """The class that a name's entry points lead to. Raises ModuleNotFoundError for ours, whose extra brings what is missing."""
    point = points[0]
    if len({each.value for each in points}) > 1:
        raise ConfigError(
            f"backend {point.name!r} is declared by several packages ({', '.join(sorted(map(package_of, points)))}); expected "
            "one. Uninstall the others, or give the class itself"
        )
    return point.load() if package_of(point) == "jpvae" else loaded(point, "backend")
