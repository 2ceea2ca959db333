"""jpvae fit, inspect, impute, evaluate on files: what they print and write, what they copy to the bit, what they refuse."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import invoke
from table_files import bits, mixed_tables, read, three_tables, views_of, write

from jpvae import JPVAE
from jpvae.files import checkpoints

TABLES = three_tables(0, 60)
FIT = ["--latent-dims", "2", "--hidden", "8", "--steps", "30", "--backend", "numpy"]
ENDINGS = (".csv", ".parquet", ".xlsx")
MIXED, MIXED_ENDINGS = mixed_tables(), (".xlsx", ".csv", ".parquet")
SAID = ["--entries", "marginalise", "--likelihood", "mb:visits=poisson_unscaled", "--view-weight", "ma=2"]
SAID += ["--early-stopping", "0.25,3", "--max-gradient-norm", "5", "--latent-dims", "2,2,2"]


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


def views(words):
    return [word for pair in words for word in ("--view", pair)]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A folder with the tables, a model of them, and two arrays with a model of theirs: made once, copied by ``folder``."""
    path = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        words = views_of(path, TABLES, ENDINGS)
        run(patch, ["fit", *views(words), "--id", "who", "--out", "m.safetensors", *FIT, "--json"])
        words = views_of(path, {f"m{name}": t for name, t in MIXED.items()}, MIXED_ENDINGS)
        run(patch, ["fit", *views(words), "--id", "who", "--out", "mixed.safetensors", *FIT, *SAID, "--json"])
        rng = np.random.default_rng(3)
        u = rng.standard_normal((700, 2))
        for name, c, dtype in (("x", 4, np.float32), ("y", 3, np.float64)):
            values = (u @ rng.standard_normal((2, c)) + 0.1 * rng.standard_normal((700, c))).astype(dtype)
            values[rng.choice(350, 200) + (0 if name == "x" else 350)] = np.nan
            np.save(f"{name}.npy", values)
        run(patch, ["fit", "--view", "x=x.npy", "--view", "y=y.npy", "--out", "arrays.safetensors", *FIT, "--json"])
    return path


def run(patch, arguments):
    from jpvae.commands import main as cli

    patch.setattr("sys.argv", ["jpvae", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert not ended.value.code


@pytest.fixture(autouse=True)
def folder(ready, tmp_path, monkeypatch):
    """A copy of it, the working directory."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORDS = [f"{name}={name}{ending}" for name, ending in zip("abc", ENDINGS, strict=True)]
MIXED_WORDS = [f"m{name}=m{name}{ending}" for name, ending in zip("abc", MIXED_ENDINGS, strict=True)]
EXAMPLES = {
    "fit": "jpvae fit --view rna=rna.csv --view protein=protein.parquet --id subject --out model.safetensors",
    "impute": "jpvae impute model.safetensors --view rna=new.csv --out filled --draws 20",
    "inspect": "jpvae inspect model.safetensors --figure correlations.png",
    "evaluate": "jpvae evaluate model.safetensors --view rna=rna.csv --view protein=protein.parquet",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_shows_an_example_that_parses(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"Example: {EXAMPLES[name]}" in " ".join(out.split())
    code, _, err = command(*EXAMPLES[name].split()[1:], "--help")
    assert (code, err) == (0, "")


def test_fit_says_what_it_found_and_where_the_model_is(command):
    code, out, err = command("fit", *views(WORDS), "--id", "who", "--out", "new.safetensors", *FIT)
    assert (code, err) == (0, "")
    has = {name: set(t["who"]) for name, t in TABLES.items()}
    everyone = set().union(*has.values())
    assert f"{len(everyone)} subjects in 3 views" in out
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    for name, t in TABLES.items():
        ending = ENDINGS["abc".index(name)]
        assert f"{name} {name}{ending} {len(t)} {t.shape[1] - 1} 2" in lines
        assert f"{name} gaussian {', '.join(c for c in t if c != 'who')}" in lines
    for pattern in {tuple(who in has[name] for name in "abc") for who in everyone}:
        rows = sum(tuple(who in has[name] for name in "abc") == pattern for who in everyone)
        words = " ".join("yes" if seen else "–" for seen in pattern)
        assert f"{words} {rows} {100 * rows / len(everyone):.1f} %" in lines
    assert "Trained 30 steps: loss " in out
    assert "jpvae inspect new.safetensors" in out
    assert lines[-1] == "jpvae impute new.safetensors --view a=a.csv --view b=b.parquet --view c=c.xlsx --out filled"
    ours, theirs = (checkpoints.load(path) for path in ("new.safetensors", "m.safetensors"))
    assert ours[1] | {"history": 0} == theirs[1] | {"history": 0}
    assert all(np.array_equal(x, theirs[0][name]) for name, x in ours[0].items())


def test_fit_is_the_estimator_on_the_joined_tables(folder):
    order = list(dict.fromkeys(who for t in TABLES.values() for who in t["who"]))
    rows = {
        name: {r.pop("who"): list(r.values()) for r in read(folder / f).to_dict("records")}
        for name, f in (w.split("=") for w in WORDS)
    }
    arrays = {n: np.array([r.get(who, [0.0] * len(next(iter(r.values())))) for who in order]) for n, r in rows.items()}
    mask = np.array([[who in rows[n] for n in "abc"] for who in order])
    options = {
        "latent_dims": 2,
        "hidden": (8,),
        "steps": 30,
        "prior": "canonical",
        "likelihood": "gaussian",
        "backend": "numpy",
    }
    expected = JPVAE(**options).fit(arrays, mask)
    tensors, header = checkpoints.load("m.safetensors")
    for name, x in expected.parameters_.items():
        assert np.array_equal(tensors.get(f"calibrated.{name}", tensors[f"parameters.{name}"]), x)
    assert header["index_name"] == "who"
    assert [c["names"] for c in header["columns"]] == [[c for c in TABLES[n] if c != "who"] for n in "abc"]


def test_fit_goes_on_and_says_so(command, folder, monkeypatch):
    once = [*views(WORDS), "--id", "who", "--out", "long.safetensors", *FIT]
    stopped = JPVAE.fit

    def kill(self, *arguments, **options):
        def at_ten(_):
            raise KeyboardInterrupt

        monkeypatch.setattr("jpvae.fitting.Recorder.__call__", lambda _, step, *__: at_ten(0) if step == 20 else None)
        return stopped(self, *arguments, checkpoint_every=10, **options)

    with monkeypatch.context() as patch:
        patch.setattr(JPVAE, "fit", kill)
        assert command("fit", *once)[0] != 0
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert checkpoints.load("long.safetensors")[1]["step"] == 20
    _, out, _ = command("fit", *once)
    assert "Resuming the unfinished run in this file at step 20." in out
    tensors, whole = (checkpoints.load(path)[0] for path in ("long.safetensors", "m.safetensors"))
    assert all(np.array_equal(tensors[name], whole[name]) for name in whole)
    code, _, err = command("fit", *once, "--seed", "1")
    assert code == 2
    assert "checkpoint 'long.safetensors' is of another training (options: {'seed': 0}; here {'seed': 1})" in err


def filled_matches(before, after, id_place):
    """Observed cells to the bit, holes filled and marked, columns in the input's order; -> how many rows were imputed."""
    assert list(after) == [*before, "imputed"]
    assert list(after).index("who") == id_place
    assert after.drop(columns="imputed").notna().all(axis=None)
    own = before.set_index("who")
    cells = after.set_index("who").drop(columns="imputed")
    assert bits(cells.loc[own.index]) == bits(own)
    assert after["imputed"].tolist() == [who not in own.index for who in after["who"]]
    return int(after["imputed"].sum())


def test_impute_fills_every_format_and_copies_what_was_there(command, folder):
    code, out, err = command("impute", "m.safetensors", *views(WORDS), "--out", "filled", "--json")
    assert (code, err) == (0, "")
    order = list(dict.fromkeys(who for t in TABLES.values() for who in t["who"]))
    result = json.loads(out)
    assert sorted(os.listdir("filled")) == result["files"] == ["a.csv", "b.parquet", "c.xlsx"]
    for i, (name, ending) in enumerate(zip("abc", ENDINGS, strict=True)):
        after = read(folder / "filled" / f"{name}{ending}")
        assert after["who"].tolist() == order
        count = filled_matches(read(folder / f"{name}{ending}"), after, i % 2)
        assert result["views"][name] == {"rows": len(order), "imputed": count}
    # the imputed values are the estimator's, on the rows joined by hand
    rows = {n: read(folder / f).set_index("who").to_dict("index") for n, f in (w.split("=") for w in WORDS)}
    arrays = {n: np.array([list(r.get(who, next(iter(r.values()))).values()) for who in order]) for n, r in rows.items()}
    columns = {n: [c for c in TABLES[n] if c != "who"] for n in arrays}
    frames = {n: pd.DataFrame(x, order, columns[n]) for n, x in arrays.items()}  # whose draws are known by the id
    expected = JPVAE.load("m.safetensors").impute(frames, np.array([[who in rows[n] for n in "abc"] for who in order]))
    for name, ending in zip("abc", ENDINGS, strict=True):
        after = read(folder / "filled" / f"{name}{ending}").drop(columns=["who", "imputed"])
        assert bits(after) == bits(expected[name])


def test_views_that_are_not_given_are_filled_for_everyone_and_columns_may_come_in_any_order(command, folder):
    turned = TABLES["a"][TABLES["a"].columns[::-1]]
    write(folder / "turned.tsv", turned)
    assert command("impute", "m.safetensors", "--view", "a=turned.tsv", "--out", "one")[0] == 0
    assert command("impute", "m.safetensors", "--view", "a=a.csv", "--out", "two")[0] == 0
    assert sorted(os.listdir("one")) == ["a.tsv", "b.tsv", "c.tsv"]
    for name in "bc":
        one, two = (read(folder / out / f"{name}{e}") for out, e in (("one", ".tsv"), ("two", ".csv")))
        assert one.equals(two)
        assert one["imputed"].all()
        assert list(one) == ["who", *(c for c in TABLES[name] if c != "who"), "imputed"]
    assert list(read(folder / "one" / "a.tsv")) == [*turned.columns, "imputed"]


def test_draws_are_complete_tables_that_differ_where_imputed(command, folder):
    assert command("impute", "m.safetensors", *views(WORDS), "--out", "filled", "--draws", "4")[0] == 0
    for i, (name, ending) in enumerate(zip("abc", ENDINGS, strict=True)):
        before, long = read(folder / f"{name}{ending}"), read(folder / "filled" / f"{name}.draws{ending}")
        assert long["draw"].unique().tolist() == [1, 2, 3, 4]
        drawn = [long[long["draw"] == k].drop(columns="draw") for k in (1, 2, 3, 4)]
        for one in drawn:
            filled_matches(before, one, i % 2)
        stack = np.stack([one[one["imputed"]].drop(columns=["who", "imputed"]).to_numpy() for one in drawn])
        assert (stack.std(axis=0) > 0).all()


def test_types_of_columns_are_kept(command, folder):
    rng = np.random.default_rng(0)
    who = np.arange(30)
    a = pd.DataFrame({"who": who, "f": rng.standard_normal(30).astype(np.float32), "k": rng.integers(9, size=30)})
    b = pd.DataFrame({"who": who[5:], "g": rng.standard_normal(25).astype(np.float32), "n": rng.integers(9, size=25)})
    words = views_of(folder, {"a": a, "b": b}, (".parquet",) * 2)
    assert command("fit", *views(words), "--id", "who", "--out", "t.safetensors", *FIT)[0] == 0
    assert command("impute", "t.safetensors", *views(words), "--out", "filled")[0] == 0
    assert [str(t) for t in read(folder / "filled" / "a.parquet").dtypes] == ["int64", "float32", "int64", "bool"]
    after = read(folder / "filled" / "b.parquet")
    assert [str(t) for t in after.dtypes] == ["int64", "float32", "float64", "bool"]  # an imputed count is no integer
    assert bits(after[["g", "n"]][5:]) == bits(b[["g", "n"]])


def joined_by_hand():
    """Mixed tables as DataFrames of all subjects, in the order in which the tables first name them; and the mask."""
    order = list(dict.fromkeys(who for t in MIXED.values() for who in t["who"]))
    frames, mask = {}, []
    for name, table in MIXED.items():
        rows = {row.pop("who"): row for row in table.to_dict("records")}
        frames[f"m{name}"] = pd.DataFrame([rows.get(who, {}) for who in order], order, [c for c in table if c != "who"])
        mask.append([any(x == x for x in rows.get(who, {}).values()) for who in order])
    return frames, np.transpose(mask)


def test_fit_takes_columns_of_any_kind(command):
    """It is the estimator on the DataFrames joined by hand; what was inferred is on the screen, before the training."""
    frames, mask = joined_by_hand()
    options = {
        "latent_dims": 2,
        "hidden": (8,),
        "steps": 30,
        "prior": "canonical",
        "backend": "numpy",
        "entries": "marginalise",
    }
    options |= {"likelihood": {"ma": "infer", "mb": {"visits": "poisson_unscaled"}, "mc": "infer"}, "view_weights": (2, 1, 1)}
    options |= {"early_stopping": True, "validation_fraction": 0.25, "patience": 3, "max_gradient_norm": 5.0, "progress": False}
    expected = JPVAE(**options).fit(frames, mask)
    found = JPVAE.load("mixed.safetensors")
    assert [r | {"seconds": 0} for r in found.history_] == [r | {"seconds": 0} for r in expected.history_]
    for name, x in expected.parameters_.items():
        assert np.array_equal(found.parameters_[name], x), name
    code, out, err = command("fit", *views(MIXED_WORDS), "--id", "who", "--out", "again.safetensors", *FIT, *SAID)
    assert (code, err) == (0, "")
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    wanted = ["ma categorical sex (f, m)", "ma gaussian age, bmi", "ma bernoulli smoker", "mb poisson_unscaled visits"]
    for line in [*wanted, "mb gaussian score", "mc categorical stage (I, II, III)", "mc gaussian crp"]:
        assert line in lines
    empty = sum(int(frames[name][mask[:, i]].isna().to_numpy().sum()) for i, name in enumerate(frames))
    assert f"{empty} single cells are empty; they are left out of the likelihood and imputed." in out
    assert "30 steps of 64 rows, or until 0.25 of the rows stop improving, backend numpy" in out


def test_impute_gives_categories_as_texts_and_marks_single_cells(command, folder):
    assert command("impute", "mixed.safetensors", *views(MIXED_WORDS), "--out", "filled", "--draws", "2")[0] == 0
    frames, mask = joined_by_hand()
    expected = JPVAE.load("mixed.safetensors").impute(frames, mask)
    for (name, before), ending in zip(MIXED.items(), MIXED_ENDINGS, strict=True):
        after, known = read(folder / "filled" / f"m{name}{ending}"), before.set_index("who")
        assert list(after) == [*before, "imputed"]
        assert after["who"].tolist() == list(frames[f"m{name}"].index)
        whole = known.notna().all(axis=1)
        assert after["imputed"].tolist() == [not whole.get(who, False) for who in after["who"]]
        drawn = read(folder / "filled" / f"m{name}.draws{ending}")
        for table in (after, *(part for _, part in drawn.groupby("draw"))):
            cells = table.set_index("who")[list(known)]
            assert cells.notna().all(axis=None)
            for who, row in known.iterrows():
                assert all(cells.loc[who, c] == value for c, value in row.items() if value == value)
            for column in {"sex", "stage"} & set(known):
                assert set(cells[column]) == set(known[column])
        for column in known:
            theirs = expected[f"m{name}"][column].tolist()
            assert after[column].tolist() == theirs, column
    visits = read(folder / "filled" / "mb.draws.csv")["visits"]
    assert (visits == visits.round()).all()  # a drawn count is one


def test_a_column_of_texts_that_is_empty_in_every_row_is_filled(command, folder):
    """A file without one text gives pandas a column of numbers."""
    new = MIXED["a"].head(3).assign(sex=np.nan)
    for ending in ENDINGS:
        write(folder / f"new{ending}", new)
        out = f"filled{ending}"
        assert command("impute", "mixed.safetensors", *views([f"ma=new{ending}"]), "--out", out, "--draws", "1")[0] == 0
        for file in ("ma", "ma.draws"):
            assert set(read(folder / out / f"{file}{ending}")["sex"]) <= {"f", "m"}


def test_views_without_a_common_subject_are_a_warning(command, folder):
    write(folder / "others.csv", TABLES["b"].assign(who=[f"x{k}" for k in range(len(TABLES["b"]))]))
    for words, names in ((["a=a.csv", "b=others.csv"], "['a', 'b']"), (["a=a.csv", "b=b.parquet", "d=others.csv"], "['d']")):
        options = [*FIT, "--out", f"{len(words)}.safetensors", "--steps", "1"]
        code, _, err = command("fit", *views(words), "--id", "who", *options)
        assert code == 0
        assert f"warning: no subject of {names} appears in another view" in " ".join(err.split())


def test_an_array_s_single_cells(command):
    x = np.load("x.npy")
    x[300, 1] = x[301, 2] = np.nan
    np.save("x.npy", x)
    both = views(["x=x.npy", "y=y.npy"])
    assert "view 'x', row 300, column 1 is nan" in command("fit", *both, "--out", "c.safetensors", *FIT)[2]
    assert command("fit", *both, "--out", "c.safetensors", *FIT, "--entries", "marginalise")[0] == 0
    assert command("impute", "c.safetensors", *both, "--out", "filled")[0] == 0
    after, imputed = np.load("filled/x.npy"), np.load("filled/x.imputed.npy")
    assert imputed.tolist() == np.isnan(x).any(axis=1).tolist()
    assert np.isfinite(after).all()
    assert np.array_equal(after[~np.isnan(x)], x[~np.isnan(x)])


def test_what_a_killed_impute_left_is_removed(command, folder):
    stale, other = folder / f".filled.{'0' * 32}", folder / f".other.{'0' * 32}"
    for path in (stale, other):
        path.mkdir()
        (path / "half.csv").write_text("half")
    assert command("impute", M, *views(["a=a.csv"]), *OUT)[0] == 0
    assert not stale.exists()
    assert other.exists()


def test_arrays_stream_by_position(command):
    code, out, _ = command(
        "impute", "arrays.safetensors", "--view", "y=y.npy", "--view", "x=x.npy", "--out", "filled", "--draws", "2", "--json"
    )
    assert code == 0
    assert json.loads(out)["files"] == sorted(f"{n}{e}.npy" for n in "xy" for e in ("", ".imputed", ".draws"))
    given = [np.load(f"{name}.npy") for name in "xy"]
    expected = JPVAE.load("arrays.safetensors").impute(given, missing="nan")
    for name, before, wanted in zip("xy", given, expected, strict=True):
        after, imputed, drawn = (np.load(f"filled/{name}{e}.npy") for e in ("", ".imputed", ".draws"))
        assert after.dtype == before.dtype
        assert imputed.tolist() == np.isnan(before[:, 0]).tolist()
        assert after[~imputed].tobytes() == before[~imputed].tobytes()
        assert after.tobytes() == wanted.tobytes()
        assert drawn.shape == (2, *before.shape)
        assert all(one[~imputed].tobytes() == before[~imputed].tobytes() for one in drawn)


def test_archives_keep_their_name_inside(command):
    np.savez("x.npz", counts=np.load("x.npy")[350:])
    assert command("impute", "arrays.safetensors", "--view", "x=x.npz", "--out", "filled", "--draws", "2")[0] == 0
    assert sorted(os.listdir("filled")) == [f"{n}{e}.npz" for n in "xy" for e in (".draws", "")]
    with np.load("filled/x.npz") as x, np.load("filled/y.npz") as y, np.load("filled/y.draws.npz") as draws:
        assert x["counts"].tobytes() == np.load("x.npy")[350:].tobytes()
        assert not x["imputed"].any()
        assert y["imputed"].all()
        assert (y["y"].shape, draws["y"].shape) == ((350, 3), (2, 350, 3))


def test_inspect(command, folder):
    code, out, err = command("inspect", "m.safetensors", "--figure", "map.png", "--json")
    assert (code, err) == (0, "")
    result, model = json.loads(out), JPVAE.load("m.safetensors")
    report = model.report_.views["b"]
    assert result["views"]["b"] == {
        "columns": ["b0", "b1", "b2", "b3"],
        "likelihoods": [["gaussian", "b0, b1, b2, b3"]],
        "latents": 2,
        "active": report["active"],
        "kl": report["kl"],
    }
    assert result["advice"] == model.report_.advice
    assert (result["id"], result["steps"], result["figure"]) == ("who", 30, "map.png")
    C = np.asarray(model.predictor().prior.cross_covariance(1, 0))
    # float32 parameters: C itself is rounded to 1e-7 in the engine's dtype
    assert result["singular_values"]["a, b"] == pytest.approx(np.linalg.svd(C, compute_uv=False).tolist(), abs=1e-6)
    assert 0 < result["smallest_eigenvalue"]["at_least"] <= result["smallest_eigenvalue"]["at_most"]
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = command("inspect", "m.safetensors")
    assert (code, err) == (0, "")
    assert "Trained 30 steps" in out
    assert model.report_.advice in " ".join(out.split())
    assert " ".join(f"{x:.2f}" for x in sorted(report["kl"], reverse=True)) in out
    assert "The smallest eigenvalue of Sigma lies between " in out
    assert "Rows are matched by position" in " ".join(command("inspect", "arrays.safetensors")[1].split())


def test_evaluate_prints_the_errors(command, monkeypatch):
    code, out, err = command("evaluate", "m.safetensors", *views(WORDS), "--held-out", "0.3", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    everyone = len(set().union(*(t["who"] for t in TABLES.values())))
    assert result["rows"] == {"train": everyone - round(0.3 * everyone), "held_out": round(0.3 * everyone)}
    assert list(result["views"]) == list("abc")
    monkeypatch.setattr("jpvae.report.evaluated.evaluated", lambda *_, **__: SimpleNamespace(result=result))
    evaluate = ("evaluate", "m.safetensors", *views(WORDS), "--held-out", "0.3")
    out = command(*evaluate)[1]
    for name, found in result["views"].items():
        line = next(line for line in out.splitlines() if f"{name} ({found['rows']} rows)" in line)
        assert [cell.strip() for cell in line.split("│")[2:-1]] == [f"{e:.3f}" for e in found["error"].values()]
    methods = list(found["error"])
    assert methods == ["JPVAE", "column means", "nearest neighbours", "ridge", "PLS", "factor analysis", "softImpute"]
    line = next(line for line in out.splitlines() if "c: in 95 % interval" in line)
    assert [cell.strip() for cell in line.split("│")[2:-1]] == [f"{c:.0%}" for c in found["coverage_95"].values()]
    result["views"]["a"] |= {"classes": ["sex"], "accuracy": dict.fromkeys(methods, 0.5)}
    line = next(line for line in command(*evaluate)[1].splitlines() if "a: sex right" in line)
    assert [cell.strip() for cell in line.split("│")[2:-1]] == ["50%"] * 7


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


M, OUT, X = "m.safetensors", ["--out", "filled"], "arrays.safetensors"
WITH_ID = [*views(WORDS), "--id", "who", "--out", "f"]
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
        "likelihood is 'normal'; expected",
    ),
    "dims": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--latent-dims", "2,x"],
        "--latent-dims is '2,x'; expected integers",
    ),
    "too few dims": (["fit", *views(WORDS), "--id", "who", "--out", "f", "--latent-dims", "2,3"], "latent_dims is (2, 3)"),
    "prior": (
        ["fit", *views(WORDS), "--id", "who", "--out", "f", "--prior", "best"],
        "'best' is not one of 'canonical', 'orthogonal', 'svd', 'independent'",
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
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_one_message_before_any_work(command, folder, arguments, message):
    spoil(folder)
    if "flags.safetensors" in arguments:
        tensors, header = checkpoints.load(M)
        header["columns"][0]["names"] = ["imputed", "a1", "a2"]
        checkpoints.save("flags.safetensors", tensors, header)
    before = sorted(os.listdir(folder))
    code, out, err = command(*arguments)
    assert code == 2
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.strip()]) <= 5  # typer's frame around one line of message
    assert sorted(os.listdir(folder)) == before


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


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_words_on_the_tables(command, damage):
    tensors, header = checkpoints.load(M)
    checkpoints.save("bad.safetensors", tensors, header | damage)
    code, out, err = command("inspect", "bad.safetensors")
    assert (code, out) == (2, "")
    assert "the file is damaged" in err or "has a damaged header" in err
    assert "Traceback" not in err


def test_a_sheet_holds_so_many_rows(command, folder):
    code, _, err = command("impute", M, *views(["c=c.xlsx"]), *OUT, "--draws", "100000")
    assert code == 2
    assert "more than an .xlsx holds (1048575); take fewer draws, or give the view as .csv or .parquet" in err
    assert not (folder / "filled").exists()


def test_without_pandas_the_message_says_what_to_install(folder):
    (folder / "pandas.py").write_text("raise ModuleNotFoundError('No module named pandas', name='pandas')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-m", "jpvae", "impute", M, *views(["a=a.csv"]), *OUT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: tables need pandas: pip install 'jpvae[tables]'\n"


def test_constant_columns_one_row_and_too_many_latents(command, folder):
    """A constant is learned; one subject can be filled; more latents than columns is a warning that says what to do."""
    who = [f"p{k}" for k in range(30)]
    values = np.random.default_rng(0).standard_normal((30, 2))
    write(folder / "k.csv", pd.DataFrame({"who": who, "five": 5.0, "x": values[:, 0]}))
    write(folder / "l.csv", pd.DataFrame({"who": who[:20], "y": values[:20, 1]}))
    both = views(["k=k.csv", "l=l.csv"])
    fit = ["fit", *both, "--id", "who", "--out", "k.safetensors", *FIT, "--steps", "150", "--learning-rate", "0.05"]
    fit += ["--latent-dims", "2,3"]
    code, _, err = command(*fit)
    assert code == 0
    said = " ".join(err.split())
    assert said.startswith("warning: more latents than columns (view 'l' has 3 for 1): the extra ones slow training and ")
    assert "latent_dims=(2, 1) warning: view 'k' has 1 constant columns ('five'): they carry no information" in said
    write(folder / "one.csv", pd.DataFrame({"who": ["q"], "y": [0.5]}))
    assert command("impute", "k.safetensors", "--view", "l=one.csv", *OUT)[0] == 0
    filled = read(folder / "filled" / "k.csv")
    assert (len(filled), filled["imputed"].tolist()) == (1, [True])
    assert filled["five"].tolist() == pytest.approx([5.0], abs=0.1)  # learned, as any other: 150 steps come that near


def test_memory_does_not_grow_with_the_rows_of_an_array(command):
    """Bytes that Python and NumPy hold at once (pages of mapped files are let go of: benchmarks/test_bench_imputation.py)."""
    peaks = []
    for rows in (1_024, 10_240):
        for name in "xy":
            np.save(f"{name}{rows}.npy", np.tile(np.load(f"{name}.npy")[200:456], (rows // 256, 1))[:rows])
        tracemalloc.start()
        code, _, err = command("impute", X, "--view", f"x=x{rows}.npy", "--view", f"y=y{rows}.npy", "--out", f"out{rows}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (code, err) == (0, "")
    # Per row: the mask twice and its inverse in parts (2 views: 6 bytes), which cells are complete and what was imputed (4
    # bytes). The smaller view whole would be 24 bytes per row, and 220 kB more.
    assert peaks[1] <= peaks[0] + 9_216 * 10 + 60_000
