"""Damaged and forged checkpoints: mutants of a real file, thoroughly 10,000, give one clean error each, or the very same model.

A damaged file is one that nobody meant: a bit, a byte, a length, an end is not what it was. A forged one has a true checksum.
"""

import builtins
import json
import pickle
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load, save
from synthetic import three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError
from jpvae.files import checkpoints

OPTIONS = {"latent_dims": 2, "prior": "canonical", "likelihood": "gaussian", "hidden": (2,), "backend": "numpy"}
STEPS = {"steps": 60, "early_stopping": True, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A file that training can go on from: parameters, Adam's moments, the best so far, scaling, moments."""
    path = tmp_path_factory.mktemp("original") / "c"
    JPVAE(**OPTIONS, **STEPS).fit(*three_views(40, 2), checkpoint=path)
    return path.read_bytes()


def overwrite(path, content):
    """As write_bytes; opening a file to empty it first takes a disk a hundred times as long."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def contents(model):
    """Everything that was in the file, as text."""
    kept = {name: value for name, value in vars(model).items() if name not in ("_predictor", "_fitted")}
    return json.dumps(kept, default=lambda x: x.tolist() if hasattr(x, "tolist") else vars(x), sort_keys=True)


def cut(content):
    """Header and tensors of a .safetensors file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def joined(header, tensors):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    7,
    10**12,
    2**63,
    10**30,
    -0.5,
    1e308,
    float("nan"),
    "",
    "x",
    "F16",
    [],
    [3],
    {},
    {"a": [1]},
    "9" * 5000,
]


def anywhere(rng, value):
    """A copy of a JSON value with one of its parts replaced, deleted or doubled."""
    if isinstance(value, dict | list) and value and rng.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(rng.integers(len(keys)))]
        changed = value.copy()
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = anywhere(rng, value[key])
        return changed
    if isinstance(value, int | float) and rng.random() < 0.3:
        return value + int(rng.integers(-8, 9))
    return VALUES[int(rng.integers(len(VALUES)))]


def length(rng, content):
    size = int.from_bytes(content[:8], "little")
    near, any_size = max(0, size + int(rng.integers(-40, 40))), int(rng.integers(2**63))
    return (near if rng.random() < 0.5 else any_size).to_bytes(8, "little") + content[8:]


def bytes_of(rng, content, first, last):
    mutant = bytearray(content)
    for at in rng.integers(first, last, int(rng.integers(1, 5))):
        mutant[at] = mutant[at] ^ (1 << int(rng.integers(8))) if rng.random() < 0.5 else int(rng.integers(256))
    return bytes(mutant)


def end_of(rng, content):
    if rng.random() < 0.3:
        return content + rng.bytes(int(rng.integers(1, 100)))
    return content[: int(rng.integers(len(content)))]


DAMAGES = {
    "header length": length,
    "header bytes": lambda rng, x: bytes_of(rng, x, 8, 8 + int.from_bytes(x[:8], "little")),
    "any bytes": lambda rng, x: bytes_of(rng, x, 0, len(x)),
    "header entries": lambda rng, x: joined(anywhere(rng, cut(x)[0]), cut(x)[1]),
    "end": end_of,
}


@pytest.mark.parametrize("count", [200, pytest.param(1700, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_an_error_or_the_same_model(original, tmp_path, monkeypatch, kind, count):
    path, rng, refused = tmp_path / "c", np.random.default_rng(list(DAMAGES).index(kind)), 0
    path.write_bytes(original)
    expected = contents(JPVAE.load(path))
    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(builtins, name, None)
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    for _ in range(count):
        overwrite(path, DAMAGES[kind](rng, original))
        try:
            found = contents(JPVAE.load(path))
        except CheckpointError as error:
            refused += str(path) in str(error)
        else:
            assert found == expected
    assert refused > 0.94 * count  # most mutants have lost something


@pytest.mark.parametrize("count", [200, pytest.param(1500, marks=pytest.mark.thorough)])
def test_a_forged_file_is_an_error_or_the_same_parameters(original, tmp_path, count):
    """Its checksum is right: what the header claims must be believed, or refused for what it says."""
    path, rng, refused = tmp_path / "c", np.random.default_rng(9), 0
    path.write_bytes(original)
    metadata, tensors, expected = cut(original)[0]["__metadata__"], load(original), JPVAE.load(path).parameters_
    header = json.loads(metadata["header"])
    for _ in range(count):
        text = json.dumps(anywhere(rng, header))
        overwrite(path, save(tensors, metadata | {"header": text, "checksum": checkpoints.checksum(tensors, text)}))
        try:
            found = JPVAE.load(path).parameters_
        except (CheckpointError, ConfigError):  # the latter for a backend, device or dtype that does not exist here
            refused += 1
        else:
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[name], x) for name, x in expected.items())
    assert 0.2 * count < refused < count


CLAIMS = {
    "features": {"features": [10**12, 4, 3]},
    "latents": {"latent_dims": [10**9, 10**9, 10**9]},
    "layers": {"hidden": [10**9]},
    "many layers": {"hidden": [2] * 100_000},
    "rank": {"rank": 10**12},
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
def test_sizes_that_a_header_claims_are_not_made(original, tmp_path, claim):
    path, tensors, metadata = tmp_path / "c", load(original), cut(original)[0]["__metadata__"]
    header = json.loads(metadata["header"])
    text = json.dumps(header | {"model": header["model"] | claim})
    path.write_bytes(save(tensors, metadata | {"header": text, "checksum": checkpoints.checksum(tensors, text)}))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"do not match its (header|model)|damaged header"):
            JPVAE.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(original) + 64 * len(text)  # some objects per entry of a list in the header


def test_a_header_that_nests_too_deep(original, tmp_path):
    path, tensors, metadata = tmp_path / "c", load(original), cut(original)[0]["__metadata__"]
    text = "[" * 100_000
    path.write_bytes(save(tensors, metadata | {"header": text, "checksum": checkpoints.checksum(tensors, text)}))
    with pytest.raises(CheckpointError, match="damaged header"):
        JPVAE.load(path)


def test_files_of_the_first_version_are_read(original, tmp_path):
    path, metadata = tmp_path / "c", cut(original)[0]["__metadata__"]
    path.write_bytes(original)
    expected = JPVAE.load(path)
    header = json.loads(metadata["header"])
    for name in ("early_stopping", "validation_fraction", "patience", "max_gradient_norm"):
        del header["options"][name]
    tensors = {name: x for name, x in load(original).items() if not name.startswith("best.")}
    del header["best"], header["report"]
    path.write_bytes(save(tensors, {"format": "jpvae", "version": "1", "header": json.dumps(header)}))
    found = JPVAE.load(path)
    assert found.report_ is None
    assert found.early_stopping is False
    assert all(np.array_equal(x, tensors[f"parameters.{name}"]) for name, x in found.parameters_.items())
    assert found.history_ == expected.history_
