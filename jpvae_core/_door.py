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

from ._checks import check_dtype
from ._xp import Array, Namespace, X, concrete, device, library_of, namespace
from .errors import ArgumentError, ShapeError
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
        row: X = x[..., 0] if self.single else x
        return row

    def views(self, arrays: Sequence[Array]) -> Any:
        """Arrays (..., B, n_i), or (..., n_i) of a single row, in a tuple or a dict."""
        found = tuple(x[..., 0, :] for x in arrays) if self.single else tuple(arrays)
        return found if self.names is None else dict(zip(self.names, found, strict=True))

    def noise(self, x: X) -> X:
        """(..., B, k), given as (..., k) for a single row."""
        rows: X = x[..., None, :] if self.single and x.ndim > 0 else x
        return rows


LISTS = Form()


def enter(prior: JointPrior, mask: Mask | None, **groups: Views[Any]) -> tuple[Namespace, list[Any], Any, Form]:
    """The namespace of everything, the groups as sequences of arrays, the mask as an array or None, and the form."""
    check_prior(prior)
    lists = [arrays_of(prior, name, group) for name, group in groups.items()]
    xp = namespace(*(x for arrays in lists for x in arrays), *prior.arrays)
    like = lists[0][0] if len(lists[0]) else None
    found = None if mask is None or like is None else mask_of(xp, prior, mask, like)
    first = next(iter(groups.values()))
    form = Form(like is not None and like.ndim == 1, prior.names if by_name(first) else None)
    if form.single:
        lists = [[x if x.ndim != 1 else x[None, :] for x in arrays] for arrays in lists]
    return xp, lists, found, form


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
    if isinstance(views, list | tuple):
        return views
    if by_name(views):
        return _in_order(prior, name, views)
    expected = "expected a list or tuple with one array per view, or a dict of them by name"
    if isinstance(views, JointPrior):
        raise ArgumentError(f"{name} is a JointPrior; {expected}. The prior is the first argument.")
    if hasattr(views, "shape"):
        raise ArgumentError(f"{name} is one array of shape {tuple(views.shape)}; {expected}")
    if hasattr(views, "__len__") and hasattr(views, "__getitem__") and not isinstance(views, str):
        return list(views)
    raise ArgumentError(f"{name} is a {type(views).__name__}; {expected} (of a generator, list(...))")


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


def log_variances(log_vars: Any, std: Any) -> Any:
    """The log-variances that were given, or 2 log(std), in a list or dict as they came."""
    if (log_vars is None) == (std is None):
        raise ArgumentError(
            f"{'neither' if std is None else 'both'} log_vars {'nor' if std is None else 'and'} std given; expected one of them"
        )
    if std is None:
        return log_vars
    if by_name(std):
        return {key: _twice_log(f"std[{key!r}]", x) for key, x in std.items()}
    if hasattr(std, "shape") or not hasattr(std, "__len__"):
        return std  # what is wrong with it, ``arrays_of`` has the words for
    return [_twice_log(f"std[{i}]", x) for i, x in enumerate(std)]


def _twice_log(name: str, std: Any) -> Any:
    xp = namespace(std)
    check_dtype(**{name: std})
    return 2.0 * xp.log(std)


def mask_of(xp: Namespace, prior: JointPrior, mask: Any, like: Any) -> Any:
    """The mask as an array of like's library and device: (M,) or (..., B, M), of any dtype."""
    if by_name(mask):  # a list in it is its view's column, and no row of all views
        named = {
            key: x if not isinstance(x, list | tuple) else _plain(xp, f"mask[{key!r}]", x, like) for key, x in mask.items()
        }
        mask = _in_order(prior, "mask", named)
    if isinstance(mask, list | tuple):
        return _listed(xp, mask, like)
    if not hasattr(mask, "shape"):
        raise ArgumentError(
            f"mask is a {type(mask).__name__}; expected None, an array (M,) or (B, M), or one truth value per view"
        )
    return _as_bits(xp, "mask", mask, like)


def _listed(xp: Namespace, mask: Sequence[Any], like: Any) -> Any:
    """Truth values, rows of them, or an array (..., B) per view; a truth value beside columns holds for all rows."""
    if any(hasattr(x, "shape") for x in mask):
        columns = [
            _as_bits(xp, f"mask[{i}]", x, like) if hasattr(x, "shape") else _plain(xp, f"mask[{i}]", x, like)
            for i, x in enumerate(mask)
        ]
        return xp.stack(xp.broadcast_arrays(*(xp.astype(c, xp.bool) for c in columns)), axis=-1)
    return _plain(xp, "mask", mask, like)


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
    library = library_of(mask)
    if library in _KNOWN and not _boolean(mask):
        _check_values(name, mask)
    if library == "numpy" and library_of(like) != "numpy":
        return xp.asarray(mask != 0, dtype=xp.bool, device=device(like))
    namespace(mask, like)
    return mask.to(like.device) if library == "torch" and mask.device != like.device else mask


def _boolean(mask: Any) -> bool:
    return str(mask.dtype).endswith("bool")


def _check_values(name: str, mask: Any) -> None:
    if not concrete(mask):
        return
    wrong = (mask != 0) & (mask != 1)
    try:
        if not bool(wrong.any()):
            return
    except RuntimeError:  # within torch.func.vmap, and of tensors without storage, no value can be read
        return
    raise _not_a_bit(name, str(mask[wrong][0]))


def _not_a_bit(name: str, found: str) -> ArgumentError:
    return ArgumentError(
        f"{name} holds {found}; expected True or 1 where a view is observed and False or 0 where it is not. A weight or a "
        "probability is no mask: weigh the result."
    )
