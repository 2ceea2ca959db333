"""Files whose checksum is right and whose content means harm: each is a CheckpointError, and none becomes a model."""

import json

import numpy as np
import pytest
from ended_runs import Killed, kill
from forged_files import forged, header_of, rewritten
from safetensors.numpy import load_file
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError

VIEWS, MASK = three_views(80, 3)
SHORT = OPTIONS | {"steps": 60, "hidden": (4,), "backend": "numpy"}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("forged") / "c"
    JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=path)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    (tmp_path / "c").write_bytes(content)
    return tmp_path / "c"


def refused(path, message):
    """By load, and by a fit that would go on from it."""
    with pytest.raises(CheckpointError, match=message):
        JPVAE.load(path)
    with pytest.raises(CheckpointError):
        JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=path)


def changed(array, at, value):
    copy = array.copy()
    copy.flat[at] = value
    return copy


NUMBERS = [
    (f"{array}", value, message)
    for array, values in {
        "scaling.1.scale": (np.nan, np.inf, -np.inf, 0.0, -1.0),
        "scaling.0.location": (np.nan, np.inf),
        "parameters.encoder.0.0.weight": (np.nan, -np.inf),
        "moments.mean": (np.nan,),
        "adam.v.encoder.0.0.weight": (np.nan,),
    }.items()
    for value in values
    for message in [rf"'{array}' has an entry that is not (finite|positive)"]
]


@pytest.mark.parametrize(("name", "value", "message"), NUMBERS, ids=[f"{name}={value}" for name, value, _ in NUMBERS])
def test_numbers_that_are_none(path, name, value, message):
    rewritten(path, {name: changed(load_file(path)[name], 0, value)})
    refused(path, message)


@pytest.mark.parametrize("kind", ["float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["parameters.prior.logits", "scaling.0.scale", "adam.m.prior.logits", "moments.mean"])
def test_kinds_of_numbers_that_we_never_write(path, name, kind):
    rewritten(path, {name: load_file(path)[name].astype(kind)})
    refused(path, rf"'{name}' has dtype {kind}; expected float32 or float64")


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1)])
def test_kinds_of_numbers_that_numpy_lacks(path, kind, size):
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8:end]), content[end:]
    entry = header["parameters.prior.logits"]
    first, last = entry["data_offsets"]
    count, cut = int(np.prod(entry["shape"])), (last - first) - int(np.prod(entry["shape"])) * size
    entry |= {"dtype": kind, "data_offsets": [first, first + count * size]}
    for name, other in header.items():
        if name != "__metadata__" and other["data_offsets"][0] >= last:
            other["data_offsets"] = [offset - cut for offset in other["data_offsets"]]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[: first + count * size] + data[last:])
    refused(path, f"'parameters.prior.logits' is of {kind}, which NumPy lacks")


RECORD = {"loss": 1.0, "seconds": 1.0, "step": 50}
HISTORIES = {
    "a text": "loss",
    "a number": 3,
    "null": None,
    "an object": {"loss": 1.0},
    "texts": ["loss"],
    "nulls": [None],
    "no step": [{"loss": 1.0, "seconds": 1.0}],
    "no loss": [{"step": 50, "seconds": 1.0}],
    "no seconds": [{"step": 50, "loss": 1.0}],
    "a step that is none": [RECORD | {"step": "50"}],
    "a step of true": [RECORD | {"step": True}],
    "step 0": [RECORD | {"step": 0}],
    "beyond its steps": [RECORD | {"step": 61}],
    "backwards": [RECORD, RECORD | {"step": 40}],
    "twice": [RECORD, RECORD],
    "a loss that is a text": [RECORD | {"loss": "low"}],
    "a loss of true": [RECORD | {"loss": True}],
    "too few views": [RECORD | {"reconstruction": [1.0, 2.0]}],
    "nested": [RECORD | {"extra": {"a": 1}}],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
def test_histories_that_are_none(path, history):
    header = json.loads(header_of(path)["header"])
    rewritten(path, header=json.dumps(header | {"history": history}))
    refused(path, r"damaged header \(its history|is damaged")


@pytest.mark.parametrize("steps", [None, True, 0, -1, 2.5, "60", 10**30])
def test_numbers_of_steps_that_are_none(path, steps):
    header = json.loads(header_of(path)["header"])
    rewritten(path, header=json.dumps(header | {"step": steps}))
    with pytest.raises(CheckpointError):
        JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=path)
    if steps != 10**30:  # a number of steps like any other to who goes on with nothing
        refused(path, r"damaged header \(its history")


@pytest.mark.parametrize("window", [None, 3, "x", [None], [{}], [{"loss": "x"}], [{"loss": 1.0}] * 61])
def test_windows_that_are_none(path, window):
    header = json.loads(header_of(path)["header"])
    rewritten(path, header=json.dumps(header | {"window": window}))
    refused(path, r"damaged header \(the steps since its last record")


@pytest.mark.parametrize("depth", [100, 900, 50_000])
@pytest.mark.parametrize("place", ["likelihood", "view_slices", "columns", "history", "report", "model"])
def test_nesting(path, place, depth):
    header = json.loads(header_of(path)["header"])
    target = header["options"] if place in ("likelihood", "view_slices") else header
    target[place] = "@"
    text = json.dumps(header).replace('"@"', "[" * depth + "]" * depth)
    rewritten(path, header=text)
    refused(path, "damaged")


def test_a_saved_model_of_a_checkpoint_without_a_record(tmp_path):
    """A training that was killed before its first record: what it left loads, imputes, and is saved again."""
    with pytest.raises(Killed):
        JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=tmp_path / "c", checkpoint_every=7, on_log=kill)
    model = JPVAE.load(tmp_path / "c")
    assert (model.history_, model.n_iter_) == ([], 49)
    model.save(tmp_path / "again")
    again = JPVAE.load(tmp_path / "again")
    assert all(np.array_equal(a, b) for a, b in zip(again.impute(VIEWS, MASK), model.impute(VIEWS, MASK), strict=True))


def test_a_forgery_of_the_same_content_is_the_same_model(path):
    """Its checksum is right: else these tests would be of another error."""
    before = JPVAE.load(path).parameters_
    forged(path, load_file(path))
    assert all(np.array_equal(x, before[name]) for name, x in JPVAE.load(path).parameters_.items())
