"""jpvae fit, inspect and evaluate on files: what they print and write. (impute: test_impute_command.py.)"""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from table_files import read, write
from table_session import ENDINGS, FIT, MIXED_WORDS, OUT, SAID, TABLES, WORDS, joined_by_hand, views

from jpvae import JPVAE
from jpvae.files import checkpoints

pytestmark = pytest.mark.usefixtures("folder")


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
    assert "jpvae report new.safetensors --view" in out
    assert lines[-1] == "jpvae impute new.safetensors --view a=a.csv --view b=b.parquet --view c=c.xlsx --out filled"
    ours, theirs = (checkpoints.load(path) for path in ("new.safetensors", "m.safetensors"))
    for _, header in (ours, theirs):
        header["history"], header["metadata"]["command"] = 0, ""  # with its seconds; with --out
    assert ours[1] == theirs[1]
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
    kept = checkpoints.select(tensors, "parameters.") | checkpoints.select(tensors, "calibrated.")
    assert kept.keys() == expected.parameters_.keys()
    for name, x in expected.parameters_.items():
        assert np.array_equal(kept[name], x)
    assert header["index_name"] == "who"
    assert [c["names"] for c in header["columns"]] == [[c for c in TABLES[n] if c != "who"] for n in "abc"]


def test_fit_goes_on_and_says_so(command, folder, monkeypatch):
    once = [*views(WORDS), "--id", "who", "--out", "long.safetensors", *FIT]
    stopped = JPVAE.fit

    def kill(self, *arguments, **options):
        def at_ten(_):
            raise KeyboardInterrupt

        monkeypatch.setattr("jpvae.course.Recorder.__call__", lambda _, step, *__: at_ten(0) if step == 20 else None)
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
    assert "checkpoint 'long.safetensors' belongs to a different training run (options: {'seed': 0}; here {'seed': 1})" in err


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


def test_views_without_a_common_subject_are_a_warning(command, folder):
    write(folder / "others.csv", TABLES["b"].assign(who=[f"x{k}" for k in range(len(TABLES["b"]))]))
    for words, names in (
        (["a=a.csv", "b=others.csv"], "'a'; 'b'"),
        (["a=a.csv", "b=b.parquet", "d=others.csv"], "'a', 'b'; 'd'"),
    ):
        options = [*FIT, "--out", f"{len(words)}.safetensors", "--steps", "1"]
        code, _, err = command("fit", *views(words), "--id", "who", *options)
        assert code == 0
        assert " ".join(err.split()).count(f"warning: no subject has views of two of these groups: {names}.") == 1


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
