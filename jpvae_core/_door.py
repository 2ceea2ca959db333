"""The one door for data: what a caller may hand over, made into what the mathematics takes.

    views    a list or tuple with one array (..., B, n_i) per view, (n_i,) for a single row; or a dict by the prior's names
    mask     None; an array (M,) or (..., B, M), NumPy's beside any library; one truth value per view; a list of rows; a list
             with a column (..., B) per view; a dict of those by name. True or 1 where a view is observed
    spread   log-variances, or standard deviations (``std``)

Inside there are lists of arrays, an array or None for the mask, and log-variances; ``Form`` turns results back into what came
in. Everything is decided by types, shapes and dtypes, so that tracing passes; only a mask that is not boolean has its values
looked at, and only where they can be read without waiting. The order of a dict is never used: JAX sorts keys under jit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from ._array_api import Array, Namespace, X, of_kind
from ._checks import check_dense, check_deviations, check_dtype, check_last, check_rows_of_data, check_shapes, check_stored
from ._named import by_name_of, listed, one_library
from ._xp import concrete, device, library_of, namespace
from .errors import ArgumentError, LibraryError, ShapeError
from .prior import JointPrior

Views: TypeAlias = Sequence[X] | Mapping[str, X]
Mask: TypeAlias = Array | Sequence[Any] | Mapping[str, Any]
_KNOWN = ("numpy", "torch", "jax")  # libraries whose values are looked at


@dataclass(frozen=True)
class Form:
    """In which form the data came: a single row without its axis, and dicts by these names."""

    single: bool = False
    names: tuple[str, ...] | None = None

    def rows(self, x: X) -> X:
        """(..., B), or () of a single row."""
        return of_kind(x, x[..., 0]) if self.single else x

    def views(self, arrays: Sequence[Array]) -> Any:
        """Arrays (..., B, n_i), or (..., n_i) of a single row, in a tuple or a dict."""
        found = tuple(x[..., 0, :] for x in arrays) if self.single else tuple(arrays)
        return found if self.names is None else dict(zip(self.names, found, strict=True))

    def noise(self, x: X) -> X:
        """(..., B, k), given as (..., k) for a single row."""
        return of_kind(x, x[..., None, :]) if self.single and x.ndim > 0 else x


LISTS = Form()


def enter(prior: JointPrior, mask: Mask | None, **groups: Views[X]) -> tuple[Namespace, list[Sequence[X]], Any, Form]:
    """The namespace of everything, the groups as sequences of arrays, the mask as an array or None, and the form."""
    check_prior(prior)
    lists: list[Sequence[X]] = [arrays_of(prior, name, group) for name, group in groups.items()]
    try:
        xp = namespace(*(x for arrays in lists for x in arrays), *prior.arrays)
    except LibraryError as error:
        named = {f"{name}[{i}]": x for name, arrays in zip(groups, lists, strict=True) for i, x in enumerate(arrays)}
        raise by_name_of(error, named | prior.named_arrays) from error
    like = lists[0][0]
    found = None if mask is None else mask_of(xp, prior, mask, like, rows=1 if like.ndim < 2 else like.shape[-2])
    first = next(iter(groups.values()))
    form = Form(like.ndim == 1, prior.names if by_name(first) else None)
    if form.single:
        lists = [[x if x.ndim != 1 else of_kind(x, x[None, :]) for x in arrays] for arrays in lists]
    named = {f"{name}[0]": arrays[0] for name, arrays in zip(groups, lists, strict=True)}
    check_stacks(prior, **named, **({} if found is None else {"mask": found}))
    return xp, lists, found, form


def check_stacks(prior: JointPrior, **named: Array) -> None:
    """The leading axes of data and mask broadcast with each other, and with those of a stack of priors."""
    leads = {name: tuple(x.shape[:-2]) for name, x in named.items() if x.ndim > 2}
    if leads and (len(leads) > 1 or prior._lead):
        check_shapes("leading axes", {"prior": prior._lead, **leads}, "leading axes")


def check_prior(prior: Any) -> None:
    """A JointPrior stands first."""
    if not isinstance(prior, JointPrior):
        kind = f"{library_of(prior)}.{type(prior).__name__}"
        raise ArgumentError(
            f"prior is a {kind}; expected a JointPrior, as the first argument: (prior, means, log_vars, mask). A module or a "
            "function that makes one has to be called first."
        )


def arrays_of(prior: JointPrior, name: str, views: Any) -> Sequence[Any]:
    """One array per view, in the prior's order."""
    expected = "a list or tuple with one array per view, or a dict of them by name"
    if isinstance(views, JointPrior):
        raise ArgumentError(f"{name} is a JointPrior; expected {expected}. The prior is the first argument.")
    arrays = listed(name, _in_order(prior, name, views) if by_name(views) else views, expected)
    if len(arrays) != len(prior.dims):
        raise ShapeError(f"{name} has {len(arrays)} arrays; expected {len(prior.dims)}, one per view (dims {prior.dims})")
    return arrays


def by_name(given: Any) -> TypeGuard[Mapping[str, Any]]:
    """A dict, or what is read like one (torch's ``ParameterDict``, which is no ``Mapping``)."""
    if isinstance(given, list | tuple):
        return False
    return isinstance(given, Mapping) or (hasattr(given, "keys") and not hasattr(given, "shape"))


def _in_order(prior: JointPrior, name: str, given: Mapping[str, Any]) -> list[Any]:
    if prior.names is None:
        raise ArgumentError(
            f"{name} is a dict with the keys {list(given)}, but the prior's views have no names, and the order of a dict is "
            f"not reliable. Name them once: prior = prior.named(*names), with {len(prior.dims)} names in its order."
        )
    if set(given) != set(prior.names):
        raise ArgumentError(f"{name} has the keys {list(given)}; expected the prior's names {list(prior.names)}")
    return [given[key] for key in prior.names]


def noise_of(form: Form, noise: Any, size: int, means: Array) -> Any:
    """A fused posterior's noise (..., B, size), in the library, the dtype and with the rows of its means."""
    one_library(means=means, noise=noise)
    noise = form.noise(noise)
    check_last("noise", noise, size, "noise_dim standard normals per row")
    check_dtype(noise=noise, **{"means[0]": means})
    check_rows_of_data("noise", noise, means)
    return noise


def spread_of(log_vars: Views[X] | None, std: Views[X] | None) -> tuple[str, Views[X]]:
    """The one that was given, log-variances or standard deviations, and its name."""
    if log_vars is not None and std is None:
        return "log_vars", log_vars
    if std is not None and log_vars is None:
        return "std", std
    raise ArgumentError(
        f"{'neither' if std is None else 'both'} log_vars {'nor' if std is None else 'and'} std given; expected one of them"
    )


def twice_log(xp: Namespace, std: Sequence[Any], bits: Sequence[Any] | None) -> list[Any]:
    """Log-variances of standard deviations that are 0 where a view is missing: 0 there, with gradient 0 (log 0 has none)."""
    present = std if bits is None else [x + (1.0 - bit) for x, bit in zip(std, bits, strict=True)]
    check_deviations(present)
    return [2.0 * xp.log(x) for x in present]


def mask_of(xp: Namespace, prior: JointPrior, mask: Any, like: Any, name: str = "mask", rows: int | None = None) -> Any:
    """The mask as an array of like's library and device: (M,) or (..., B, M), of any dtype. rows: B, of a column (..., B)."""
    names: Sequence[Any] = range(len(mask)) if isinstance(mask, list | tuple) else ()
    if by_name(mask):  # a list in it is its view's column, and no row of all views
        named = {
            key: x if not isinstance(x, list | tuple) else _plain(xp, f"{name}[{key!r}]", x, like) for key, x in mask.items()
        }
        mask, names = _in_order(prior, name, named), prior.names or ()
    if isinstance(mask, list | tuple):
        if not any(hasattr(x, "shape") for x in mask):
            return _plain(xp, name, mask, like)
        return _columns(xp, [f"{name}[{key!r}]" for key in names], mask, like, rows)
    if not hasattr(mask, "shape"):
        raise ArgumentError(
            f"{name} is a {type(mask).__name__}; expected None, an array (M,) or (B, M), or one truth value per view"
        )
    return _as_bits(xp, name, mask, like)


def _columns(xp: Namespace, names: Sequence[str], mask: Sequence[Any], like: Any, rows: int | None) -> Any:
    """An array (..., B) per view, all of one shape; a truth value beside them holds for all rows."""
    columns = [
        _as_bits(xp, name, x, like) if hasattr(x, "shape") else _plain(xp, name, x, like)
        for name, x in zip(names, mask, strict=True)
    ]
    shaped = [(name, tuple(x.shape)) for name, x in zip(names, columns, strict=True) if x.ndim > 0]
    for name, shape in shaped:
        if rows is not None and shape[-1] != rows:
            raise ShapeError(f"{name} has shape {shape}; expected (..., {rows}): a view's column has one entry for each row")
        if shape != shaped[0][1]:
            raise ShapeError(f"{name} has shape {shape} but {shaped[0][0]} has {shaped[0][1]}; expected columns of one shape")
    return xp.stack(xp.broadcast_arrays(*(xp.astype(x, xp.bool) for x in columns)), axis=-1)


def _plain(xp: Namespace, name: str, value: Any, like: Any) -> Any:
    """An array of Python's truth values, nested or not."""
    rows = [value] if not isinstance(value, list | tuple) else value
    nested = [isinstance(row, list | tuple) for row in rows]
    if any(nested) and (not all(nested) or len({len(row) for row in rows}) > 1):
        raise ShapeError(f"{name} has rows of different lengths; expected one truth value per view in every row")
    for one in (x for row in rows for x in (row if isinstance(row, list | tuple) else [row])):
        if not (isinstance(one, bool | int | float) and one in (0, 1)):
            raise _not_a_bit(name, repr(one))
    return xp.asarray(value, dtype=xp.bool, device=device(like))


def _as_bits(xp: Namespace, name: str, mask: Any, like: Any) -> Any:
    """In like's library; 0 or 1 where that can be seen."""
    if isinstance(mask, np.generic):  # of which NumPy 2.0's own functions take none
        mask = np.asarray(mask)
    library = library_of(mask)
    if library == "torch":
        check_dense(name, mask)
    if library in _KNOWN and not _boolean(mask):
        _check_values(name, mask)
    if library == "numpy" and library_of(like) != "numpy":
        return xp.asarray(mask != 0, dtype=xp.bool, device=device(like))
    one_library(**{"the data": like, name: mask})
    if library == "torch" and mask.device != like.device:
        check_stored(name, mask)
        return mask.to(like.device)
    return mask


def _boolean(mask: Any) -> bool:
    return str(mask.dtype).endswith("bool")


def _check_values(name: str, mask: Any) -> None:
    if not concrete(mask):
        return
    wrong = (mask != 0) & (mask != 1)
    if isinstance(wrong, bool):  # as NumPy 2.0 compares a single text
        wrong = np.asarray(wrong)
    try:
        if not bool(wrong.any()):
            return
    except RuntimeError:  # within torch.func.vmap, and of tensors without storage, no value can be read
        return
    found = mask[wrong][0]
    raise _not_a_bit(name, repr(found.tolist() if hasattr(found, "tolist") else found))


def _not_a_bit(name: str, found: str) -> ArgumentError:
    return ArgumentError(
        f"{name} holds {found}; expected True or 1 where a view is observed and False or 0 where it is not. A weight or a "
        "probability is no mask: weigh the result."
    )
