"""Imputation streamed between memory-mapped files: the same bits, memory that does not grow with the rows, no false numbers."""

import tracemalloc

import numpy as np
import pytest
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.views.memory_map import let_go
from jpvae.views.reading import BLOCK

VIEWS, MASK = three_views(2 * BLOCK + 77, 41)
METHODS = [{"n_draws": 3}, {"method": "plug-in"}, {"method": "plug-in", "moments": "training"}]


def mapped(folder, name, values, mode="r"):
    np.save(folder / f"{name}.npy", values)
    return np.load(folder / f"{name}.npy", mmap_mode=mode)


def with_holes(views, mask):
    """NaN where the mask says missing."""
    return [np.where(seen[:, None], v, np.nan).astype(v.dtype) for v, seen in zip(views, mask.T, strict=True)]


def empty(folder, views, name="out"):
    """New memory-mapped files of zeros."""
    create = np.lib.format.open_memmap
    return [create(folder / f"{name}-{i}.npy", "w+", v.dtype, v.shape) for i, v in enumerate(views)]


def on_disk(arrays):
    """What another process would read."""
    return [np.load(a.filename) for a in arrays]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("rows", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 77])
@pytest.mark.parametrize("options", METHODS, ids=["predictive", "plug-in", "training moments"])
def test_streamed_is_unstreamed_to_the_bit(tmp_path, rows, options):
    views, mask = [v[:rows].astype(np.float32) for v in VIEWS], MASK[:rows]
    out = empty(tmp_path, views)
    given = [mapped(tmp_path, f"in-{i}", v) for i, v in enumerate(with_holes(views, mask))]
    back = fitted().impute(given, mask, out=out, **options)
    assert all(a is b for a, b in zip(back, out, strict=True))
    assert same(on_disk(out), fitted().impute(views, mask, **options))


def test_a_mapped_slice_is_not_the_file(tmp_path):
    """Rows and columns of larger files, of integers too, whose own pages start elsewhere."""
    whole = [np.round(10 * v).astype(np.int16) for v in VIEWS]
    given = [mapped(tmp_path, i, np.pad(w, ((3, 2), (1, 4))))[3:-2, 1:-4] for i, w in enumerate(whole)]
    wide = mapped(tmp_path, "wide", np.full((len(MASK) + 5, 12), 5.0), "r+")
    out = [wide[5:, start : start + c] for start, c in ((0, 5), (5, 4), (9, 3))]
    fitted().impute(given, MASK, n_draws=2, out=out)
    assert same(np.split(np.load(tmp_path / "wide.npy")[5:], [5, 9], axis=1), fitted().impute(whole, MASK, n_draws=2))
    assert (np.load(tmp_path / "wide.npy")[:5] == 5.0).all()


def test_pairs_dicts_and_rows_of_nan(tmp_path):
    model = JPVAE(**OPTIONS | {"steps": 3}).fit(dict(zip("abc", VIEWS, strict=True)), MASK)
    holes = [mapped(tmp_path, f"in-{i}", v) for i, v in enumerate(with_holes(VIEWS, MASK))]
    out = [dict(zip("cba", empty(tmp_path, VIEWS, name)[::-1], strict=True)) for name in ("mean", "std")]
    given, options = dict(zip("abc", holes, strict=True)), {"n_draws": 2, "missing": "nan", "return_std": True}
    back = model.impute(given, out=out, **options)
    expected = model.impute(given, **options)
    for found, wanted in zip(back, expected, strict=True):
        assert list(found) == list(wanted) == list("abc")
        assert same(found.values(), wanted.values())


def test_filling_the_views_themselves(tmp_path):
    views = [mapped(tmp_path, i, v, "r+") for i, v in enumerate(with_holes(VIEWS, MASK))]
    fitted().impute(views, MASK, n_draws=2, out=views)
    assert same(on_disk(views), fitted().impute(VIEWS, MASK, n_draws=2))


def peak(folder, rows):
    """Bytes that NumPy held at once while so many rows were streamed."""
    views, mask = three_views(rows, 1)
    given = [mapped(folder, f"in-{rows}-{i}", v.astype(np.float32)) for i, v in enumerate(views)]
    out = empty(folder, given, f"out-{rows}")
    del views
    tracemalloc.start()
    try:
        fitted().impute(given, mask, n_draws=2, out=out)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Beside the mask's own M bytes a row: one copy of it, its inverse where the rows without a view are looked for (1 byte a
    row, twice), the row's key in a sorted array and, while two are merged, in three (8 bytes each), and 64 kB for what Python
    itself keeps. One view whole would be 4 c >= 12 bytes a row, 120 kB and more."""
    fitted()
    short, long = peak(tmp_path, 1_000), peak(tmp_path, 11_000)
    assert long <= short + 10_000 * (3 + 2 + 3 * 8) + 64_000


@pytest.mark.parametrize("mode", ["c", "r+"])
def test_letting_go_keeps_what_was_written(tmp_path, mode):
    array = mapped(tmp_path, "a", np.zeros((5000, 3)), mode)
    array[7:] = 1.0
    let_go(array[2:])
    assert array.sum() == 3 * 4993
    assert np.load(tmp_path / "a.npy").sum() == (0 if mode == "c" else 3 * 4993)


def spoiled(change):
    out = [v.copy() for v in VIEWS]
    out[1] = change(out[1])
    return out


def read_only(x):
    x.flags.writeable = False
    return x


OUT_ERRORS = {
    "read-only": (spoiled(read_only), {}, r"out\[1\] is read-only; expected a writable NumPy array \(1101, 4\) of float64"),
    "rows": (
        spoiled(lambda x: x[1:]),
        {},
        r"out\[1\] has shape \(1100, 4\) and dtype float64; expected .* \(1101, 4\) of",
    ),
    "columns": (spoiled(lambda x: x[:, 1:]), {}, r"out\[1\] has shape \(1101, 3\) and dtype"),
    "dtype": (spoiled(np.float32), {}, r"out\[1\] has shape \(1101, 4\) and dtype float32; expected .* of float64"),
    "list": (spoiled(np.ndarray.tolist), {}, r"out\[1\] is a list; expected a writable NumPy array"),
    "count": (spoiled(lambda x: x)[:2], {}, r"out is not a sequence of 3 arrays; expected a list with one array per view"),
    "dict": (dict(enumerate(VIEWS)), {}, r"out is not a sequence of 3 arrays"),
    "no pair": (spoiled(lambda x: x), {"return_std": True}, r"out is not a pair; with return_std=True expected"),
    "second": (
        [spoiled(lambda x: x), spoiled(read_only)],
        {"return_std": True},
        r"out\[1\]\[1\] is read-only; expected a writable NumPy array",
    ),
}


@pytest.mark.parametrize(("out", "options", "message"), OUT_ERRORS.values(), ids=OUT_ERRORS.keys())
def test_an_unfit_out_is_refused_before_any_work(out, options, message, monkeypatch):
    model = fitted()  # before work is forbidden
    monkeypatch.setattr("jpvae.inference.predictor.Predictor.blocks", lambda *_: pytest.fail("work began"))
    monkeypatch.setattr("jpvae.views.outputs.write", lambda *_: pytest.fail("writing began"))
    with pytest.raises(ViewError, match=message):
        model.impute(VIEWS, MASK, out=out, **options)


def test_an_unfit_dict_is_refused():
    model = JPVAE(**OPTIONS | {"steps": 1}).fit(dict(zip("abc", VIEWS, strict=True)), MASK)
    views = dict(zip("abc", VIEWS, strict=True))
    with pytest.raises(ViewError, match=r"out is \['a', 'b'\]; expected a dict with one array for each of \['a', 'b', 'c'\]"):
        model.impute(views, MASK, out={"a": VIEWS[0], "b": VIEWS[1]})
    with pytest.raises(ViewError, match=r"out is a list; expected a dict with one array for each of"):
        model.impute(views, MASK, out=VIEWS)


LATE = [  # a value far behind the first block
    (np.nan, r"view 'view2', row 1090, column 1 is nan; expected a finite number"),
    (1e300, r"view 'view2', row 1090, column 1 is 1e\+300, beyond float32 once scaled"),
]


@pytest.mark.parametrize(("value", "message"), LATE, ids=["nan", "too large"])
def test_a_bad_value_in_a_late_block_is_found_before_anything_is_written(tmp_path, value, message):
    model = JPVAE(**OPTIONS | {"steps": 1, "dtype": "float32"}).fit(VIEWS, MASK)
    views, mask = [v.copy() for v in VIEWS], MASK.copy()
    views[2][1090, 1], mask[1090] = value, True
    given, out = [mapped(tmp_path, i, v) for i, v in enumerate(views)], empty(tmp_path, views)
    with pytest.raises(ViewError, match=message):
        model.impute(given, mask, out=out)
    assert all((a == 0).all() for a in on_disk(out))


def test_a_bernoulli_value_in_a_late_block_is_named_by_its_row():
    views = [(v > 0).astype(float) for v in VIEWS]
    model = JPVAE(**OPTIONS | {"steps": 1, "likelihood": "bernoulli"}).fit(views)
    views[0][1090, 4] = 1.5
    with pytest.raises(ViewError, match=r"view 'view0', row 1090, column 4 is 1\.5; a Bernoulli likelihood expects values in"):
        model.impute(views)


def test_a_run_that_was_stopped_leaves_no_number_that_is_none(tmp_path, monkeypatch):
    """Stopped in the second block: all that is not NaN is right, and in the blocks not reached every hole is NaN."""
    expected, out, calls = fitted().impute(VIEWS, MASK, n_draws=2), empty(tmp_path, VIEWS), []
    engine = fitted().predictor().engine
    decode = engine.decode

    def stopping(*arguments):
        calls.append(arguments)
        if len(calls) == 5:  # three views a block
            raise KeyboardInterrupt
        return decode(*arguments)

    monkeypatch.setattr(engine, "decode", stopping)
    with pytest.raises(KeyboardInterrupt):
        fitted().impute(VIEWS, MASK, n_draws=2, out=out)
    for found, whole, seen in zip(on_disk(out), expected, MASK.T, strict=True):
        written = ~np.isnan(found)
        assert np.array_equal(found[written], whole[written])
        assert written[seen].all()
        assert written[:BLOCK].all()
        assert not written[BLOCK:][~seen[BLOCK:]].any()
