"""What jpvae fit, inspect, impute and evaluate refuse: one message before any work, and no file."""

import os
import shutil

import numpy as np
import pytest
from commands import assert_refused
from table_files import write
from table_session import MIXED_WORDS, OUT, TABLES, WORDS, M, X, views

from jpvae import JPVAE
from jpvae.files import checkpoints


def spoil(folder):
    """Files that do not go with the model of a, b and c."""
    a = TABLES["a"]
    write(folder / "unknown.csv", a.rename(columns={"a1": "a9"}))
    write(folder / "numbers.csv", a.assign(who=range(len(a))))
    write(folder / "flags.csv", a.rename(columns={"a0": "imputed"}))
    write(folder / "other_id.csv", a.rename(columns={"who": "subject"}))
    np.save(folder / "wide.npy", np.zeros((3, 9)))
    np.save(folder / "short.npy", np.zeros((3, 3)))
    for name, file in (("x", "nobody"), ("y", "nobody_else")):
        array = np.load(folder / f"{name}.npy")
        array[4] = np.nan
        np.save(folder / f"{file}.npy", array)
    (folder / "deep.toml").write_text(f"seed = {'[' * 5000}")
    (folder / "used").mkdir()
    (folder / "used" / "mine.txt").write_text("mine")
    (folder / "foreign.safetensors").write_bytes(b"0123456789")
    (folder / "truncated.safetensors").write_bytes((folder / M).read_bytes()[:-9])
    (folder / "newer.safetensors").write_bytes((folder / M).read_bytes().replace(b'"version":"2"', b'"version":"9"'))
    (folder / "new_stage.csv").write_text("who,stage,crp\np1,I,0.5\np777,IV,0.1\n")
    (folder / "negative.csv").write_text("visits,who,score\n3,p1,0.5\n-1,p777,0.1\n")
    (folder / "infinite.csv").write_text("who,a0,a1,a2\np777,1.0,inf,2.0\n")
    (folder / "twice.csv").write_text("who,z\np777,1.0\np777,2.0\n")
    (folder / "empty.csv").write_text("who,z\np777,\np778,2.0\n")
    (folder / "blank.csv").write_text("".join(["who,z\n", *(f"{who},\n" for who in a["who"])]))
    (folder / "identifier.csv").write_text("who,name\np001,Ann\np002,Bo\np003,Cy\n")
    tensors, header = checkpoints.load(folder / M)
    header["columns"][0]["names"] = ["imputed", "a1", "a2"]
    checkpoints.save(folder / "flags.safetensors", tensors, header)


@pytest.fixture(scope="module")
def spoilt(ready, tmp_path_factory):
    """A folder with all of them, in which nothing may change."""
    path = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(ready, path, dirs_exist_ok=True)
    spoil(path)
    return path


WITH_ID = [*views(WORDS), "--id", "who", "--out", "f"]
READ = ["fit", *views(WORDS), "--id", "who", "--out", "f"]
REFUSED = {
    "unknown column": (["impute", M, *views(["a=unknown.csv"]), *OUT], "unknown columns ['a9'], and no columns ['a1']"),
    "unknown view": (["impute", M, *views(["d=a.csv"]), *OUT], "--view names ['d'], which the model does not have"),
    "other id": (["impute", M, *views(["a=other_id.csv"]), *OUT], "has no column 'who' (the id); its columns are 'subject'"),
    "arrays for tables": (["impute", M, *views(["a=x.npy"]), *OUT], "view 'a' (x.npy) has no ids, where 'who' is to match"),
    "tables for arrays": (["impute", X, *views(["x=a.csv"]), *OUT], "is a table, whose rows are matched by an id"),
    "width": (["impute", X, *views(["x=wide.npy"]), *OUT], "view 'x' has 9 columns; expected 4, as in fit"),
    "row counts": (["impute", X, *views(["x=x.npy", "y=short.npy"]), *OUT], "their row counts differ: {'x.npy': 700"),
    "nobody": (
        ["impute", X, *views(["x=nobody.npy", "y=nobody_else.npy"]), *OUT],
        "row 4 of the arrays has no value in any of the given views (1 such rows)",
    ),
    "used folder": (["impute", M, *views(["a=a.csv"]), "--out", "used"], "--out is 'used', a folder that contains files"),
    "no model": (["impute", "no.safetensors", *views(["a=a.csv"]), *OUT], "no.safetensors': there is no such file"),
    "no checkpoint": (["inspect", "foreign.safetensors"], "'foreign.safetensors' is damaged or not a .safetensors file"),
    "figure of another kind": (["inspect", M, "--figure", "map.xyz"], "ends in one of .png, .pdf, .svg, .jpg"),
    "an empty size": (["fit", *views(WORDS), "--id", "who", "--out", "f", "--hidden", "64,,64"], "--hidden is '64,,64'"),
    "figure nowhere": (["inspect", M, "--figure", "no/map.png"], "in a folder that does not exist"),
    "name of ours": (
        ["impute", "flags.safetensors", *views(["a=flags.csv"]), *OUT],
        "has a column 'imputed', which the results",
    ),
    "no view": (["fit", "--id", "who", "--out", "f"], "Missing option '--view'"),
    "no id": (["fit", *views(["a=a.csv"]), "--out", "f"], "name the id column with --id, such as --id subject"),
    "no folder": (["fit", *views(WORDS), "--id", "who", "--out", "no/f"], "in a folder that does not exist; create it first"),
    "likelihood of": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--likelihood", "z=gaussian"],
        "--likelihood is 'z=gaussian'",
    ),
    "likelihood": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--likelihood", "a=normal"],
        "--likelihood is 'a=normal'; expected KIND to be one of bernoulli, categorical, gaussian,",
    ),
    "likelihood of a module": (
        ["fit", *WITH_ID, "--likelihood", "shapes:Laplace"],
        "--likelihood is 'shapes:Laplace'; expected",
    ),
    "backend": (["fit", *WITH_ID, "--backend", "jaxx"], "'jaxx' is not one of 'jax', 'numpy', 'torch', 'auto'."),
    "backend of a module": (["impute", M, *views(["a=a.csv"]), *OUT, "--backend", "a:B"], "'--backend': 'a:B' is not one of"),
    "rule": (["impute", M, *views(["a=a.csv"]), *OUT, "--impossible", "no"], "'no' is not one of 'error', 'missing'"),
    "dims": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--latent-dims", "2,x"],
        "--latent-dims is '2,x'; expected integers",
    ),
    "too few dims": (["fit", *views(WORDS), "--id", "who", "--out", "f", "--latent-dims", "2,3"], "latent_dims is (2, 3)"),
    "prior": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--prior", "best"],
        "'--prior': 'best' is not one of 'canonical', 'orthogonal', 'svd', 'independent'",
    ),
    "likelihood of a column": (
        ["fit", *views(MIXED_WORDS), "--id", "who", "--out", "f", "--likelihood", "ma:height=gaussian"],
        "likelihood names the column 'height' of view 'ma'; expected one of ['sex', 'age', 'smoker', 'bmi']",
    ),
    "likelihood twice": (
        ["fit", *WITH_ID, "--likelihood", "a=gaussian", "--likelihood", "a:a0=student_t"],
        "--likelihood sets view 'a' to 'gaussian' and also sets its columns ['a0']",
    ),
    "weight of": (["fit", *WITH_ID, "--view-weight", "z=2"], "--view-weight is 'z=2'; expected VIEW=NUMBER"),
    "weight": (["fit", *WITH_ID, "--view-weight", "a=much"], "--view-weight is 'a=much'; expected VIEW=NUMBER"),
    "early stopping": (
        ["fit", *WITH_ID, "--early-stopping", "soon"],
        "--early-stopping is 'soon'; expected a fraction of the rows",
    ),
    "empty cell": (
        ["fit", *views(MIXED_WORDS), "--id", "who", "--out", "f"],
        "column 'bmi' is nan; expected a finite number. Only a row that is NaN in every column of the view counts as missing",
    ),
    "new category": (
        ["impute", "mixed.safetensors", *views(["mc=new_stage.csv"]), *OUT],
        "view 'mc', row p777, column 'stage' is 'IV', a category that was absent from training; expected one of "
        "['I', 'II', 'III']",
    ),
    "negative count": (
        ["impute", "mixed.safetensors", *views(["mb=negative.csv"]), *OUT],
        "view 'mb', row p777, column 'visits' is -1; a count likelihood expects whole numbers",
    ),
    "infinite": (["impute", M, *views(["a=infinite.csv"]), *OUT], "column 'a1' is inf; expected a finite number"),
    "duplicate ids": (["fit", *views(["a=twice.csv"]), "--id", "who", "--out", "f"], "'who' has 'p777' more than once"),
    "no values": (
        ["fit", *views(["a=empty.csv"]), "--id", "who", "--out", "f"],
        "who 'p777' has no value in any of the ",
    ),
    "empty view": (
        ["fit", *views(["a=a.csv", "b=blank.csv"]), "--id", "who", "--out", "f"],
        "view 'b' is missing in every row; expected at least one observed row to learn it from",
    ),
    "identifier": (
        ["fit", *views(["a=a.csv", "c=identifier.csv"]), "--id", "who", "--out", "f"],
        "view 'c', column 'name' has 3 categories in 3 rows; expected at most 100, and fewer than rows",
    ),
    "newer": (["impute", "newer.safetensors", *views(["a=a.csv"]), *OUT], "has format version '9'; this release reads"),
    "truncated": (["impute", "truncated.safetensors", *views(["a=a.csv"]), *OUT], "is damaged or not a .safetensors file"),
    "two lengths": (["fit", *views(WORDS), "--id", "who", "--out", "f", "--epochs", "3", "--steps", "9"], "--epochs is 3 and"),
    "all held out": (["evaluate", M, *views(WORDS), "--held-out", "1"], "--held-out is 1.0; expected a part of the rows"),
    "none held out": (["evaluate", M, *views(WORDS), "--held-out", "0.001"], "none of the 0 held-out rows has view 'a'"),
    "views missing": (["evaluate", M, *views(WORDS[:2])], "--view lacks ['c']; expected every view of the model"),
    "no column to drop": ([*READ, "--drop", "a:a9"], "has no columns ['a9'], which options of reading name; its columns are"),
    "no column of a code": ([*READ, "--na", "b:b9=?"], "has no columns ['b9'], which options of reading name"),
    "the ids dropped": ([*READ, "--drop", "a:who"], "--drop names the column 'who', which has the ids"),
    "a code that is no number": ([*READ, "--sentinel", "a:a1=high"], "--sentinel is 'a:a1=high'; expected a number"),
    "a name like a picture": (["fit", *views(["a=:x:.csv"]), "--id", "who", "--out", "f"], "view 'a' (:x:.csv): there is no"),
    "a folder of options": (["fit", "--config", "used", "--out", "f"], "--config is 'used', which cannot be read (Is a"),
    "deep options": (["fit", "--config", "deep.toml", "--out", "f"], "--config is 'deep.toml', which is not TOML ("),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_one_message_before_any_work(command, spoilt, monkeypatch, arguments, message):
    monkeypatch.chdir(spoilt)
    before = sorted(os.listdir(spoilt))
    assert_refused(command, arguments, message)
    assert sorted(os.listdir(spoilt)) == before


@pytest.mark.usefixtures("folder")
def test_a_folder_that_is_read_only_is_refused_before_the_model_is_read(command, monkeypatch):
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)  # (root may write anywhere)
    monkeypatch.setattr(JPVAE, "load", None)
    for arguments in (["impute", M, *views(["a=a.csv"]), *OUT], ["fit", *views(WORDS), "--id", "who", "--out", "f"]):
        code, _, err = command(*arguments)
        assert code == 2
        assert "you may not write" in err


REPORT = {"latents": 2, "active": 2, "kl": [1.0, 0.5], "variance": [1.0, 1.0], "collapsed": False}
DAMAGES = {
    "index name": {"index_name": 3},
    "no report": {"report": []},
    "view of the report": {"report": {"views": {"z": REPORT}, "advice": ""}},
    "numbers of the report": {"report": {"views": {"a": REPORT | {"kl": ["x", "y"]}}, "advice": ""}},
    "sizes of the report": {"report": {"views": {"a": REPORT | {"latents": 3}}, "advice": ""}},
    "lists of the report": {"report": {"views": {"a": REPORT | {"kl": [1.0], "variance": [1.0] * 3}}, "advice": ""}},
    "advice": {"report": {"views": {"a": REPORT}, "advice": 3}},
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_words_on_the_tables(command, damage):
    tensors, header = checkpoints.load(M)
    checkpoints.save("bad.safetensors", tensors, header | damage)
    code, out, err = command("inspect", "bad.safetensors")
    assert (code, out) == (2, "")
    assert "the file is damaged" in err or "has a damaged header" in err
    assert "Traceback" not in err
