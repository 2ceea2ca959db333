"""Views go in as lists or dicts of NumPy arrays, pandas tables or torch tensors, with a mask, None or rows of NaN: all one."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.testing import dense

VIEWS, MASK = three_views(40, 31)
SHORT = OPTIONS | {"steps": 4, "hidden": (4,)}
NAMES = ("rna", "protein", "image")


def impute(views, mask=None, **options):
    return fitted().impute(views, mask, n_draws=3, **options)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


FORMS = {
    "float64": lambda v: v,
    "fortran order": np.asfortranarray,
    "lists": lambda v: v.tolist(),
    "pandas": pd.DataFrame,
    "torch": torch.as_tensor,
    "torch, with gradient": lambda v: torch.as_tensor(v).requires_grad_(),
    "numpy's own masked type, all there": np.ma.array,
    "every other row of a larger table": lambda v: np.repeat(v, 2, axis=0)[::2],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_kind_of_table(form):
    assert same(impute([form(v) for v in VIEWS], MASK), impute(VIEWS, MASK))


MASKS = {"int": MASK.astype(int), "float": MASK.astype(float), "lists": MASK.tolist(), "torch": torch.as_tensor(MASK)}
MASKS["pandas"] = pd.DataFrame(MASK, columns=[f"view{i}" for i in range(3)])
MASKS["pandas, by place"] = pd.DataFrame(MASK)
MASKS["polars, lazy"] = pl.DataFrame(MASK[:, ::-1], schema=["view2", "view1", "view0"]).lazy()
MASKS["a dict"] = {f"view{i}": MASK[:, i].tolist() for i in (2, 0, 1)}
MASKS["a dict of series"] = {f"view{i}": pd.Series(MASK[::-1, i], index=range(39, -1, -1)) for i in (2, 0, 1)}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_every_kind_of_mask(mask):
    assert same(impute(VIEWS, mask), impute(VIEWS, MASK))


def test_forms_that_numpy_lacks():
    """bfloat16 holds no more than float32; a lazy frame is what it collects to."""
    halves = [torch.as_tensor(v).bfloat16() for v in VIEWS]
    assert same(impute(halves, MASK), impute([v.float().numpy() for v in halves], MASK))
    lazy = [pl.DataFrame(v).lazy() for v in VIEWS]
    assert same([v.to_numpy() for v in fitted().impute(lazy, MASK, n_draws=3)], impute(VIEWS, MASK))


def test_dtypes():
    low = [v.astype(np.float32) for v in VIEWS]
    filled = impute(low, MASK)
    assert [f.dtype for f in filled] == [np.float32] * 3
    assert same(filled, [f.astype(np.float32) for f in impute([v.astype(np.float64) for v in low], MASK)])
    whole = [np.round(10 * v).astype(np.int16) for v in VIEWS]
    filled = impute(whole, MASK)  # integers are no place to put an imputation
    assert [f.dtype for f in filled] == [np.float64] * 3
    assert same(filled, impute([w.astype(float) for w in whole], MASK))


def test_none_is_a_view_that_no_row_has():
    mask = np.tile([True, False, True], (40, 1))
    assert same(impute([VIEWS[0], None, VIEWS[2]]), impute(VIEWS, mask))
    filled, std = impute([None, VIEWS[1], None], return_std=True)
    assert [f.shape for f in filled] == [s.shape for s in std] == [(40, 5), (40, 4), (40, 3)]
    assert np.array_equal(filled[1], VIEWS[1])
    assert not np.shares_memory(filled[1], VIEWS[1])  # a person may change what comes back


def test_rows_of_nan_are_missing_when_asked():
    holes = [np.where(seen[:, None], v, np.nan) for v, seen in zip(VIEWS, MASK.T, strict=True)]
    assert same(impute(holes, missing="nan"), impute(VIEWS, MASK))
    narrower = MASK & (np.arange(40)[:, None] % 2 == 0) | ~MASK.all(axis=1, keepdims=True) & MASK
    narrower[:, 0] |= ~narrower.any(axis=1) & MASK[:, 0]
    rows = narrower.any(axis=1)
    both = [h[rows] for h in holes]
    assert same(impute(both, narrower[rows], missing="nan"), impute([v[rows] for v in VIEWS], narrower[rows]))
    with_holes = JPVAE(**SHORT).fit(holes, missing="nan").parameters_
    with_mask = JPVAE(**SHORT).fit(VIEWS, MASK).parameters_
    assert same(with_holes.values(), with_mask.values())


def test_zeros_are_not_missing():
    views = [v.copy() for v in VIEWS]
    views[1][3] = 0.0
    for missing in ("error", "nan"):
        assert np.array_equal(impute(views, missing=missing)[1][3], np.zeros(4))
    p, location, scale = fitted().parameters_, *fitted().scaling_[1]
    encoded = dense.encode(p, 1, (views[1][3:4] - location) / scale)[0]
    # float64, numbers of order 1
    assert fitted().transform(views)[3:4, 3:5] == pytest.approx(encoded, rel=1e-12, abs=1e-12)


def test_dicts_by_name():
    model = JPVAE(**SHORT).fit(dict(zip(NAMES, VIEWS, strict=True)), MASK)
    expected = JPVAE(**SHORT).fit(VIEWS, MASK)
    assert model.view_names_ == NAMES
    shuffled = {name: VIEWS[NAMES.index(name)] for name in ("image", "rna", "protein")}
    with pytest.raises(
        ViewError, match=r"views come in the order \['image', 'rna', 'protein'\], but mask's columns are those of"
    ):
        model.impute(shuffled, MASK)
    assert same(model.impute(shuffled).values(), expected.impute(VIEWS))  # without a mask the order does not matter
    filled = model.impute(dict(zip(NAMES, VIEWS, strict=True)), MASK)
    assert tuple(filled) == NAMES
    assert same(filled.values(), expected.impute(VIEWS, MASK))
    alone = model.impute({"protein": VIEWS[1]})  # a name left out is a view that no row has
    assert same(alone.values(), expected.impute([None, VIEWS[1], None]))
    assert same(model.impute(VIEWS, MASK), filled.values())  # a list, in the order of the fit
    draws = model.sample_imputations({"rna": VIEWS[0]}, n_draws=2)
    assert {name: d.shape for name, d in draws.items()} == {"rna": (2, 40, 5), "protein": (2, 40, 4), "image": (2, 40, 3)}
    assert tuple(model.reconstruct({"image": VIEWS[2]})) == NAMES
    assert model.score({"image": VIEWS[2]}) == expected.score([None, None, VIEWS[2]])
