"""What a person may get wrong: each mistake is refused before any training, by a message that names the argument, what was
found and what was expected."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError, ViewError

A, B, C = (v[:20] for v in three_views(20, 0)[0])  # 5, 4 and 3 columns
ONES = np.ones((20, 3), dtype=bool)


def cell(table, row, column, value):
    changed = table.copy()
    changed[row, column] = value
    return changed


def cells(rows, column):
    mask = ONES.copy()
    mask[rows, column] = False
    return mask


VIEW_ERRORS = {
    "row counts": (
        ([A, B[:19], C], None),
        r"different row counts \{'view0': 20, 'view1': 19, 'view2': 20\}; expected one row",
    ),
    "1-D": (([A, B[:, 0], C], None), r"view 'view1' has shape \(20,\); expected \(N, c\)"),
    "no columns": (([A, B[:, :0], C], None), r"view 'view1' has shape \(20, 0\); expected \(N, c\).*at least one column"),
    "text": (([A, [["a"]] * 20, C], None), r"view 'view1' is not numeric .*expected an \(N, c\) table of numbers"),
    "sparse tensor": (([A, torch.ones(20, 4).to_sparse(), C], None), r"view 'view1' is a sparse Tensor; .*\.to_dense\(\)"),
    "no values": (([A, torch.ones(20, 4, device="meta"), C], None), r"view 'view1' is a tensor on the device 'meta'"),
    "generator": (([A, (row for row in B), C], None), r"view 'view1' is a generator; .*a NumPy array, DataFrame"),
    "set": (([A, {1, 2}, C], None), r"view 'view1' is a set; expected"),
    "dict": (([A, {"x": B[:, 0]}, C], None), r"view 'view1' is a dict; .*pandas\.DataFrame\(\.\.\.\)"),
    "path": (([A, "b.csv", C], None), r"view 'view1' is a text, 'b\.csv'; .*read it first"),
    "series": (([A, pd.Series(B[:, 0]), C], None), r"view 'view1' is a Series, which is one column; .*\.to_frame\(\)"),
    "records": (
        ([A, np.zeros(20, [("x", float), ("y", float)]), C], None),
        r"view 'view1' is an array of records with the fields \['x', 'y'\]",
    ),
    "mask of a generator": (([A, B, C], (row for row in ONES)), "mask is a generator; expected"),
    "mask of text": (([A, B, C], "all"), "mask is a text, 'all'; expected"),
    "sparse mask": (([A, B, C], csr_matrix(ONES)), r"mask is a sparse csr_matrix; .*\.toarray\(\)"),
    "turned mask": (([A, B, C], ONES.T), r"mask has shape \(3, 20\); expected \(20, 3\): .*pass mask\.T"),
    "mask of one name": (([A, B, C], {"view0": ONES[:, 0]}), r"mask has the columns \['view0'\]; expected one for each"),
    "short column of a mask": (
        ([A, B, C], {"view0": ONES[:, 0], "view1": ONES[:5, 0], "view2": ONES[:, 0]}),
        r"mask\['view1'\] has shape \(5,\); expected \(20,\)",
    ),
    "empty cells of a mask": (
        ([A, B, C], pd.DataFrame(ONES).astype("boolean").mask(~cells(3, 1))),
        r"mask has 1 empty cells; .*fillna",
    ),
    "one array": (
        (np.zeros((3, 20, 2)), None),
        r"views is a ndarray; expected a list or dict of .*JPVAE\(view_slices=\.\.\.\)",
    ),
    "nothing": (([], None), r"views is empty; expected"),
    "no rows": (([A[:0], B[:0], C[:0]], None), r"views have no rows; expected"),
    "None at fit": (([A, None, C], None), r"view 'view1' is None; expected a table"),
    "mask shape": (([A, B, C], ONES[:, :2]), r"mask has shape \(20, 2\); expected \(20, 3\)"),
    "mask rows": (([A, B, C], ONES[:5]), r"mask has shape \(5, 3\); expected \(20, 3\)"),
    "mask values": (([A, B, C], ONES * 2), r"mask has dtype int64 and values other than 0 and 1; expected True"),
    "empty rows": (([A, B, C], cells(slice(2, 5), slice(None))), r"mask leaves row 2 with no view \(3 such rows\)"),
    "one empty row": (
        ([A, B, C], cells(4, slice(None))),
        r"mask leaves row 4 with no view \(1 such rows\); expected",
    ),
    "missing everywhere": (([A, B, C], cells(slice(None), 1)), r"view 'view1' is missing in every row; expected"),
    "nan": (
        ([A, cell(B, 7, 2, np.nan), C], None),
        r"view 'view1', row 7, column 2 is nan; .*pass missing=\"nan\"",
    ),
    "inf": (
        (dict(zip("abc", [A, B, cell(C, 1, 0, -np.inf)], strict=True)), ONES),
        r"view 'c', row 1, column 0 is -inf; expected a finite number\. Correct the value, or mark the row missing",
    ),
    "one row": (([A[:1], B[:1], C[:1]], None), r"views have one row \(n_samples = 1\); expected at least two"),
    "sparse": (([A, csr_matrix(B), C], None), r"view 'view1' is a sparse csr_matrix; expected .*pass \.toarray\(\)"),
    "too large to scale": (([A * 1e200, B, C], None), r"view 'view0', column 0 has .*, too large to have a variance"),
    "keys": (({0: A, 1: B, 2: C}, None), r"views has the keys \[0, 1, 2\]; expected names"),
    "masked": (
        ([A, np.ma.masked_greater(B, 0), C], None),
        r"^view 'view1' is a masked array with masked entries; expected .*mark ",
    ),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("data", "message"), VIEW_ERRORS.values(), ids=VIEW_ERRORS.keys())
def test_views(data, message):
    with pytest.raises(ViewError, match=message) as caught:
        JPVAE(**OPTIONS).fit(*data)
    assert isinstance(caught.value, ValueError)


@pytest.mark.usefixtures("no_training")
def test_values_that_a_bernoulli_cannot_have():
    with pytest.raises(ViewError, match=r"view 'view2', row 3, column 1 is 1\.5; a Bernoulli likelihood expects .*\[0, 1\]"):
        JPVAE(**OPTIONS | {"likelihood": "bernoulli"}).fit([A > 0, B > 0, cell(np.ones((20, 3)), 3, 1, 1.5)])


@pytest.mark.usefixtures("no_training")
def test_a_cell_that_is_nan_in_a_row_that_is_not():
    with pytest.raises(ViewError, match=r"row 7, column 2 is nan.*Only a row that is NaN in every column of the view counts"):
        JPVAE(**OPTIONS).fit([A, cell(B, 7, 2, np.nan), C], missing="nan")
    with pytest.raises(ViewError, match=r"missing is 'zero'; expected 'error' .* or 'nan'"):
        JPVAE(**OPTIONS).fit([A, B, C], missing="zero")


IMPUTE_ERRORS = {
    "unknown name": (lambda m: m.impute({"view0": A, "gene": B}), r"unknown names \['gene'\]; expected names among \['view0'"),
    "columns": (lambda m: m.impute([A, B, C[:, :2]]), r"view 'view2' has 2 columns; expected 3, as in fit"),
    "tables": (
        lambda m: m.transform([A, B]),
        r"views has 2 tables; expected 3 \(view0, view1, view2\)",
    ),
    "all None": (lambda m: m.score([None] * 3), r"every view is None; expected"),
    "nan": (lambda m: m.score([A, cell(B, 0, 3, np.nan), C]), r"view 'view1', row 0, column 3 is nan"),
    "empty row": (lambda m: m.sample_imputations([A, B, C], cells(19, slice(None))), r"mask leaves row 19 with no view"),
    "beyond float32": (
        lambda _: JPVAE(**OPTIONS | {"steps": 1, "dtype": "float32"}).fit([A, B, C]).impute([A * 1e40, B, None]),
        r"view 'view0', row 0, column 0 is .*, beyond float32",
    ),
    "beyond float32, of a person": (
        lambda _: (
            JPVAE(**OPTIONS | {"steps": 1, "dtype": "float32"})
            .fit([A, B, C])
            .impute([pd.DataFrame(cell(A, 5, 1, 1e300), index=[f"P{i}" for i in range(20)]), B, None])
        ),
        r"view 'view0', row P5, column 1 is 1e\+300, beyond float32",
    ),
    "masked array": (lambda m: m.impute([np.ma.masked_array(A, mask=A > 1), B, C]), r"view 'view0' is a masked array"),
    "complex": (lambda m: m.impute([A + 1j, B, C]), r"view 'view0' has dtype complex128; expected real numbers"),
    "dates": (lambda m: m.impute([A.astype("datetime64[s]"), B, C]), r"view 'view0' has dtype datetime64"),
    "method": (lambda m: m.impute([A, B, C], method="mean"), r"method is 'mean'; expected 'predictive' or 'plug-in'"),
    "moments": (lambda m: m.impute([A, B, C], moments="test"), r"moments is 'test'; expected 'prior' or 'training'"),
    "no draws": (lambda m: m.impute([A, B, C], n_draws=0), r"n_draws is 0; expected at least 1"),
    "one draw": (lambda m: m.impute([A, B, C], n_draws=1, return_std=True), r"n_draws is 1; expected at least 2"),
    "plug-in std": (
        lambda m: m.impute([A, B, C], method="plug-in", return_std=True),
        r"return_std needs method=",
    ),
    "no samples": (lambda m: m.sample_imputations([A, B, C], n_draws=0), r"n_draws is 0; expected at least 1"),
    "no score": (lambda m: m.score([A, B, C], n_draws=0), r"n_draws is 0; expected at least 1"),
}


@pytest.mark.parametrize(("call", "message"), IMPUTE_ERRORS.values(), ids=IMPUTE_ERRORS.keys())
def test_after_fit(call, message):
    with pytest.raises((ViewError, ConfigError), match=message):
        call(fitted())
