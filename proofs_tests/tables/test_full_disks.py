"""Results that cannot be written: nothing half-written stays, and nothing that was there is lost."""

import errno
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from table_files import ENDINGS, three_tables

from jpvae.errors import ViewError
from jpvae.tables import writing
from jpvae.tables.arrays import new_array


def half(_, file, **__):
    """A disk that fills up in the middle of a table."""
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


FULL = [(pd.DataFrame, "to_csv", half), (os, "fsync", full), (os, "replace", full)]
if hasattr(os, "posix_fallocate"):  # Linux has it
    FULL.append((os, "posix_fallocate", full))


@pytest.mark.parametrize(("where", "what", "how"), FULL, ids=[what for _, what, _ in FULL])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch, where, what, how):
    def work():
        with writing.new_folder(tmp_path / "filled") as folder:
            writing.write_frame(folder / "a.csv", three_tables()["a"])
            new_array(folder / "b.npy", np.dtype(float), (10, 2))

    monkeypatch.setattr(where, what, how)
    with pytest.raises(OSError, match=r"No space left on device; nothing was written: '.*filled'") as found:
        work()
    assert found.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


REALLY_FULL = """
import os, resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from jpvae.tables import reading, text_files, writing
from jpvae.tables.arrays import new_array

out, frame = Path(sys.argv[1]), pd.DataFrame({"x": np.arange(4000) / 7})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for ending in sys.argv[2:]:
    try:
        with writing.new_folder(out) as folder:
            path = folder / f"a{ending}"
            if ending == ".npz":
                writing.write_arrays(path, {"x": frame.to_numpy()})
            elif ending == ".npy":
                new_array(path, np.dtype(float), frame.shape)
            else:
                writing.write_frame(path, frame)
    except OSError as error:
        print(ending, error, os.listdir(out.parent))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit the size of files")
def test_a_disk_that_is_really_full(tmp_path):
    """The kernel refuses to let a file grow beyond 20,000 bytes, whichever library writes it."""
    endings, out = [*ENDINGS, ".npz", ".npy"], tmp_path / "filled"
    script = [sys.executable, "-c", REALLY_FULL, str(out), *endings]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    lines = [f"{ending} [Errno 27] File too large; nothing was written: '{out}' []" for ending in endings]
    assert done.stdout.splitlines() == lines


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    def stopped():
        with writing.new_folder(tmp_path / "stopped") as folder:
            (folder / "half").write_text("of it")
            raise KeyboardInterrupt

    out = tmp_path / "filled"
    out.mkdir()  # an empty one may be there
    with writing.new_folder(out) as folder:
        writing.write_arrays(folder / "a.npz", {"x": np.zeros((2, 2))})
        assert os.listdir(out) == []
    assert os.listdir(out) == ["a.npz"]
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert os.listdir(tmp_path) == ["filled"]


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a.csv").write_text("")
    for name, message in (
        ("file", "a file; expected the name of a new folder"),
        ("used", "a folder that contains files; expected a new or empty folder"),
        ("no/where", "in a folder that does not exist; create"),
    ):
        with pytest.raises(ViewError, match=message):
            writing.check_new_folder(tmp_path / name)
    writing.check_new_folder(tmp_path / "new")
    monkeypatch.setattr("os.access", lambda *_: False)  # (root may write anywhere)
    with pytest.raises(ViewError, match="where you may not write; choose another folder"):
        writing.check_new_folder(tmp_path / "new")
