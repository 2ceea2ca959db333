"""Every leaf and every branch of a file's header, replaced by odd values under a true checksum: `load`, and all that is done
with what it gives, end in an error of the package's own, or as ever."""

import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from commands import invoke
from forged_files import header_of
from safetensors.numpy import load_file

from jpvae import JPVAE
from jpvae.commands.arguments import typed
from jpvae.errors import CheckpointError, ConfigError, ViewError
from jpvae.files import checkpoints
from jpvae_core import JPVAEError

RNG, N = np.random.default_rng(3), 30
TABLES = {
    "a": pd.DataFrame(
        {
            "age": [math.nan, *RNG.normal(40, 5, N - 1)],
            "sex": [("f", "m", "x")[k % 3] for k in range(N)],
            "site": np.arange(N) % 3 * 10,
            "visits": RNG.poisson(3, N),
        }
    ),
    "b": pd.DataFrame(RNG.standard_normal((N, 2)), columns=["x", "y"]),
}
LIKELIHOOD = {"a": {"site": "categorical", "visits": "poisson_unscaled"}, "b": "gaussian"}
FIT = {
    "latent_dims": 2,
    "hidden": (2,),
    "steps": 60,
    "backend": "numpy",
    "progress": False,
    "ensemble": 2,
    "early_stopping": True,
}
ODD = [None, True, -1, 0, 2, 1e308, math.nan, math.inf, 10**400, "", "../../x", [], {}, [[]], {"a": 1}, [None], ["a", "a"]]
ODD += ["\ud800x", "\x00"]
DELETED = object()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "m"
    table = {"id": "subject", "missing": [[None, "?"]], "drop": ["left"]}
    metadata = {"tables": {"a": table, "b": {"id": "subject"}}, "command": ["jpvae", "fit"]}
    model = JPVAE(**FIT, likelihood=LIKELIHOOD, entries="marginalise").fit(TABLES, checkpoint=path, metadata=metadata)
    return load_file(path), json.loads(header_of(path)["header"]), model


def places(value, at=()):
    """Those of all parts of a JSON value, of a long list the first three."""
    yield at
    keys = value if isinstance(value, dict) else range(min(3, len(value))) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*at, key))


def put(value, at, new):
    """A copy with another part."""
    if not at:
        return new
    copy = value.copy()
    if len(at) == 1 and new is DELETED:
        del copy[at[0]]
    else:
        copy[at[0]] = put(copy[at[0]], at[1:], new)
    return copy


def used(path):
    """What comes of the file: None where it is refused."""
    try:
        model = JPVAE.load(path)
        filled = model.impute(TABLES)
        str(model.report_), model.inferred_, model.levels_
        model.save(path.with_name("again"))
        return filled
    except JPVAEError as error:
        str(error).encode()  # a terminal can print it
        return None


# 1 of 101 of some 5,000; a prime, for each place and each value has its turn.
@pytest.mark.parametrize("every", [101, pytest.param(1, marks=pytest.mark.thorough)])
def test_odd_values_anywhere_in_a_header(kept, tmp_path, every):
    tensors, header, model = kept
    expected, refused = model.impute(TABLES), 0
    cases = [(at, new) for at in places(header) for new in [*ODD, DELETED] if at or new is not DELETED][::every]
    for at, new in cases:
        checkpoints.save(tmp_path / "m", tensors, put(header, at, new))
        filled = used(tmp_path / "m")
        refused += filled is None
        for name, frame in filled.items() if filled else ():
            assert frame.notna().all(axis=None), (at, new)
            assert frame["age" if name == "a" else "x"].iloc[1] == expected[name]["age" if name == "a" else "x"].iloc[1]
    assert 0.5 * len(cases) < refused < len(cases)


FORGED = {
    "a name that is an object": (("columns", 0, "names", 1), {"a": 1}),
    "a name twice": (("columns", 0, "names", 1), "age"),
    "a name of half a character": (("columns", 1, "names", 1), "\ud800x"),
    "levels that are texts": (("columns", 0, "groups", 1, "levels", 0), ["a", "b", "c"]),
    "a level that is a list": (("columns", 0, "groups", 1, "levels", 0, 1), ["a", "a"]),
    "levels that are a number": (("columns", 1, "groups", 0, "levels"), 0),
    "a level of true": (("columns", 0, "groups", 1, "levels", 0, 1), True),
    "levels out of order": (("columns", 0, "groups", 1, "levels", 1), [10.0, 0.0, 20.0]),
    "a level twice": (("columns", 0, "groups", 1, "levels", 1), [0.0, 10.0, 10.0]),
    "a level without end": (("columns", 0, "groups", 1, "levels", 1), [0.0, 10.0, math.inf]),
    "a column of true": (("columns", 0, "groups", 1, "columns", 0), True),
    "a column twice": (("columns", 1, "groups", 0, "columns"), [1, 1]),
    "a size of true": (("columns", 1, "groups", 0, "size"), True),
    "a label twice": (("columns", 0, "labels", 0, 1), ["f", "f", "m"]),
    "a label that is an object": (("columns", 0, "labels", 0, 1, 0), {"f": 1}),
    "labels of no category": (("columns", 0, "labels", 0, 0), 0),
    "a best step that is none": (("best", "loss"), []),
    "a best step beyond the last": (("best", "step"), 61),
    "a loss that no float can hold": (("history", 0, "loss"), 10**400),
    "rows that no integer of 64 bits counts": (("report", "rows"), 10**400),
    "a view of half a unit": (("report", "views", "a", "active"), 0.5),
    "names of a matrix that is not there": (("feature_names",), ["a"]),
    "a width of true": (("model", "features", 0), True),
    "labels that codes are not of": (("columns", 0, "labels", 0, 0), 2),
}


@pytest.mark.parametrize(("at", "new"), FORGED.values(), ids=FORGED.keys())
def test_parts_that_are_none(kept, tmp_path, monkeypatch, capsys, at, new):
    tensors, header, _ = kept
    checkpoints.save(tmp_path / "m", tensors, put(header, at, new))
    with pytest.raises(CheckpointError, match="damaged"):
        JPVAE.load(tmp_path / "m")
    code, _, err = invoke(monkeypatch, capsys, "inspect", tmp_path / "m")
    assert (code, "Traceback" in err) == (2, False)


HALF = "x\udcff"
TEXTS = np.array(["f", "m", HALF] * 10, dtype=object)  # (pandas' own kind of text is UTF-8)
UNWRITABLE = {
    "a column": TABLES["a"].set_axis(pd.Index(["age", "sex", HALF, "visits"], dtype=object), axis=1),
    "the index": TABLES["a"].rename_axis(HALF),
    "a text": TABLES["a"].assign(sex=pd.Series(TEXTS, dtype=object)),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("table", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_what_no_file_could_give_back_is_refused_before_the_training(table):
    with pytest.raises(ViewError, match=r"x\\udcff'; expected (names|texts) that can be written as UTF-8"):
        JPVAE(**FIT, likelihood="infer", entries="marginalise").fit(TABLES | {"a": table})
    with pytest.raises(ConfigError, match="metadata is"):
        JPVAE(**FIT, likelihood="infer", entries="marginalise").fit(TABLES, metadata={"note": HALF})


def test_a_command_of_bytes_that_are_no_text(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["jpvae", "fit", "--out", HALF])
    assert typed() == "jpvae fit --out 'x\\udcff'"


def test_names_of_one_matrix_that_its_views_do_not_have(tmp_path):
    X = pd.DataFrame(RNG.standard_normal((N, 3)), columns=["a", "b", "c"])
    JPVAE(**FIT | {"ensemble": 1, "steps": 5}, likelihood="gaussian", view_slices=(1, 2)).fit(X, checkpoint=tmp_path / "m")
    tensors, header = load_file(tmp_path / "m"), json.loads(header_of(tmp_path / "m")["header"])
    assert list(JPVAE.load(tmp_path / "m").feature_names_in_) == ["a", "b", "c"]
    for names in (["a", "b", "x"], ["b", "a", "c"]):
        checkpoints.save(tmp_path / "m", tensors, header | {"feature_names": names})
        with pytest.raises(CheckpointError, match="names of one matrix"):
            JPVAE.load(tmp_path / "m")
