"""jpvae impute --std --probabilities --proposals: what the estimator gives for the tables joined by hand, in files."""

import functools
import os

import numpy as np
import pytest
from commands import invoke
from table_files import bits, mixed_tables, read, views_of

from jpvae import JPVAE

MIXED, ENDINGS = mixed_tables(), (".xlsx", ".csv", ".parquet")
OPTIONS = {"latent_dims": 2, "hidden": (4,), "steps": 20, "backend": "numpy", "progress": False, "likelihood": "infer"}
EXTRA = ["--out", "filled", "--std", "--probabilities", "--proposals", "80"]


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return functools.partial(invoke, monkeypatch, capsys)


def words(views):
    return [word for pair in views for word in ("--view", pair)]


@functools.cache
def joined():
    """All subjects, in the order in which the tables first name them; and the mask."""
    order = list(dict.fromkeys(who for t in MIXED.values() for who in t["who"]))
    frames = {name: table.set_index("who").reindex(order) for name, table in MIXED.items()}
    return frames, np.column_stack([frame.notna().any(axis=1) for frame in frames.values()])


@functools.cache
def of_tables():
    frames, mask = joined()
    return JPVAE(**OPTIONS | {"prior": "canonical", "entries": "marginalise"}).fit(frames, mask)


@pytest.mark.parametrize("more", [[], EXTRA[-2:]], ids=["", "proposals"])
def test_tables_have_their_standard_deviations_and_probabilities_beside_them(command, tmp_path, more):
    of_tables().save("model.safetensors")
    given = views_of(tmp_path, MIXED, ENDINGS)
    assert command("impute", "model.safetensors", *words(given), *EXTRA[:4], *more)[0] == 0
    proposals = {"proposals": 80} if more else {}
    (frames, mask), model = joined(), of_tables()
    filled, std = model.impute(frames, mask, return_std=True, **proposals)
    p = model.impute_probabilities(frames, mask, **proposals)
    assert sorted(p) == ["a", "b", "c"]
    assert not p["b"].shape[1]  # has no category: no file
    endings = dict(zip("abc", ENDINGS, strict=True))
    files = [f"{name}{part}{endings[name]}" for name in "abc" for part in ("", ".std", ".probabilities")]
    assert sorted(os.listdir("filled")) == sorted(set(files) - {"b.probabilities.csv"})
    for name, table in MIXED.items():
        kinds = {"": filled[name], ".std": std[name], ".probabilities": p[name]}
        for kind, wanted in kinds.items():
            if not wanted.shape[1]:
                continue
            found = read(tmp_path / "filled" / f"{name}{kind}{endings[name]}")
            assert found.pop("who").tolist() == list(wanted.index)
            assert found.pop("imputed").tolist() == (~frames[name].notna().all(axis=1)).tolist()
            assert sorted(found) == sorted(wanted)
            if kind != ".probabilities":
                assert list(found) == [c for c in table if c != "who"]
            numbers = [c for c in wanted if wanted[c].dtype.kind == "f"]
            # pandas writes 16 digits to an .xlsx
            assert found[numbers].to_numpy() == pytest.approx(wanted[numbers].to_numpy(), rel=1e-14, nan_ok=True)
    assert std["a"]["sex"].isna().any()
    assert (std["a"]["bmi"][~mask[:, 0]] > 0).all()


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays_have_them_in_arrays(command, ending):
    rng = np.random.default_rng(0)
    u = rng.standard_normal((60, 2))
    views = {"x": u @ rng.standard_normal((2, 3)), "y": u @ rng.standard_normal((2, 2))}
    views["x"][:, 0] = np.digitize(u[:, 0], (-0.5, 0.5))
    likelihood = {"x": {0: "categorical", 1: "gaussian", 2: "gaussian"}, "y": "gaussian"}
    model = JPVAE(**OPTIONS | {"likelihood": likelihood}).fit(views)
    model.save("model.safetensors")
    np.save("y.npy", views["y"]) if ending == ".npy" else np.savez("y.npz", given=views["y"])
    assert command("impute", "model.safetensors", "--view", f"y=y{ending}", *EXTRA)[0] == 0
    asked = {"y": views["y"]}
    filled, std = model.impute(asked, return_std=True, proposals=80)
    p = model.impute_probabilities(asked, proposals=80)["x"]

    def stored(file):
        found = np.load(f"filled/{file}{ending}")
        return found if ending == ".npy" else found["given" if file.startswith("y") else "x"]

    for file, wanted in {
        "x": filled["x"],
        "y": filled["y"],
        "x.std": std["x"],
        "y.std": std["y"],
        "x.probabilities": p,
    }.items():
        assert stored(file).shape == wanted.shape
        assert bits(stored(file)) == bits(wanted)
    assert np.isnan(std["x"][:, 0]).all()
    assert not os.path.exists(f"filled/y.probabilities{ending}")
