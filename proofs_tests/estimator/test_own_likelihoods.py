"""Likelihoods from outside: objects, by view and by column; entry points of installed packages; files that name them."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jpvae import JPVAE
from jpvae.errors import CheckpointError, ConfigError
from jpvae.inference import calibration
from jpvae.model.likelihoods import LIKELIHOODS, Bernoulli, Categorical, Gaussian, Likelihood, Marginal
from jpvae.model.likelihoods.registry import name_of, names

GUIDE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
LAPLACE = re.search(r"```python\n(class Laplace.*?)```", GUIDE, re.DOTALL)[1]
MODULE = f"""
import math
from dataclasses import dataclass

import numpy as np

from jpvae.model.likelihoods import Gaussian, Likelihood, observed_moments, over_rows

{LAPLACE}

@dataclass
class Wide(Gaussian):
    spread: float = 1.0

    def parameters(self, features):
        return {{"log_var": np.full(features, 2.0 * math.log(self.spread))}}
"""
RNG = np.random.default_rng(0)
VIEWS = {"a": RNG.standard_normal((40, 2)), "b": np.column_stack([RNG.standard_normal(40), RNG.random(40) < 0.5])}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution on disk, importable, with the entry points that the function is given; forgotten afterwards."""

    def install(**points):
        (tmp_path / "shapes.py").write_text(MODULE)
        info = tmp_path / "shapes_of_error-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes-of-error\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[jpvae.likelihoods]", *lines]) + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    sys.modules.pop("shapes", None)


def fitted(likelihood, **options):
    return JPVAE(2, likelihood=likelihood, hidden=(4,), steps=3, progress=False, backend="numpy", **options).fit(VIEWS)


def same_imputations(one, other):
    halves = {"a": VIEWS["a"]}
    for x, y in zip(one.impute(halves).values(), other.impute(halves).values(), strict=True):
        assert np.array_equal(x, y)


def test_an_entry_point_is_a_likelihood_by_name_and_is_imported_when_named(package, tmp_path):
    package(laplace="shapes:Laplace", unused="no_such_module:Thing")
    assert "shapes" not in sys.modules
    fitted("gaussian")
    assert "shapes" not in sys.modules
    model = fitted({"a": "laplace", "b": {0: "laplace", 1: "bernoulli"}})
    assert "shapes" in sys.modules
    assert [family for family, _ in model.inferred_["b"]] == ["laplace", "bernoulli"]
    model.save(tmp_path / "model.safetensors")
    del sys.modules["shapes"]  # a new process, in which the package is installed
    same_imputations(model, JPVAE.load(tmp_path / "model.safetensors"))


def test_objects_by_view_and_by_column_come_back_from_a_file(package, tmp_path):
    package()
    import shapes

    model = fitted({"a": shapes.Wide(2.5), "b": {0: shapes.Laplace(), 1: Bernoulli()}})
    assert [family for family, _ in model.inferred_["a"]] == ['Wide {"spread": 2.5}']
    assert [family for family, _ in model.inferred_["b"]] == ["Laplace", "bernoulli"]
    model.save(tmp_path / "model.safetensors")
    loaded = JPVAE.load(tmp_path / "model.safetensors")
    same_imputations(model, loaded)
    loaded.save(tmp_path / "again.safetensors")
    same_imputations(model, JPVAE.load(tmp_path / "again.safetensors"))
    more = JPVAE(**loaded.get_params()).fit(VIEWS)  # the option that a file gives is one that fit takes
    same_imputations(model, more)


def test_a_file_whose_likelihood_is_not_here_names_its_module(package, tmp_path):
    package(laplace="shapes:Laplace")
    import shapes

    by_name, by_object = tmp_path / "name.safetensors", tmp_path / "object.safetensors"
    fitted("laplace").save(by_name)
    fitted(shapes.Wide(2.0)).save(by_object)
    del sys.modules["shapes"]
    (tmp_path / "shapes_of_error-1.0.dist-info" / "entry_points.txt").write_text("")
    with pytest.raises(CheckpointError, match=r"uses the likelihood 'laplace', class 'Laplace' of module 'shapes'.*Install"):
        JPVAE.load(by_name)
    with pytest.raises(CheckpointError, match=r"class 'Wide' of module 'shapes', which is not available here.*`import shapes`"):
        JPVAE.load(by_object)
    assert "shapes" not in sys.modules  # a file does not make anything run
    import shapes

    assert JPVAE.load(by_object).inferred_["a"][0][0] == 'Wide {"spread": 2.0}'


def test_a_file_whose_likelihood_has_other_options_here_blames_no_import(package, tmp_path):
    package()
    import shapes

    path = tmp_path / "m.safetensors"
    fitted(shapes.Wide(2.0)).save(path)
    (tmp_path / "shapes.py").write_text(MODULE.replace("spread", "breadth"))
    del sys.modules["shapes"]
    import shapes

    with pytest.raises(
        CheckpointError, match=r"whose options class 'Wide' of module 'shapes' does not take here\. Install the"
    ):
        JPVAE.load(path)
    with pytest.raises(ConfigError, match=r"which is not here: its class does not take these options$"):
        fitted('shapes:Wide {"spread": 2.0}')


@dataclass
class Crooked(Gaussian):
    """Its option is no plain number."""

    shape: object = None


def test_what_could_not_be_found_again_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    class Local(Gaussian):
        """Out of reach."""

    path = tmp_path / "model.safetensors"
    for family in (Local(), Crooked(shape=np.ones(2))):
        model = fitted(family)  # it trains and imputes
        assert np.isfinite(model.impute({"a": VIEWS["a"]})["b"]).all()
        with pytest.raises(
            CheckpointError, match=r"could not be found again .* nothing was written\. Define its class at the top"
        ):
            model.save(path)
        with pytest.raises(CheckpointError, match="could not be found again"):
            JPVAE(2, likelihood=family, hidden=(4,), steps=3, progress=False, backend="numpy").fit(VIEWS, checkpoint=path)
    monkeypatch.setattr(Crooked, "__module__", "__main__")
    with pytest.raises(CheckpointError, match="defined in the script or notebook itself"):
        fitted(Crooked()).save(path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_entry_point_is_a_clear_error(package):
    package(gone="no_such_module:Thing", absent="shapes:Nothing", odd="shapes:math")
    with pytest.raises(ConfigError, match=r"'gone' is declared by package shapes-of-error .* cannot be imported \(No module"):
        fitted("gone")
    with pytest.raises(ConfigError, match=r"'absent' is declared by package shapes-of-error as 'shapes:Nothing', which cannot"):
        fitted("absent")
    with pytest.raises(
        ConfigError,
        match=r"'odd' of package shapes-of-error is <module 'math'.*expected its entry point 'shapes:math' to be a class",
    ):
        fitted("odd")
    with pytest.raises(
        ConfigError, match=r"likelihood is 'flow'; expected one of \['absent', 'bernoulli', 'categorical', 'gau"
    ):
        fitted("flow")
    assert set(names()) == {*LIKELIHOODS, "absent", "odd"}  # "gone" is no choice: its package is not there


def test_objects_of_built_in_families_are_their_names():
    assert [name_of(family) for family in (Gaussian(), Bernoulli(), Categorical())] == ["gaussian", "bernoulli", "categorical"]
    with pytest.raises(ConfigError, match=r"likelihood is the class Gaussian; expected an object of it: Gaussian\(\)"):
        name_of(Gaussian)
    with pytest.raises(ConfigError, match="likelihood is a Marginal; expected its parts"):
        name_of(Marginal(Gaussian()))
    with pytest.raises(ConfigError, match="expected a name or a Likelihood object"):
        fitted(3)


@dataclass
class Options(Gaussian):
    """Two columns with other options are two families."""

    start: float = 0.0

    def parameters(self, features):
        return {"log_var": np.full(features, self.start)}


def test_objects_with_other_options_are_other_families():
    model = fitted({"a": {0: Options(0.0), 1: Options(-2.0)}, "b": "gaussian"})
    assert [columns for _, columns in model.inferred_["a"]] == ["0", "1"]


def test_numpy_s_numbers_are_numbers_in_a_name():
    assert [name_of(Options(start)) for start in (np.float32(0.5), np.int64(2))] == [name_of(Options(0.5)), name_of(Options(2))]


class Unfinished(Likelihood):
    pass


class NoGradient(Gaussian):
    log_prob_vjp = Likelihood.log_prob_vjp


def test_what_a_likelihood_lacks_is_named_with_what_to_do():
    lacking = r"^likelihood test_own_likelihoods\.{} has no method {}; define it as Likelihood\.{} documents it"
    x = np.zeros((2, 1))
    calls = {"log_prob": (np, x, x, {}), "mean": (np, x), "variance": (x, {}), "draw": (x, {}, RNG)}
    for method, given in calls.items():
        with pytest.raises(NotImplementedError, match=lacking.format("Unfinished", method, method) + "$"):
            getattr(Unfinished(), method)(*given)
    advice = lacking.format("NoGradient", "log_prob_vjp", "log_prob_vjp") + ", or train with backend='torch'"
    with pytest.raises(NotImplementedError, match=advice):
        fitted(NoGradient())


class Short(Gaussian):
    """What its methods give is that of a slip."""

    def __init__(self, method, found):
        setattr(self, method, lambda *_: found)


SLIPS = {
    "a list": ("parameters", {"log_var": [0.0, 0.0]}, r"gives its parameter 'log_var' as \[0.0, 0.0\]; .* of shape \(2,\)"),
    "one number": ("parameters", {"log_var": np.zeros(())}, r"gives its parameter 'log_var' as .*; .* of shape \(2,\), of its"),
    "no number": ("parameters", {"log_var": np.full(2, np.nan)}, r"gives its parameter 'log_var' as array\(.nan, nan"),
    "one unit": ("scaling", (0.0, 1.0), r"gives the location 0.0 and the scale 1.0; expected arrays of shape \(2,\)"),
    "a sum": (
        "log_prob",
        np.zeros(40),
        r"gives a log_prob of shape \(40,\) for outputs of shape \(32, 2\); expected \(32, 2\)",
    ),
    "one log p": ("log_prob", 0.0, r"gives a log_prob of shape \(\) for outputs of shape \(32, 2\); expected \(32, 2\): a"),
    "no scale": ("scaling", (np.zeros(2), np.zeros(2)), r".* and the scale array\(\[0., 0.\]\); .* positive scales"),
}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", SLIPS)
def test_what_a_likelihood_gives_amiss_is_refused_before_the_training(name, backend):
    method, found, message = SLIPS[name]
    model = JPVAE(2, likelihood=Short(method, found), hidden=(4,), steps=3, progress=False, backend=backend)
    with pytest.raises(ConfigError, match=f"^likelihood Short( .*)? {message}"):
        model.fit(VIEWS, on_log=lambda _: pytest.fail("it trained"))


class Groups(Categorical):
    """Groups of three, with one number per group in place of one per column."""

    def log_prob(self, xp, outputs, x, own):
        each = super().log_prob(xp, outputs, x, own)
        return xp.sum(xp.reshape(each, (*each.shape[:-1], each.shape[-1] // 3, 3)), axis=-1)


def test_a_family_with_a_number_for_each_variable_is_calibrated_beside_others(monkeypatch):
    """Its columns are more than its variables. By hand: log-probabilities of its levels from its means."""

    def by_columns(hidden):
        total = 0.0
        for outputs, targets in hidden._decoded(16, 1_000):
            p = hidden.family.mean(hidden.xp, outputs)
            total += float((targets * p.mean(axis=0)).reshape(len(targets), 2, 3).sum(axis=-1).log().sum())
        return total

    rng = np.random.default_rng(0)
    levels = [np.eye(3)[rng.integers(0, 3, 60)] for _ in range(2)]
    views = [rng.standard_normal((60, 3)), np.concatenate(levels, axis=1)]
    options = {"steps": 20, "hidden": (4,), "backend": "torch", "progress": False}
    found = JPVAE(2, likelihood=["gaussian", Groups(3)], **options).fit(views)
    monkeypatch.setattr(calibration._Hidden, "rest", by_columns)
    by_hand = JPVAE(2, likelihood=["gaussian", Groups(3)], **options).fit(views)
    assert found.parameters_.keys() == by_hand.parameters_.keys()
    for name, x in by_hand.parameters_.items():
        np.testing.assert_array_equal(found.parameters_[name], x)
    assert "predictive.1.slope" in found.parameters_
