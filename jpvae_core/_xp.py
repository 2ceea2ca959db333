"""The one door to array-api-compat: which library an array belongs to, and constants that live where it lives."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ._array_api import Array, Namespace, X, of_kind
from .errors import LibraryError
from .pytrees import register_jax

P = ParamSpec("P")
T = TypeVar("T")


_AUTOCAST = ("cpu", "cuda", "mps", "xpu")  # the devices on which torch has an autocast


def public(door: Callable[P, T]) -> Callable[P, T]:
    """A public door: it means the same under ``torch.autocast`` as outside it, and a JAX wrapper is taken for its value.

    Autocast rounds the operands of every product to half precision: float32 results with errors of 1e-2. (As everywhere in
    torch, ``backward()`` belongs outside the autocast region: inside it, torch rounds the products of the gradients.)
    An ``nnx.Param`` and its like hold an array and give it out through ``__jax_array__``, as for any function of JAX.
    No framework is imported here: where nobody has imported torch there is no autocast, nor a wrapper without flax.
    """

    @functools.wraps(door)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        if "flax" in sys.modules:
            given: Any = (args, kwargs)
            args, kwargs = _unwrapped(given)
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            for kind in _AUTOCAST:
                if torch.is_autocast_enabled(kind):
                    with torch.autocast(kind, enabled=False):
                        return inside(*args, **kwargs)
        return door(*args, **kwargs)

    return inside


def _unwrapped(x: Any) -> Any:
    """Tuples, lists and dicts of arrays with every wrapper replaced by the array that it holds."""
    if type(x) in (tuple, list):
        return type(x)(map(_unwrapped, x))
    if type(x) is dict:
        return {key: _unwrapped(value) for key, value in x.items()}
    value = getattr(type(x), "__jax_array__", None)
    return value(x) if callable(value) else x  # JAX's tracers have a property of that name


def library_of(x: Any) -> str:
    """The name of the package that an array's type comes from: "numpy", "torch", "jax".

    A torch tensor is one whatever its class, an ``nn.Parameter`` for instance (whose module's name torch.compile cannot trace).
    """
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return "torch"
    name = type(x).__module__.partition(".")[0]
    return "jax" if name == "jaxlib" else name


def namespace(*arrays: Array | None) -> Namespace:
    """The array-API namespace shared by ``arrays`` (None is ignored). Costs microseconds: call once, pass it inward.

    NumPy, torch and JAX are recognised by their types' modules: torch.compile cannot trace array_api_compat's cached look-up,
    and NumPy's work on small arrays takes no longer than that look-up. NumPy 2 follows the standard by itself; importing
    array_api_compat.numpy would load numpy.testing and numpy.f2py, as long as NumPy itself takes.
    The first JAX array registers the core's classes as pytrees (pytrees.py).
    """
    found: Namespace = _module([x for x in arrays if x is not None])
    return found


def _module(present: Sequence[Array]) -> Any:
    """The module of that namespace."""
    libraries = {library_of(x) for x in present}
    if libraries == {"numpy"}:
        return np
    if libraries == {"torch"}:
        import array_api_compat.torch as torch_namespace

        return torch_namespace
    if libraries == {"jax"}:
        import jax.numpy as jax_namespace

        register_jax()
        return jax_namespace
    import array_api_compat

    try:
        return array_api_compat.array_namespace(*present)
    except TypeError as error:
        kinds = sorted({f"{library_of(x)}.{type(x).__name__}" for x in present})
        raise LibraryError(
            f"expected arrays of one array library, found {', '.join(kinds)}. "
            "Convert them all to the library whose gradients or device you need."
        ) from error


def concrete(x: Any) -> bool:
    """Whether the values of a NumPy, torch or JAX array can be read: nothing is tracing, and no GPU has to be waited for."""
    library = library_of(x)
    if library == "torch":
        import torch

        return bool(x.device.type == "cpu") and not torch.compiler.is_compiling()
    if library == "jax":
        import jax

        return not isinstance(x, jax.core.Tracer)
    return library == "numpy"


def eager_in_torch(*arrays: Any) -> bool:
    """Whether these are torch's plain tensors, and nothing but autograd looks at the operations on them."""
    torch: Any = sys.modules.get("torch")
    if torch is None or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if any(type(x) not in (torch.Tensor, torch.nn.Parameter) for x in arrays):
        return False
    return not torch._C._are_functorch_transforms_active() and torch.autograd.forward_ad._current_level < 0


def exporting() -> bool:
    """Whether torch.export traces (torch 2.7 and later can be asked)."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and hasattr(torch.compiler, "is_exporting") and bool(torch.compiler.is_exporting())


def device(x: Array) -> Any:
    """Where ``x`` lives, in the form that its library's creation functions take.

    None under JAX, where a constant goes wherever it is used: one made with a device is committed to it, and cannot meet arrays
    that are sharded over several (pmap, shard_map, jax.set_mesh).
    """
    where: Any = x
    library = library_of(x)
    if library == "jax":
        return None
    if library == "numpy":
        return "cpu"  # of a scalar too, which NumPy 2.0 gives no device
    if library == "torch":
        return where.device
    import array_api_compat

    return array_api_compat.device(where)


def eye_like(xp: Namespace, x: Array, n: int, d: int | None = None) -> Array:
    """The n×n identity (its first d columns), dtype and device those of ``x`` (torch's default would be float32 on the CPU)."""
    return xp.eye(n, n if d is None else d, dtype=x.dtype, device=device(x))


def asarray_like(xp: Namespace, x: Array, value: Any) -> Array:
    """A constant ``value`` (never a user's differentiable array) as an array like ``x``."""
    return _kept(x, value, x.dtype) if _on_cuda(x, value) else xp.asarray(value, dtype=x.dtype, device=device(x))


def indices_like(xp: Namespace, x: Array, value: Any) -> Array:
    """Constant integers as int32, where ``x`` is."""
    dtype = xp.int32
    return _kept(x, value, dtype) if _on_cuda(x, value) else xp.asarray(value, dtype=dtype, device=device(x))


_KEPT: dict[tuple[Any, ...], Any] = {}  # constants on CUDA devices


def _on_cuda(x: Any, value: Any) -> bool:
    """Whether a constant that the host has is wanted on a CUDA device now, and not in a program that is being traced."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor) or isinstance(value, torch.Tensor):
        return False
    return bool(x.is_cuda) and not torch.compiler.is_compiling()


def _kept(x: Any, value: Any, dtype: Any) -> Any:
    """The same tensor each time: a copy from the host would wait for the device, and a CUDA graph cannot contain one."""
    import torch

    array = np.asarray(value)
    key = (array.dtype.str, array.shape, array.tobytes(), dtype, x.device)
    if key not in _KEPT:
        _KEPT[key] = torch.asarray(array, dtype=dtype, device=x.device)
    return _KEPT[key]


def solve(xp: Namespace, A: X, B: Array) -> X:
    """X of A X = B, A never singular. On CUDA without a look at whether it was, for which the host would have to wait."""
    given: Any = A
    if library_of(A) == "torch" and given.is_cuda:
        import torch

        right: Any = B
        return of_kind(A, torch.linalg.solve_ex(given, right)[0])
    return xp.linalg.solve(A, B)


def cholesky(xp: Namespace, S: X) -> X:
    """L of S = L L^T; where S is not positive definite the library's own error, on CUDA NaN, for the host does not wait."""
    given: Any = S
    if library_of(S) == "torch" and given.is_cuda:
        import torch

        L, failed = torch.linalg.cholesky_ex(given)
        return of_kind(S, torch.where(failed[..., None, None] == 0, L, torch.nan))
    return xp.linalg.cholesky(S)


def block_diagonal(xp: Namespace, blocks: Sequence[Array], lead: tuple[int, ...]) -> Array:
    """Square blocks (..., n_i, n_i), broadcast to these leading axes, on the diagonal of one matrix (*lead, N, N)."""
    N, start, rows = sum(int(block.shape[-1]) for block in blocks), 0, []
    for block in blocks:
        n = int(block.shape[-1])
        wide = xp.broadcast_to(block, (*lead, n, n))
        before, after = (xp.zeros((*lead, n, k), dtype=wide.dtype, device=device(wide)) for k in (start, N - start - n))
        rows.append(xp.concat([before, wide, after], axis=-1))
        start += n
    return xp.concat(rows, axis=-2)


def to_numpy(x: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A float64 NumPy copy of ``x``, without its gradient. For accumulators and reports, never inside the maths."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().double().numpy()
    return np.array(x, dtype=np.float64)


def factorization_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise for a matrix that is singular or not positive definite."""
    torch: Any = sys.modules.get("torch")
    return (np.linalg.LinAlgError, *(() if torch is None else (torch.linalg.LinAlgError,)))


def split(x: X, sizes: Sequence[int]) -> list[X]:
    """The last axis cut into pieces of these sizes."""
    return [of_kind(x, x[..., begin:end]) for begin, end in pairwise(accumulate(sizes, initial=0))]


def sum_to(xp: Namespace, x: Array, like: Array) -> Array:
    """x summed over the axes along which ``like`` was broadcast to x's shape."""
    if x.shape == like.shape:
        return x
    new = x.ndim - like.ndim
    stretched = [k for k in range(new, x.ndim) if x.shape[k] != like.shape[k - new]]
    return xp.reshape(xp.sum(x, axis=(*range(new), *stretched)), like.shape)
