"""The Engine protocol: what a backend implements, and the one place where backends are found by name.

An engine knows dense layers, gradients and Adam. Everything else (the prior, likelihoods, imputation, batching, files)
is written once above it. Parameters live in the layout of model.py; batches and noise come in as NumPy arrays, so two
engines fed the same batches give the same losses.
"""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from .errors import ConfigError, MissingDependency
from .installed import is_there
from .model.batch import Array, Batch
from .model.model import Model

__all__ = ["ENGINES", "Array", "Batch", "Engine", "engine", "engine_name", "limited"]


class Engine(Protocol):
    """A backend, made by ``Engine(model, dtype, device)``.

    It may take ``networks=`` and ``threads=`` too, and may have a method ``limited(rows)``: a context for computing on so many
    rows at a time, in which its library uses as many threads as these are worth (``Model.threads``), at most those that it was
    given (``threads``) or that were there. One that trains in several processes takes batches that have ``shares``, adds its
    gradient and report, each times its share, to those of the others, and has ``any_of(flag)`` and ``agree(number)``, which are
    True where the flag is in any process, and where the number is the same in all.

    Parameters
    ----------
    model : Model
    dtype : {"float32", "float64"}
    device : str
        As the library names it; "cpu" for every engine.

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.engines import Batch, engine
    >>> from jpvae.model.model import Model
    >>> model = Model((3, 2), (2, 2), ("gaussian", "gaussian"), hidden=(4,))
    >>> made = engine("numpy", model)
    >>> state = made.start(model.initial_parameters(0) | made.network_parameters(0), None)
    >>> views, seen = (np.ones((5, 3)), np.ones((5, 2))), np.ones((5, 2), dtype=bool)
    >>> noise = np.zeros((5, 4)), np.zeros((0, 5, model.noise_dim))
    >>> batch = Batch(views, seen, seen[None], np.ones(1), *noise)
    >>> sorted(made.train_step(state, batch, beta=1.0, learning_rate=1e-3, coupling_rate=1.0))
    ['kl', 'loss', 'reconstruction']
    >>> p = made.parameters(state)
    >>> mean, log_var = made.encode(p, 0, made.asarray(views[0]))
    >>> made.numpy(made.decode(p, 1, mean)).shape
    (5, 2)
    >>> parameters, moments = made.to_arrays(state)
    >>> float(moments["step"])
    1.0
    """

    def __init__(self, model: Model, dtype: str, device: str) -> None: ...

    @property
    def xp(self) -> Any:
        """The array-API namespace of its arrays."""

    def asarray(self, x: np.ndarray) -> Array:
        """A native array of the engine's dtype (bool stays bool), without gradient.

        Parameters
        ----------
        x : ndarray (...)

        Returns
        -------
        native array (...)
        """

    def numpy(self, x: Array) -> np.ndarray:
        """A NumPy copy.

        Parameters
        ----------
        x : native array (...)

        Returns
        -------
        ndarray (...)
        """

    def start(self, parameters: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None) -> Any:
        """A training state from parameters and, to resume, the optimiser's arrays.

        The order of the mappings changes no bit of what follows: a file gives them back in another.

        Parameters
        ----------
        parameters : dict of ndarray
            In the layout of model.py.
        optimizer : dict of ndarray, or None
            Adam's moments ``m.<name>`` and ``v.<name>``, and "step", as ``to_arrays`` gives them.

        Returns
        -------
        State
            The engine's own; it goes into the methods below.
        """

    def parameters(self, state: Any) -> dict[str, Array]:
        """The state's parameters as native arrays without gradients.

        Parameters
        ----------
        state : State

        Returns
        -------
        dict of native arrays
        """

    def to_arrays(self, state: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters and the optimiser's arrays as NumPy arrays: what ``start`` takes.

        Parameters
        ----------
        state : State

        Returns
        -------
        parameters : dict of ndarray
        optimizer : dict of ndarray
        """

    def train_step(
        self,
        state: Any,
        batch: Batch,
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float,
        weight_decay: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> dict[str, Any]:
        """One Adam step on the weighted negative ELBO, in place.

        Parameters
        ----------
        state : State
        batch : Batch
            B rows as NumPy arrays, and their noise.
        beta : float
            The weight of the KL.
        learning_rate : float
            0 moves nothing: it is an evaluation, in which networks that behave otherwise in training (dropout) behave as in
            prediction.
        coupling_rate : float
            prior.logits and prior.alpha move at this times the learning rate.
        weight_decay : float
            w: before the step, every parameter is multiplied by 1 - learning_rate w f, f = ``Model.decay`` (decoupled weight
            decay: the gradient and Adam's moments do not see it).
        max_gradient_norm : float, or None
            G: the gradient g of all parameters, |g| its Euclidean norm, is taken as g min(1, G/|g|); where |g| is not finite,
            no step is made.

        Returns
        -------
        dict
            In nats per row and as they were before the step: "loss"; "reconstruction", -log p(x_i | z_i) under each view's own
            posterior, unweighted; "kl", of all observed views. With max_gradient_norm also "gradient_norm", |g|. Only where the
            loss is not finite, "rows": ``Batch.by_row`` of what every row gave.
        """

    def network_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """Fresh parameters of the networks that are the user's own, by name.

        Parameters
        ----------
        seed : int

        Returns
        -------
        dict of ndarray
            Empty for an engine that takes none.
        """

    def encode(self, p: Mapping[str, Array], view: int, x: Array) -> tuple[Array, Array]:
        """Posterior means and log-variances of a view's rows.

        Parameters
        ----------
        p : dict of native arrays
            Those of ``parameters``.
        view : int
        x : native array (..., B, c_i)

        Returns
        -------
        means : native array (..., B, n_i)
        log_vars : native array (..., B, n_i)
        """

    def decode(self, p: Mapping[str, Array], view: int, z: Array) -> Array:
        """The likelihood's outputs for latents of a view.

        Parameters
        ----------
        p : dict of native arrays
            Those of ``parameters``.
        view : int
        z : native array (..., B, n_i)

        Returns
        -------
        native array (..., B, c_i)
        """


ENGINES = {"torch": "jpvae_torch", "numpy": "jpvae_numpy"}  # packages with a class Engine
AUTO = "auto"
_SMALL = 1_000_000  # weights
_METHODS = ("asarray", "numpy", "start", "parameters", "to_arrays", "train_step", "encode", "decode")
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
    registered = {called: (package, "Engine") for called, package in ENGINES.items()}
    registered |= {point.name: (point.module, point.attr) for point in entry_points(group=GROUP) if point.name not in ENGINES}
    for called, (module, path) in registered.items():
        if _imported(module, path) is made:
            return called
    return f"{home}:{name}"


def nameable(backend: str | Callable[..., Any]) -> bool:
    """Whether ``engine_name`` of it leads another program to it: not for what is defined in a function or in ``__main__``."""
    called = engine_name(backend)
    module, _, path = called.partition(":")
    made = backend.func if isinstance(backend, functools.partial) else backend
    return not path or (module != "__main__" and _imported(module, path) is made)


def _imported(module: str, path: str) -> Any:
    """What the program has imported itself; None where it has not."""
    return functools.reduce(lambda at, part: getattr(at, part, None), path.split("."), sys.modules.get(module))


def _maker(backend: str | Callable[..., Engine]) -> Callable[..., Engine]:
    if not isinstance(backend, str):
        return backend
    points = {} if backend in ENGINES else {point.name: point for point in entry_points(group=GROUP)}
    module, _, path = backend.partition(":")
    made: Any = None
    try:
        if backend in ENGINES:
            made = import_module(ENGINES[backend]).Engine
        elif backend in points:
            made = points[backend].load()
        elif path:  # of a file: only what the program has imported itself
            made = _imported(module, path)
    except ModuleNotFoundError as error:
        message = f"backend={backend!r} needs {error.name}: pip install 'jpvae[{backend}]', or take backend='numpy'"
        raise MissingDependency(message) from error
    if made is None and path:
        raise ConfigError(f"backend is {backend!r}, which is unavailable: import {module}, or load(path, backend='numpy')")
    if not callable(made):
        raise ConfigError(f"backend is {backend!r}; expected one of {names()}, or an Engine class")
    checked: Callable[..., Engine] = made
    return checked
