"""One writer per path, whose lock names its owner; and what would fail after the work is found before it."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from synthetic import OPTIONS, fitted, three_views

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError, JPVAEError, ViewError
from jpvae.tables import writing
from jpvae.training.callbacks import Callback, JSONLines
from jpvae.writers import only_writer

VIEWS, MASK = three_views(30, 3)
SHORT = OPTIONS | {"steps": 4, "hidden": (4,), "backend": "numpy"}
HOLD = """
import sys
from jpvae.writers import only_writer
with only_writer(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def held(tmp_path):
    """A path whose lock another process holds: (path, the process)."""
    path = tmp_path / "model.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("no_training")
def test_a_second_fit_is_told_who_writes(held):
    path, process = held
    with pytest.raises(CheckpointError, match=rf"which another process is writing \(process {process.pid} on .* since 20"):
        JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=path)


def test_save_and_folders_wait_for_nobody(held, tmp_path):
    path, _ = held
    with pytest.raises(CheckpointError, match="another process is writing"):
        fitted().save(path)
    assert sorted(os.listdir(tmp_path)) == [".model.safetensors.lock"]
    with pytest.raises(CheckpointError, match="another process is writing"), writing.new_folder(path):
        pytest.fail("the folder was made")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not Windows'")
def test_what_a_killed_process_left_locks_nothing(held):
    path, process = held
    process.kill()
    process.wait()
    assert (path.parent / ".model.safetensors.lock").exists()
    fitted().save(path)
    assert os.listdir(path.parent) == [path.name]


def test_two_names_of_one_file_are_one_path(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "m")
    with only_writer(tmp_path / "folder" / "m"), pytest.raises(CheckpointError, match="another process is writing"):
        fitted().save(tmp_path / "link")
    with only_writer(tmp_path / "other"):  # of another file, nobody is kept from writing
        fitted().save(tmp_path / "link")
    assert JPVAE.load(tmp_path / "folder" / "m").view_names_ == fitted().view_names_
    assert (tmp_path / "link").is_symlink()


def test_a_link_to_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "filled").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "filled")
    writing.check_new_folder(tmp_path / "link")
    with writing.new_folder(tmp_path / "link") as folder:
        (folder / "a").write_text("b")
    assert (tmp_path / "filled" / "a").read_text() == "b"
    assert sorted(os.listdir(tmp_path)) == ["filled", "link"]


LONG = "m" * 240  # a name that a file may have, but not with a temporary ending


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", [LONG, "m" * 300, "", 5, b"m", "m\0", "no/such/folder/m", "."])
def test_a_checkpoint_that_cannot_be_written_is_found_before_the_training(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="path is"):
        JPVAE(**SHORT).fit(VIEWS, MASK, checkpoint=name)
    with pytest.raises(CheckpointError, match="path is"):
        fitted().save(name)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("no_training")
def test_arguments_of_fit_are_looked_at_first(tmp_path):
    for call, message in (
        ({"on_log": 5}, "on_log is 5; expected a function"),
        ({"callbacks": 5}, "callbacks is 5; expected a sequence"),
        ({"callbacks": Callback()}, r"callbacks is <.*>; expected a sequence"),
        ({"checkpoint": tmp_path / "c", "checkpoint_every": True}, "checkpoint_every is True; expected an integer"),
        ({"missing": np.ones(2)}, "missing is .*; expected 'error'"),
    ):
        with pytest.raises((ConfigError, ViewError), match=message):
            JPVAE(**SHORT).fit(VIEWS, MASK, **call)
    with pytest.raises(CheckpointError, match=r"path is .* where no file can be written"):
        JPVAE(**SHORT).fit(VIEWS, MASK, callbacks=[JSONLines(tmp_path / LONG)])


def test_a_folder_that_cannot_be_made_is_found_before_the_work(tmp_path):
    with pytest.raises(ViewError, match="where no folder can be created"):
        writing.check_new_folder(tmp_path / LONG)
    assert os.listdir(tmp_path) == []


BAD_NAMES = (
    "",
    ".",
    "..",
    "../up",
    "/etc/x",
    "a/b",
    "a\\b",
    "C:x",
    "a\nb",
    "a\0b",
    "nul",
    "COM1.txt",
    "x" * 151,
    "a.",
    " a",
    "\ud800",
)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_view_that_cannot_be_a_file_is_refused_by_fit(name):
    with pytest.raises(ViewError, match=r"views has the name .*; expected a name that a file can have"):
        JPVAE(**SHORT).fit({"a": VIEWS[0], name: VIEWS[1], "c": VIEWS[2]})


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_forged_file_s_views_are_no_paths(tmp_path, name):
    from test_checkpoints import header_of, rewritten

    fitted().save(tmp_path / "m")
    header = json.loads(header_of(tmp_path / "m")["header"])
    old = header["view_names"][1]
    text = json.dumps(header).replace(json.dumps(old), json.dumps(name))
    rewritten(tmp_path / "m", header=text)
    with pytest.raises(CheckpointError, match=r"has a view named|damaged header"):
        JPVAE.load(tmp_path / "m")


def test_names_that_files_have(tmp_path):
    names = ["RNA seq (2024), v1.2", "протеом", "x" * 150]
    model = JPVAE(**SHORT).fit(dict(zip(names, VIEWS, strict=True)))
    model.save(tmp_path / "m")
    assert JPVAE.load(tmp_path / "m").view_names_ == tuple(names)


def test_impute_writes_into_its_folder_alone(tmp_path):
    """A model file whose view is named ../../ESCAPED, by the command: an error, and no file anywhere."""
    from test_checkpoints import header_of, rewritten

    frames = {n: pd.DataFrame(v, index=pd.Index(range(30), name="id")) for n, v in zip("abc", VIEWS, strict=True)}
    frames = {n: f.rename(columns=lambda j, n=n: f"{n}{j}") for n, f in frames.items()}
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    JPVAE(**SHORT).fit(frames).save(folder / "m")
    header = header_of(folder / "m")["header"]
    rewritten(folder / "m", header=header.replace('"b"', '"../../ESCAPED"'))
    frames["a"].to_csv(folder / "a.csv")
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, "-m", "jpvae", "impute", str(folder / "m"), "--view", f"a={folder / 'a.csv'}"]
    done = subprocess.run([*command, "--out", str(folder / "out")], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_written_is_read_before_it_takes_its_place(tmp_path):
    model = JPVAE(**SHORT).fit(VIEWS, MASK)
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    location, scale = model.scaling_[0]
    model.scaling_[0] = (location, np.where(np.arange(5) == 2, np.nan, scale))
    with pytest.raises(JPVAEError, match="has an entry that is not finite"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]
