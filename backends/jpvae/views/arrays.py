"""What a person hands in as an array, as NumPy's, or a complaint that names what it is and what to pass instead."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ViewError

EXACT = 2**53  # up to here every integer is a float64
_ARRAYS = ("__array__", "__array_interface__", "__dlpack__")


def is_foreign(table: Any) -> bool:
    """Whether it is a table of polars (lazy ones too) or Arrow."""
    made_by = type(table).__module__.partition(".")[0]
    return made_by in ("polars", "pyarrow") and (hasattr(table, "to_pandas") or hasattr(table, "collect"))


def to_pandas(table: Any) -> Any:
    """A foreign table by way of pandas; a lazy one is computed."""
    return _computed(table).to_pandas()


def inexact_integers(table: Any) -> dict[str, int]:
    """Of a foreign table, by column: an integer that is not the same as a float64, which a column becomes that has holes."""
    table = _computed(table)
    arrow = table.to_arrow() if hasattr(table, "to_arrow") else table
    found: dict[str, int] = {}
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        if str(column.type) in ("int64", "uint64"):
            from pyarrow import compute

            ends = compute.min_max(column).as_py()
            found |= {str(name): end for end in ends.values() if end is not None and abs(end) > EXACT}
    return found


def _computed(table: Any) -> Any:
    return table.collect() if hasattr(table, "collect") else table


def as_array(given: Any, name: str, expected: str) -> np.ndarray:
    """An array, not copied where it need not be. name: of the argument, for messages. Raises ViewError."""
    if advice := _advice(given):
        raise ViewError(f"{name} is {advice[0]}; expected {expected}: {advice[1]}")
    try:
        if hasattr(given, "detach"):
            return _of_tensor(given)
        return np.from_dlpack(given) if not hasattr(given, "__array__") and hasattr(given, "__dlpack__") else np.asarray(given)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise ViewError(f"{name} is not numeric ({error}); expected {expected}") from error


def _of_tensor(given: Any) -> np.ndarray:
    tensor = given.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()  # NumPy lacks bfloat16 and float8; float32 holds them
    return np.asarray(tensor)


def _advice(given: Any) -> tuple[str, str] | None:
    """What it is and what to do; None where NumPy may make an array of it."""
    kind = type(given).__name__
    if np.ma.is_masked(given):
        return "a masked array with masked entries", "pass .filled(numpy.nan), or mark missing rows with mask"
    if hasattr(given, "toarray"):
        return f"a sparse {kind}", "pass .toarray(), which is dense"
    if hasattr(given, "detach"):
        if str(given.layout) != "torch.strided":
            return f"a sparse {kind}", "pass .to_dense()"
        if given.is_meta:
            return "a tensor on the device 'meta', which has no values", "make it on 'cpu'"
        return None
    if isinstance(given, str | bytes | os.PathLike):
        return f"a text, {given!r}"[
            :80
        ], "if it names a file, read it first, with pandas for instance; files are read by `jpvae fit`"
    if isinstance(given, Mapping):
        return f"a {kind}", "pandas.DataFrame(...) makes a table of its columns"
    if hasattr(given, "dims") and hasattr(given, "coords"):
        return f"an xarray {kind}", "pass .to_pandas(), so that its labels are used"
    if hasattr(given, "to_frame") and not hasattr(given, "columns"):
        return f"a {kind}, which is one column", "pass .to_frame()"
    if getattr(getattr(given, "dtype", None), "names", None):
        return f"an array of records with the fields {list(given.dtype.names)}", "pandas.DataFrame(...) makes a table of it"
    if not (isinstance(given, Sequence | memoryview) or any(hasattr(given, way) for way in _ARRAYS) or np.isscalar(given)):
        return f"a {kind}", "a NumPy array, DataFrame, tensor or list of rows"
    return None
