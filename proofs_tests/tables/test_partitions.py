"""Datasets of many files, filled partition by partition: the bits of one process and one table, whoever fills them and however
often they are stopped.

The oracle is ``jpvae impute`` on the tables that the partitions were cut from.
"""

import contextlib
import io
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE, Filler
from jpvae.commands.program import program
from jpvae.errors import ConfigError, ProcessLost, ViewError
from jpvae.tables import on_dask, partitions, results
from jpvae.tables.partitions import Partition, Task
from jpvae.views.reading import BLOCK

PARTS, ROWS = 6, 240
NAMES = ("rna", "protein", "clinic")


def frames():
    """Three tables of the same subjects, whole numbers and texts among their columns, each without some subjects."""
    views, mask = three_views(ROWS, 3)
    ids = pd.Index([f"s{k:03}" for k in range(ROWS)], name="subject")
    made = {}
    for name, view, has in zip(NAMES, views, mask.T, strict=True):
        made[name] = pd.DataFrame(view, ids, [f"{name}{j}" for j in range(view.shape[1])])[has]
    made["clinic"]["visits"] = np.arange(len(made["clinic"])) % 5
    made["clinic"]["group"] = np.where(made["clinic"]["clinic0"] > 0, "high", "low")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """model.safetensors, whole/<view>.parquet and parts/<view>/part.<k>.parquet; view "protein" has no third part."""
    assert BLOCK == 512  # of its true size, which worker processes have: results hang on it by a rounding
    folder = tmp_path_factory.mktemp("dataset")
    tables = frames()
    options = OPTIONS | {"steps": 20, "likelihood": "infer", "latent_dims": 2, "backend": "numpy"}
    everybody = pd.Index([f"s{k:03}" for k in range(ROWS)], name="subject")
    third = everybody[everybody.str[1:].astype(int) % PARTS == 2]
    tables["protein"] = tables["protein"].drop(third, errors="ignore")
    everybody = everybody[np.any([everybody.isin(table.index) for table in tables.values()], axis=0)]
    model = JPVAE(**options).fit({name: table.reindex(everybody) for name, table in tables.items()}, missing="nan")
    model.save(folder / "model.safetensors")
    (folder / "whole").mkdir()
    for name, table in tables.items():
        (folder / "parts" / name).mkdir(parents=True)
        table.reset_index().to_parquet(folder / "whole" / f"{name}.parquet", index=False)
        part = table.index.str[1:].astype(int) % PARTS
        for k in range(PARTS):
            if (part == k).any():
                table[part == k].reset_index().to_parquet(folder / "parts" / name / f"part.{k}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """By view, indexed by subject: filled, and its deviations."""
    views = [f"--view={name}={folder}/whole/{name}.parquet" for name in NAMES]
    command("impute", folder / "model.safetensors", *views, "--out", folder / "expected", "--std")
    return {
        name: pd.read_parquet(folder / "expected" / f"{name}.parquet").set_index("subject").sort_index() for name in parts_of()
    }


def parts_of():
    return [f"{name}{part}" for name in NAMES for part in ("", ".std")]


def command(*arguments):
    """What the command prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        program()(list(map(str, arguments)), standalone_mode=False)
    return output.getvalue()


def words(folder):
    return [f"{name}={folder}/parts/{name}/*.parquet" for name in NAMES]


def task(folder, out, **wanted):
    return Task(str(folder / "model.safetensors"), str(out), {}, results.Wanted(std=True, **wanted))


def check(out, expected):
    """All bits, one schema in all files of a view, and nothing else in the folder."""
    for name, whole in expected.items():
        files = sorted((out / name).iterdir())
        assert [file.name for file in files] == [f"part.{k}.parquet" for k in range(PARTS)]
        parts = [pd.read_parquet(file) for file in files]
        assert len({str(part.dtypes.to_dict()) for part in parts}) == 1
        found = pd.concat(parts).set_index("subject").sort_index()
        pd.testing.assert_frame_equal(found, whole, check_dtype=False, check_exact=True)
    assert {one.name for one in out.iterdir()} == {*expected, "_done", "_run.json"}
    assert all(one.suffix == ".json" for one in (out / "_done").iterdir())


def test_a_dataset_is_filled_as_one_table(folder, expected, tmp_path):
    out = tmp_path / "filled"
    views = [f"--view={name}={folder}/parts/{name}" for name in NAMES]
    words = ["impute", folder / "model.safetensors", *views, "--out", out, "--std", "--json"]
    first = json.loads(command(*words))
    check(out, expected)
    assert (first["partitions"], first["filled_before"], first["subjects"]) == (PARTS, 0, len(expected["rna"]))
    assert first["imputed"] == {name: int(expected[name]["imputed"].sum()) for name in NAMES}
    times = {file: file.stat().st_mtime_ns for file in out.rglob("*.parquet")}
    again = json.loads(command(*words))
    assert again == first | {"filled_before": PARTS}
    assert times == {file: file.stat().st_mtime_ns for file in out.rglob("*.parquet")}


def test_a_run_goes_on_with_what_is_not_done(folder, expected, tmp_path, monkeypatch):
    """Stopped in the second partition, between the files of two of its views."""
    todo, out, replace, count = partitions.partitions(words(folder)), task(folder, tmp_path / "o"), os.replace, []

    def stopping(source, target):
        count.append(target)
        if len(count) == 9:
            raise KeyboardInterrupt
        replace(source, target)

    partitions.begin(out)
    monkeypatch.setattr("jpvae.tables.partitions.os.replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        list(partitions.here(todo, out))
    monkeypatch.undo()
    assert [one.name for one in todo if partitions.done(one, out)] == ["part.0"]
    first = (tmp_path / "o/rna/part.0.parquet").stat().st_mtime_ns
    partitions.begin(out)
    list(partitions.here(todo, out))
    assert (tmp_path / "o/rna/part.0.parquet").stat().st_mtime_ns == first
    check(tmp_path / "o", expected)


def test_a_partition_whose_file_changed_is_filled_again(folder, tmp_path):
    (part, *_), out = partitions.partitions(words(folder)), task(folder, tmp_path / "o")
    copies = tuple(type(source)(source.view, tmp_path / f"{source.view}.parquet") for source in part.sources)
    for source, copy in zip(part.sources, copies, strict=True):
        copy.path.write_bytes(source.path.read_bytes())
    part = Partition("one", copies)
    partitions.begin(out)
    partitions.fill(part, out)
    assert partitions.done(part, out)
    os.utime(copies[0].path, (1, 1))
    assert partitions.done(part, out) is None


def test_another_run_does_not_go_on_in_the_same_folder(folder, tmp_path):
    partitions.begin(task(folder, tmp_path / "o"))
    with pytest.raises(ViewError, match="another model or other options have filled"):
        partitions.begin(task(folder, tmp_path / "o", draws=3))


def test_mistakes_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(on_dask, "_SECONDS", 0.2)
    (tmp_path / "two").mkdir()
    for ending in ("csv", "parquet"):
        (tmp_path / f"two/a.{ending}").touch()
    with pytest.raises(ViewError, match=r"has two files named 'a'; expected different names"):
        partitions.partitions([f"rna={tmp_path}/two"])
    with pytest.raises(ViewError, match=r"has no files; expected a folder of tables"):
        partitions.partitions([f"rna={tmp_path}/none/*.csv"])
    with pytest.raises(ConfigError, match=r"--dask is 'tcp://127.0.0.1:1', where no scheduler answers"):
        list(on_dask.on_dask([], task(folder, tmp_path), "tcp://127.0.0.1:1"))


def test_a_filler_of_frames_gives_the_same_bits(folder, expected):
    """One frame with all views side by side, in pieces of 50 rows."""
    table = pd.concat([pd.read_parquet(folder / f"whole/{name}.parquet").set_index("subject") for name in NAMES], axis=1)
    pieces = [table[start : start + 50].reset_index() for start in range(0, len(table), 50)]
    fill = Filler(folder / "model.safetensors", id="subject", std=True)
    found = list(fill.over(iter(pieces)))
    assert len({str(part.dtypes.to_dict()) for part in found}) == 1
    whole = pd.concat(found).set_index("subject").sort_index()
    assert list(whole) == [*table, *(f"{name}_std" for name in table)]
    for name in NAMES:
        own = [column for column in expected[name] if column != "imputed"]
        pd.testing.assert_frame_equal(whole[own], expected[name][own], check_exact=True, check_dtype=False, check_names=False)
    assert len(fill(table[:0].reset_index())) == 0
    with pytest.raises(ViewError, match=r"frame has no columns \['rna0'\]"):
        fill(table.drop(columns="rna0").reset_index())


@pytest.mark.thorough  # two processes of Dask's take longer to start than all else here
def test_killed_workers_lose_nothing(folder, expected, tmp_path):
    """Two worker processes; both are killed, one after the other, while there is more to do."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    todo, out = partitions.partitions(words(folder)), task(folder, tmp_path / "o")
    partitions.begin(out)
    with on_dask.local_workers(2) as client:
        workers = list(client.run(os.getpid).values())
        filled = on_dask.fill_with(client, todo, out)
        found, times = [], {}
        for worker in workers:
            found.append(next(filled))
            os.kill(worker, signal.SIGKILL)
            times |= {file: file.stat().st_mtime_ns for file in (tmp_path / "o/_done").glob("*.json")}
        found += filled
    assert sorted(part.name for part in found) == [part.name for part in todo]
    partitions.tidy(out)
    assert all(file.stat().st_mtime_ns == at for file, at in times.items())
    check(tmp_path / "o", expected)


@pytest.mark.thorough
def test_without_workers_a_run_ends(folder, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    monkeypatch.setattr(on_dask, "_ALONE", 0.2)
    monkeypatch.setattr(on_dask, "_SECONDS", 0.1)
    cluster = distributed.LocalCluster(n_workers=0, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client, pytest.raises(ProcessLost, match="no worker has been there"):
        list(on_dask.fill_with(client, partitions.partitions(words(folder)), task(folder, tmp_path)))
