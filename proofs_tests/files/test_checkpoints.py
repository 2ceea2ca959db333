"""Checkpoints: a model comes back in another process with the same bits, files are whole or untouched, all others refused."""

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ended_runs import KillAt, Killed
from forged_files import forged, header_of, rewritten
from safetensors.numpy import load_file, save_file
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.atomic import write_atomically
from jpvae.errors import CheckpointError
from jpvae.files import checkpoints
from jpvae.training.callbacks import Callback
from jpvae.training.schedules import Linear
from jpvae.writers import only_writer

VIEWS, MASK = three_views(50, 21)


@pytest.fixture
def saved(tmp_path):
    fitted().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_fresh_process_imputes_the_same_bits(saved, tmp_path):
    script = (
        "import sys, numpy as np; from jpvae import JPVAE\n"
        "data = np.load(sys.argv[2]); model = JPVAE.load(sys.argv[1]); views = [data[k] for k in 'abc']\n"
        "out = [*model.impute(views, data['mask'], n_draws=5), *model.impute(views, data['mask'], method='plug-in'),\n"
        "       *model.impute(views, data['mask'], method='plug-in', moments='training'), *model.sample(3),\n"
        "       np.asarray(model.score(views, data['mask']))]\n"
        "np.savez(sys.argv[3], *out)"
    )
    np.savez(tmp_path / "data.npz", a=VIEWS[0], b=VIEWS[1], c=VIEWS[2], mask=MASK)
    command = [sys.executable, "-c", script, str(saved), str(tmp_path / "data.npz"), str(tmp_path / "out.npz")]
    subprocess.run(command, check=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"})
    model = fitted()
    expected = [
        *model.impute(VIEWS, MASK, n_draws=5),
        *model.impute(VIEWS, MASK, method="plug-in"),
        *model.impute(VIEWS, MASK, method="plug-in", moments="training"),
        *model.sample(3),
        np.asarray(model.score(VIEWS, MASK)),
    ]
    found = np.load(tmp_path / "out.npz")
    assert len(found.files) == len(expected) == 13
    assert all(np.array_equal(found[name], value) for name, value in zip(found.files, expected, strict=True))


def test_options_history_and_names_come_back(tmp_path):
    options = OPTIONS | {"steps": 3, "prior": "orthogonal", "latent_dims": 2, "learn_alpha": True, "beta": Linear(2)}
    model = JPVAE(**options).fit({"rna": VIEWS[0], "protein": VIEWS[1]})  # alpha is one number: an array of no axes
    model.save(tmp_path / "m")
    other = JPVAE.load(tmp_path / "m")
    for name in options.keys() - {"progress", "hidden"}:
        assert getattr(other, name) == options[name]
    assert (other.view_names_, other.history_, other.model_) == (("rna", "protein"), model.history_, model.model_)
    assert np.array_equal(other.impute({"rna": VIEWS[0]})["protein"], model.impute({"rna": VIEWS[0]})["protein"])


def test_raw_parameters_are_stored(saved):
    """The Cayley transform's free entries and the loadings' logits, from which training can go on: not C or rotations."""
    tensors = load_file(saved)
    shapes = {name: tensors[f"parameters.prior.{name}"].shape for name in ("frame.0", "frame.1", "frame.2", "logits")}
    assert shapes == {"frame.0": (3,), "frame.1": (1,), "frame.2": (1,), "logits": (3, 2)}
    for name, value in fitted().parameters_.items():
        assert np.array_equal(tensors[f"parameters.{name}"], value)


def test_there_is_no_pickle_in_the_file(saved, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    JPVAE.load(saved)
    # The whole file is a JSON header and raw float64 numbers: sizes add up to the last byte.
    content, numbers = saved.read_bytes(), sum(x.size for x in load_file(saved).values())
    assert len(content) == 8 + int.from_bytes(content[:8], "little") + 8 * numbers


class FullDisk(io.FileIO):
    """Takes half of what it is given."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(saved, monkeypatch, failing):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "write":
        monkeypatch.setattr(Path, "open", lambda path, mode: FullDisk(path, mode))
    else:
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(CheckpointError, match=r"model.safetensors', which could not be written .*No space left .*untouched"):
        fitted().save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_new_content_replaces_the_old(tmp_path):
    for content in (b"long old content", b"new"):
        write_atomically(tmp_path / "f", content)
    assert (tmp_path / "f").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


def half_precision_file(path):
    head = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"\0\0\0\0")


WRONG_HEADERS = ["null", "[]", "{}", '"text"', "{", '{"options": {"beta": "constant"}}', '{"options": {"beta": ["Step", {}]}}']
DAMAGED = {
    "empty": (lambda p: p.write_bytes(b""), "damaged or not a .safetensors file"),
    "truncated tensors": (lambda p: p.write_bytes(p.read_bytes()[:-5]), "damaged or not a .safetensors file"),
    "truncated header": (lambda p: p.write_bytes(p.read_bytes()[:40]), "damaged or not a .safetensors file"),
    "text": (lambda p: p.write_text("epoch,loss\n" * 20), "damaged or not a .safetensors file"),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps({"w": [1.0] * 99})), "damaged or not a .safetensors file"),
    "foreign": (lambda p: save_file({"w": np.zeros(2)}, p), "from another program; expected one written by JPVAE.save"),
    "foreign, half precision": (half_precision_file, "from another program; expected one written by JPVAE.save"),
    "newer": (lambda p: rewritten(p, version="3"), "has format version '3'; this release reads 1 and 2. Upgrade jpvae"),
    **{f"header {h}": (lambda p, h=h: rewritten(p, header=h), "file is damaged|damaged header") for h in WRONG_HEADERS},
    "other alpha": (
        lambda p: rewritten(p, header=header_of(p)["header"].replace('"alpha": 0.9', '"alpha": 1.9')),
        "alpha is 1.9; expected",
    ),
    "parameter shape": (lambda p: rewritten(p, {"parameters.prior.logits": np.zeros((3, 1))}), "do not match its header"),
    "parameter missing": (
        lambda p: forged(p, {}),
        "do not match its header|InvalidHeader",
    ),  # no tensor at all: safetensors 0.4
    "extra parameter": (lambda p: rewritten(p, {"parameters.prior.C": np.zeros((2, 2))}), "do not match its header"),
    "scaling shape": (lambda p: rewritten(p, {"scaling.1.scale": np.ones(3)}), "do not match its header"),
    "moments shape": (lambda p: rewritten(p, {"moments.mean": np.ones(2)}), "do not match its header"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_refused(saved, damage, message):
    damage(saved)
    with pytest.raises(CheckpointError, match=message):
        JPVAE.load(saved)


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"missing': there is no such file"):
        checkpoints.load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"in a folder that does not exist; create it first"):
        fitted().save(tmp_path / "no" / "model")


INCOMPLETE = {
    "no adam": lambda file: [file.pop(name) for name in list(file) if name.startswith("adam.")],
    "no step": lambda file: file.pop("adam.step"),
    "a shape": lambda file: file.update({"parameters.prior.rotation": np.zeros(7)}),
    "negative step": lambda file: file["header"].update(step=-3),
    "late step": lambda file: file["header"].update(step=99),
    "no history": lambda file: file["header"].pop("history"),
}


@pytest.mark.parametrize("damage", INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_training_does_not_go_on_from_a_damaged_checkpoint(tmp_path, damage):
    path, options = tmp_path / "c", OPTIONS | {"steps": 5}
    JPVAE(**options).fit(three_views(40, 0)[0], checkpoint=path)
    tensors, header = checkpoints.load(path)
    file = tensors | {"header": header}
    damage(file)
    checkpoints.save(path, {name: x for name, x in file.items() if name != "header"}, file["header"])
    with pytest.raises(CheckpointError, match="damaged"):
        JPVAE(**options).fit(three_views(40, 0)[0], checkpoint=path)


@pytest.mark.parametrize(("first", "second"), [("torch", "numpy"), ("numpy", "torch")])
def test_another_engine_goes_on_from_the_file(tmp_path, first, second):
    """A training that one engine began and the other ended is, in float64, the training of either alone."""
    views, mask = three_views(60, 3)
    options = OPTIONS | {"steps": 50, "hidden": (6,), "dtype": "float64"}

    path = tmp_path / "half.safetensors"
    with pytest.raises(Killed):
        JPVAE(**options, backend=first).fit(views, mask, checkpoint=path, checkpoint_every=15, callbacks=[KillAt(40)])
    assert json.loads(header_of(path)["header"])["step"] == 30
    swapped = JPVAE(**options, backend=second).fit(views, mask, checkpoint=path)
    alone = JPVAE(**options, backend=second).fit(views, mask)
    for name, x in alone.parameters_.items():
        # 50 steps; each engine's roundings are some 1e-15 of a parameter.
        np.testing.assert_allclose(swapped.parameters_[name], x, rtol=1e-9, atol=1e-12)


def test_a_model_is_read_on_another_engine(tmp_path):
    views, mask = three_views(60, 3)
    model = JPVAE(**OPTIONS | {"steps": 3, "hidden": (6,), "dtype": "float64"}, backend="torch").fit(views, mask)
    model.save(tmp_path / "m.safetensors")
    read = JPVAE.load(tmp_path / "m.safetensors", backend="numpy", device="cpu")
    assert read.backend == "numpy"
    for a, b in zip(read.impute(views, mask, n_draws=3), model.impute(views, mask, n_draws=3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.usefixtures("no_training")
def test_a_path_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    views, mask = three_views(20, 3)
    with pytest.raises(CheckpointError, match="a folder; expected the name of a file"):
        JPVAE(**OPTIONS).fit(views, mask, checkpoint=tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)  # (root may write anywhere)
    with pytest.raises(CheckpointError, match="in a folder that you may not write to"):
        JPVAE(**OPTIONS).fit(views, mask, checkpoint=tmp_path / "x.safetensors")


def test_a_folder_that_is_removed_during_the_training_is_made_again(tmp_path):
    """With one write before and after, and with the last write alone."""

    class Remove(Callback):
        def on_step(self, step, report):
            if step == 12:
                shutil.rmtree(tmp_path / "runs")

    views, mask = three_views(60, 3)
    for every in (5, 1000):
        (tmp_path / "runs").mkdir(exist_ok=True)
        path = tmp_path / "runs" / "m.safetensors"
        options = OPTIONS | {"steps": 20, "backend": "numpy"}
        model = JPVAE(**options).fit(views, mask, checkpoint=path, checkpoint_every=every, callbacks=[Remove()])
        found = JPVAE.load(path)
        assert all(np.array_equal(found.parameters_[name], x) for name, x in model.parameters_.items())
        path.unlink()


def test_a_disk_too_full_for_a_lock_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jpvae.writers._write_owner", full)
    path, message = tmp_path / "m.safetensors", r"No space left on device; nothing was written: .*m.safetensors"
    with pytest.raises(OSError, match=message), only_writer(path):
        pass
    assert list(tmp_path.iterdir()) == []
