"""AnnData and MuData, in memory and in files: a small CITE-like set, RNA and proteins of cells, some of which lack one."""

import functools
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from commands import invoke

from jpvae import JPVAE
from jpvae.errors import ViewError
from jpvae.tables import hdf5_trial
from jpvae.tables.annotated import write

ad, md, h5py = map(pytest.importorskip, ("anndata", "mudata", "h5py"))
pytestmark = [  # the libraries warn of each other's next releases
    pytest.mark.filterwarnings("error::jpvae.errors.JPVAEWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

N = 60
CELLS = [f"cell{k}" for k in range(N)]
OPTIONS = {"latent_dims": 2, "likelihood": "infer", "hidden": (4,), "steps": 20, "backend": "numpy", "progress": False}
FIT = ["--steps", "5", "--hidden", "4", "--latent-dims", "1", "--backend", "numpy", "--out", "m.safetensors"]


def names(values):
    return pd.Index(values, dtype=object)


@pytest.fixture(scope="module")
def cite():
    """rna of the first 50 cells, sparse, its counts in a layer too; adt of the last 45."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((N, 2))
    rna = rng.poisson(np.exp(u @ rng.normal(0, 0.6, (2, 12)))).astype(np.float32)
    adt = rng.poisson(np.exp(u @ rng.normal(0, 0.5, (2, 5)) + 4)).astype(np.float32)
    obs = pd.DataFrame({"batch": pd.Categorical(["x", "y"] * 30, names(["x", "y"]))}, index=names(CELLS))
    genes = pd.DataFrame({"length": range(12)}, index=names([f"g{k}" for k in range(12)]))
    first = ad.AnnData(scipy.sparse.csr_matrix(np.log1p(rna[:50])), obs[:50], genes)
    first.layers["counts"] = scipy.sparse.csr_matrix(rna[:50])
    first.layers["dense"] = rna[:50] + 0.5
    first.obsm["X_pca"] = rng.standard_normal((50, 2))
    first.obsm["table"] = pd.DataFrame({"a": np.arange(50.0)}, first.obs_names)
    first.varm["loadings"] = rng.standard_normal((12, 2))
    first.uns["made"] = "by a script"
    first.obsp["distances"] = scipy.sparse.identity(50, format="csr")
    second = ad.AnnData(adt[15:], obs[15:], pd.DataFrame(index=names([f"p{k}" for k in range(5)])))
    return md.MuData({"rna": first, "adt": second})


def test_a_mudata_is_fitted_filled_and_given_back(cite):
    model = JPVAE(**OPTIONS, layer={"rna": "counts"}).fit(cite)
    assert [family for view in ("rna", "adt") for family, _ in model.inferred_[view]] == ["negative_binomial"] * 2
    assert model.columns_["adt"] == tuple(f"p{k}" for k in range(5))
    filled = model.impute(cite)
    assert isinstance(filled, md.MuData)
    assert filled.obs_names.tolist() == cite.obs_names.tolist()
    given = {"rna": cite["rna"].layers["counts"].toarray(), "adt": cite["adt"].X}
    for name, values in given.items():
        assert isinstance(filled[name], ad.AnnData)
        assert filled[name].obs_names.tolist() == cite.obs_names.tolist()
        assert filled[name].var.equals(cite[name].var)
        made = filled[name].layers["counts"] if name == "rna" else filled[name].X
        assert made[filled[name].obs_names.get_indexer(cite[name].obs_names)].tobytes() == values.tobytes()
        assert np.isfinite(made).all()
    assert filled["rna"].obs["batch"].tolist()[:50] == cite["rna"].obs["batch"].tolist()


def same(part, given):
    """All of an AnnData whose counts were filled, of the cells that ``given`` has; elsewhere there are gaps."""
    cells = part.obs_names.isin(given.obs_names)
    known = part[given.obs_names]
    assert set(part.layers) == set(given.layers)
    for name, matrix in [("X", given.X), *given.layers.items()]:
        parts = [one.X if name == "X" else one.layers[name] for one in (known, part)]
        dense = [one.toarray() if scipy.sparse.issparse(one) else one for one in (matrix, *parts)]
        assert np.array_equal(dense[0], dense[1])
        assert (np.isfinite if name == "counts" else np.isnan)(dense[2][~cells]).all()
    assert np.array_equal(known.obsm["X_pca"], given.obsm["X_pca"])
    assert np.isnan(part.obsm["X_pca"][~cells]).all()
    assert known.obsm["table"]["a"].tolist() == given.obsm["table"]["a"].tolist()
    assert np.array_equal(part.varm["loadings"], given.varm["loadings"])
    assert part.uns["made"] == "by a script"


def test_all_else_comes_back_with_it(cite):
    options = OPTIONS | {"layer": {"rna": "counts"}, "missing": "nan"}
    model = JPVAE(**options).fit(cite)
    before = cite["rna"].copy()
    same(model.impute(cite)["rna"], cite["rna"])
    alone = model.impute({"rna": cite["rna"]})["rna"]
    same(alone, cite["rna"])
    assert (alone.obsp["distances"] != cite["rna"].obsp["distances"]).nnz == 0
    assert alone.obs.equals(cite["rna"].obs)
    alone.layers["dense"][0, 0] = 99  # the result's own
    assert (before.X != cite["rna"].X).nnz == (before.layers["counts"] != cite["rna"].layers["counts"]).nnz == 0
    assert np.array_equal(before.layers["dense"], cite["rna"].layers["dense"])


def test_of_a_file_that_is_open(cite, tmp_path):
    write(tmp_path / "rna.h5ad", cite["rna"])
    opened = ad.read_h5ad(tmp_path / "rna.h5ad", backed="r")
    filled = JPVAE(**OPTIONS).fit({"rna": opened}).impute({"rna": opened})["rna"]
    assert filled.X.tobytes() == cite["rna"].X.toarray().tobytes()
    opened.file.close()


def test_it_is_the_fit_of_the_tables_that_are_in_it(cite):
    """The oracle joins the modalities by hand."""
    frames = {name: pd.DataFrame(cite["adt"].X, cite["adt"].obs_names, cite["adt"].var_names.tolist()) for name in ["adt"]}
    frames["rna"] = pd.DataFrame(cite["rna"].layers["counts"].toarray(), cite["rna"].obs_names, cite["rna"].var_names.tolist())
    tables = {name: frames[name].reindex(cite.obs_names) for name in ("rna", "adt")}
    said = {"likelihood": "negative_binomial"}
    one, other = (JPVAE(**OPTIONS | said, missing="nan", layer={"rna": "counts"}) for _ in "ab")
    from_tables, from_mudata = one.fit(tables).impute(tables), other.fit(cite).impute(cite)
    for name, table in from_tables.items():
        made = from_mudata[name].layers["counts"] if name == "rna" else from_mudata[name].X
        assert np.array_equal(table.to_numpy(), made)


def test_draws_deviations_new_cells_and_a_file(cite, tmp_path):
    model = JPVAE(**OPTIONS, layer={"rna": "counts"}).fit(cite)
    drawn = model.sample_imputations(cite, n_draws=2)
    assert [type(one) for one in drawn] == [md.MuData] * 2
    assert not np.array_equal(drawn[0]["adt"].X, drawn[1]["adt"].X)
    _, std = model.impute(cite, return_std=True)
    assert (std["rna"][cite["rna"].obs_names].layers["counts"] == 0).all()
    assert (std["rna"][50:].layers["counts"] > 0).all()
    model.save(tmp_path / "m")
    again, new = JPVAE.load(tmp_path / "m"), cite["rna"][:3].copy()
    filled = again.impute({"rna": new})
    assert isinstance(filled["rna"], ad.AnnData)
    assert filled["adt"].index.tolist() == new.obs_names.tolist()
    assert model.transform(cite).shape == (N, 4)


def test_a_list_of_anndata_and_tables(cite):
    both = [c for c in CELLS if c in cite["rna"].obs_names and c in cite["adt"].obs_names]
    views = [cite["rna"][both].copy(), pd.DataFrame(cite["adt"][both].X, both)]
    filled = JPVAE(**OPTIONS).fit(views).impute([views[0], None])
    assert isinstance(filled[0], ad.AnnData)
    assert filled[0].X.tobytes() == views[0].X.toarray().tobytes()


def test_refused(cite):
    for layer, message in (
        ("nope", r"view 'rna' has no layer 'nope'; expected one of \['counts', 'dense'\]"),
        (3, "layer is 3; expected"),
    ):
        with pytest.raises((ViewError, ValueError), match=message):
            JPVAE(**OPTIONS, layer=layer).fit(cite)
    empty = ad.AnnData(obs=pd.DataFrame(index=names(CELLS)), var=pd.DataFrame(index=names(["a"])))
    with pytest.raises(ViewError, match=r"view 'a' has no X; name one of its layers"):
        JPVAE(**OPTIONS).fit({"a": empty})
    twice = ad.AnnData(np.ones((2, 2)), pd.DataFrame(index=names(["c", "c"])))
    with pytest.raises(ViewError, match=r"has cells of the same name"):
        JPVAE(**OPTIONS).fit({"a": twice})


@pytest.fixture
def command(monkeypatch, capsys, tmp_path, cite):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "cite.h5mu", dict(cite.mod))
    write(tmp_path / "rna.h5ad", cite["rna"])
    return functools.partial(invoke, monkeypatch, capsys)


def test_a_file_of_all_modalities(command, cite, tmp_path):
    views = ["--view", "rna=cite.h5mu", "--view", "adt=cite.h5mu"]
    code, out, err = command("fit", *FIT, *views, "--layer", "rna=counts")
    assert (code, err) == (0, "")
    assert out.count("negative_binomial") == 2
    code, out, err = command("impute", "m.safetensors", *views, "--out", "filled", "--draws", "2", "--std")
    assert (code, err) == (0, "")
    assert "cite.h5mu" in out
    filled = md.read_h5mu(tmp_path / "filled" / "cite.h5mu")
    assert filled["adt"][cite["adt"].obs_names].X.tobytes() == np.asarray(cite["adt"].X).tobytes()
    lacking = ~pd.Index(filled["adt"].obs_names).isin(cite["adt"].obs_names)
    assert filled["adt"].obs["imputed"].tolist() == lacking.tolist()
    assert filled["rna"].var["length"].tolist() == list(range(12))
    same(filled["rna"], cite["rna"])
    assert filled["rna"].obs["batch"].tolist()[:50] == cite["rna"].obs["batch"].tolist()
    draws = md.read_h5mu(tmp_path / "filled" / "cite.draws.h5mu")["adt"]
    assert list(draws.layers) == ["draw1", "draw2"]
    assert (draws.layers["draw1"] != draws.layers["draw2"]).any(axis=1).tolist() == lacking.tolist()


def test_a_file_of_one_beside_a_table(command, cite, tmp_path):
    pd.DataFrame({"cell": CELLS, "age": np.arange(N) * 1.5}).to_csv("clinic.csv", index=False)
    views = ["--view", "rna=rna.h5ad", "--view", "clinic=clinic.csv"]
    assert command("fit", *FIT, *views, "--id", "clinic=cell")[0] == 0
    assert command("impute", "m.safetensors", *views[:2], "--out", "filled")[0] == 0
    filled = ad.read_h5ad(tmp_path / "filled" / "rna.h5ad")
    assert filled.X.tobytes() == cite["rna"].X.toarray().tobytes()
    assert not filled.obs["imputed"].any()
    assert ad.read_h5ad(tmp_path / "filled" / "clinic.h5ad").var_names.tolist() == ["age"]


def damage(path):
    """Files that bring the HDF5 library down, refer to other files, take gigabytes, or make SciPy write outside of a matrix."""
    if path.stem == "outside":
        shutil.copy("rna.h5ad", path)
        with h5py.File(path, "r+") as file:
            file["X/indices"][0] = 2**30
    with h5py.File(path, "a") as file:
        if path.stem == "linked":
            file["X"] = h5py.ExternalLink("rna.h5ad", "/X")
        if path.stem == "elsewhere":
            file.create_dataset("X", (4, 4), "f8", external=[("rna.h5ad", 0, 128)])
        if path.stem == "virtual":
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource("rna.h5ad", "/obsm/X_pca", (4,))
            file.create_virtual_dataset("X", layout)
        if path.stem == "huge":
            file.create_dataset("X", (2**20, 2**12), "f8", chunks=(2**12, 2**8), compression="gzip")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linked", "its /X lies in another file"),
        ("elsewhere", "its X lies in other files"),
        ("virtual", "its X lies in other files"),
        ("huge", "bytes, more than data do"),
        ("outside", "must be < 12); write it anew from its source"),  # scipy has words of its own for what must
    ],
)
def test_files_that_mean_harm(command, tmp_path, name, message):
    damage(tmp_path / f"{name}.h5ad")
    code, _, err = command("fit", *FIT, "--view", f"rna={name}.h5ad")
    assert code == 2
    assert message in " ".join(err.split())


def test_a_file_that_brings_the_library_down_is_refused(command, tmp_path, monkeypatch):
    (tmp_path / "trial.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(hdf5_trial, "__file__", str(tmp_path / "trial.py"))
    code, _, err = command("fit", *FIT, "--view", "rna=rna.h5ad")
    assert code == 2
    assert "it is damaged such that the HDF5 library crashes" in " ".join(err.split())


def test_refused_files(command, tmp_path):
    (tmp_path / "bad.h5ad").write_text("x")
    for words, message in (
        (["--view", "other=cite.h5mu"], "has the modalities ['rna', 'adt']; expected the view's name to be one of them"),
        (["--view", "a=bad.h5ad"], "view 'a' (bad.h5ad) cannot be read as .h5ad"),
        (["--view", "rna=rna.h5ad", "--layer", "x"], "view 'rna' has no layer 'x'; expected one of ['counts', 'dense']"),
    ):
        code, _, err = command("fit", *FIT, *words)
        assert code == 2
        assert message in " ".join(err.split())
