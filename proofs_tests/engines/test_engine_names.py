"""What stands for an engine in a file leads back to it: engines of one package are told apart, and what no other program can
import is not named."""

import functools
import sys
import types
import warnings
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from ended_runs import Killed, kill
from synthetic import OPTIONS, three_views

import jpvae.engines
import jpvae_numpy
from jpvae import JPVAE
from jpvae.engines import GROUP, engine_name
from jpvae.errors import CheckpointError, ConfigError, JPVAEWarning
from jpvae.files import checkpoints

VIEWS, MASK = three_views(40, 5)
SHORT = OPTIONS | {"steps": 2, "hidden": (4,)}


@pytest.fixture
def pair(monkeypatch):
    """A package of three engines, two of which are entry points."""
    module = types.ModuleType("pair_of_engines")
    for name in ("First", "Second", "Third"):
        setattr(module, name, type(name, (jpvae_numpy.Engine,), {"__module__": module.__name__}))
    points = [EntryPoint(name.lower(), f"{module.__name__}:{name}", GROUP) for name in ("First", "Second")]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda group: points if group == GROUP else [])
    return module


def test_engines_of_one_package_are_told_apart(pair, tmp_path):
    made = [pair.First, functools.partial(pair.Second), pair.Third, jpvae_numpy.Engine, "torch"]
    names = ["first", "second", "pair_of_engines:Third", "numpy", "torch"]
    assert list(map(engine_name, made)) == names
    for given, name in zip(made[:4], names, strict=False):
        JPVAE(**SHORT | {"backend": given}).fit(VIEWS, MASK).save(tmp_path / "m")
        again = JPVAE.load(tmp_path / "m")
        assert again.backend == name
        assert type(again.predictor().engine) is (given.func if isinstance(given, functools.partial) else given)


def local():
    class Local(jpvae_numpy.Engine):
        pass

    return Local


class Maker:
    def __call__(self, model, dtype, device):
        return jpvae_numpy.Engine(model, dtype, device)


UNNAMED = {
    "a class in a function": local(),
    "a function without a name": lambda *a: jpvae_numpy.Engine(*a),
    "an object": Maker(),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_what_no_other_program_can_import_is_not_named(name, tmp_path):
    model = JPVAE(**SHORT | {"backend": UNNAMED[name]}).fit(VIEWS, MASK)
    with pytest.warns(JPVAEWarning, match="which another program cannot import: the file will be loaded with backend='auto'"):
        model.save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = JPVAE.load(tmp_path / "m")
    assert again.backend == "auto"
    assert (again.transform(VIEWS, MASK) == model.transform(VIEWS, MASK)).all()


class NoMethods:
    def __init__(self, *_):
        pass


class Failing(jpvae_numpy.Engine):
    def __init__(self, *_):
        raise TypeError("its own")


def test_what_is_no_engine_and_an_engine_s_own_failure():
    for none, found in ((NoMethods, "what it makes has no 'asarray'"), (lambda model: model, "too many positional")):
        with pytest.raises(ConfigError, match=f"which is no engine .{found}.*expected a name or an Engine class"):
            JPVAE(**SHORT | {"backend": none}).fit(VIEWS, MASK)
    with pytest.raises(TypeError, match=r"^its own$"):
        JPVAE(**SHORT | {"backend": Failing}).fit(VIEWS, MASK)


class Unlicensed(jpvae_numpy.Engine):
    def __init__(self, *_):
        raise RuntimeError("no licence")


class NoNamespace(jpvae_numpy.Engine):
    @property
    def xp(self):
        raise AttributeError


class NoKL(jpvae_numpy.Engine):
    def train_step(self, *given, **options):
        report = super().train_step(*given, **options)
        del report["kl"]
        return report


INCOMPLETE = {
    Unlicensed: r"^backend='test_engine_names:Unlicensed' cannot be used here: RuntimeError: no licence$",
    NoNamespace: r"which is no engine .what it makes has no 'xp'",
    NoKL: r"^backend gives an engine whose train_step reports no 'kl', only \['loss', 'reconstruction'\]",
}


@pytest.mark.parametrize("backend", INCOMPLETE)
def test_what_an_engine_lacks_is_named_and_no_device_is_blamed(backend):
    with pytest.raises(ConfigError, match=INCOMPLETE[backend]):
        JPVAE(**SHORT | {"backend": backend}).fit(VIEWS, MASK)


@pytest.mark.parametrize(
    ("value", "found"), [("pair_of_engines:Fourth", "no attribute 'Fourth'"), ("no_such_module:Engine", "No module named")]
)
@pytest.mark.usefixtures("pair")
def test_an_entry_point_that_cannot_be_imported(monkeypatch, value, found):
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda **_: [EntryPoint("odd", value, GROUP)])
    with pytest.raises(
        ConfigError, match=rf"backend 'odd' is declared by package unknown as '{value}', which cannot be imported .*{found}"
    ):
        JPVAE(**SHORT | {"backend": "odd"}).fit(VIEWS, MASK)


@pytest.mark.usefixtures("pair")
def test_a_file_of_an_engine_whose_package_is_not_there(monkeypatch, tmp_path):
    model = JPVAE(**SHORT | {"backend": "first"}).fit(VIEWS, MASK)
    model.save(tmp_path / "m")
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda **_: [])
    with pytest.raises(
        ConfigError, match=r"backend is 'first'; expected one of .* package is installed; .*load.path, backend="
    ):
        JPVAE.load(tmp_path / "m")
    again = JPVAE.load(tmp_path / "m", backend="numpy")
    assert (again.transform(VIEWS, MASK) == model.transform(VIEWS, MASK)).all()


def reporting(change):
    class Reporting(jpvae_numpy.Engine):
        def train_step(self, state, *given, **options):
            return change(super().train_step(state, *given, **options), self.to_arrays(state)[1])

    return Reporting


NUMBERS = {
    "NumPy": lambda report, _: {name: np.asarray(x, np.float64)[()] for name, x in report.items()},
    "torch": lambda report, _: {name: torch.tensor(x, dtype=torch.float64) for name, x in report.items()},
    "tuples": lambda report, _: {**report, "reconstruction": tuple(report["reconstruction"]), "more": range(3)},
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_report_s_numbers_may_be_of_any_library(name, tmp_path):
    """With checkpoints, which keep the reports since the last record."""
    plain = JPVAE(**SHORT | {"steps": 6, "backend": "numpy"}).fit(VIEWS, MASK)
    options = SHORT | {"steps": 6, "backend": reporting(NUMBERS[name])}
    with pytest.warns(JPVAEWarning, match="another program cannot import"):
        model = JPVAE(**options).fit(VIEWS, MASK, checkpoint=tmp_path / "c", checkpoint_every=4)
    last = model.history_[-1]
    assert {key: x for key, x in last.items() if key not in ("seconds", "more")} == {
        key: x for key, x in plain.history_[-1].items() if key != "seconds"
    }
    assert [type(x) for x in last["reconstruction"]] == [float] * 3


UNFIT = {
    "reports None; expected a dict": lambda *_: None,
    "reports 'note' as 'hello'; expected a number, or one per view": lambda report, _: report | {"note": "hello"},
    r"reports 'by_latent' as \[1, 2\]; expected a number, or one per view": lambda report, _: report | {"by_latent": [1, 2]},
    "reports 'reconstruction' as 3.0; expected": lambda report, _: report | {"reconstruction": 3.0},
    r"reports \[.*'odd'.*\] after \[.*\]; expected the same": lambda report, adam: (
        report | ({"odd": 1.0} if adam["step"] == 2 else {})
    ),
}


@pytest.mark.parametrize("message", UNFIT)
def test_a_report_that_no_file_could_keep_is_refused_at_its_step(message):
    with pytest.raises(ConfigError, match=f"backend gives an engine whose train_step {message}"):
        JPVAE(**SHORT | {"backend": reporting(UNFIT[message])}).fit(VIEWS, MASK)


def test_a_loaded_model_that_is_saved_again_has_its_engine(pair, tmp_path):
    JPVAE(**SHORT | {"backend": pair.Third}).fit(VIEWS, MASK).save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        JPVAE.load(tmp_path / "m").save(tmp_path / "again")
        assert JPVAE.load(tmp_path / "again").backend == "pair_of_engines:Third"


class Slow(jpvae_numpy.Engine):
    """Its optimiser has a state of its own: how far it has come."""

    def start(self, parameters, optimizer=None):
        state = super().start(parameters)
        state.adam.steps = int(optimizer["progress"][0]) if optimizer else 0
        return state

    def to_arrays(self, state):
        return super().to_arrays(state)[0], {"progress": np.asarray([float(state.adam.steps)])}


def test_an_engine_s_own_optimiser_goes_on_where_it_was_and_under_no_other(tmp_path):
    options = SHORT | {"steps": 9, "backend": Slow}
    with pytest.raises(Killed):
        JPVAE(**options).fit(VIEWS, MASK, checkpoint=tmp_path / "c", checkpoint_every=4, on_log=kill)
    before = (tmp_path / "c").read_bytes()
    for other in ("numpy", "torch", "jax"):
        with pytest.raises(CheckpointError, match=r"it has another optimiser's state, without '(step|m\.)"):
            JPVAE(**options | {"backend": other}).fit(VIEWS, MASK, checkpoint=tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before
    resumed = JPVAE(**options).fit(VIEWS, MASK, checkpoint=tmp_path / "c")
    assert resumed.n_iter_ == 9
    assert checkpoints.load(tmp_path / "c")[0]["adam.progress"] == 9


class Forgetful(jpvae_numpy.Engine):
    """Its optimiser has no state."""

    def start(self, parameters, optimizer=None):
        return super().start(parameters)

    def to_arrays(self, state):
        return super().to_arrays(state)[0], {}


def test_an_optimiser_without_a_state_goes_on_and_under_no_other(tmp_path):
    options = SHORT | {"steps": 9, "backend": Forgetful}
    with pytest.raises(Killed):
        JPVAE(**options).fit(VIEWS, MASK, checkpoint=tmp_path / "c", checkpoint_every=4, on_log=kill)
    for other in ("auto", "numpy", "torch", "jax"):
        with pytest.raises(CheckpointError, match="is damaged; delete the file to start over"):
            JPVAE(**options | {"backend": other}).fit(VIEWS, MASK, checkpoint=tmp_path / "c")
    assert JPVAE(**options).fit(VIEWS, MASK, checkpoint=tmp_path / "c").n_iter_ == 9


def test_a_name_that_two_packages_declare(pair, monkeypatch):
    points = [EntryPoint("odd", f"{pair.__name__}:{name}", GROUP) for name in ("First", "Second")]
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda **_: points)
    with pytest.raises(ConfigError, match=r"backend 'odd' is declared by several packages .*; expected one\. Uninstall"):
        JPVAE(**SHORT | {"backend": "odd"}).fit(VIEWS, MASK)
    monkeypatch.setattr(jpvae.engines, "entry_points", lambda **_: [points[0], points[0]])  # twice installed
    assert JPVAE(**SHORT | {"backend": "odd"}).fit(VIEWS, MASK).n_iter_ == 2


def giving(change):
    class Giving(jpvae_numpy.Engine):
        def to_arrays(self, state):
            parameters, optimizer = super().to_arrays(state)
            return change(parameters), optimizer

    return Giving


LOST = {
    r"no array 'prior.logits'": lambda p: {name: x for name, x in p.items() if name != "prior.logits"},
    r"the unknown array 'mine'": lambda p: p | {"mine": np.zeros(1)},
    r"the array 'decoder.0.0.bias' as float16 of shape \(4,\); expected float32 or float64 of shape \(4,\)": lambda p: (
        p | {"decoder.0.0.bias": p["decoder.0.0.bias"].astype(np.float16)}
    ),
    r"the array 'decoder.0.0.bias' as float32 of shape \(1, 4\); expected": lambda p: (
        p | {"decoder.0.0.bias": p["decoder.0.0.bias"].astype(np.float32)[None]}
    ),
    r"the array 'decoder.0.0.bias' as Tensor; expected": lambda p: p | {"decoder.0.0.bias": torch.zeros(4)},
}


@pytest.mark.parametrize("message", LOST)
def test_arrays_that_no_file_would_take_are_refused_before_the_training(message):
    with pytest.raises(ConfigError, match=f"^backend gives an engine whose to_arrays has {message}"):
        JPVAE(**SHORT | {"backend": giving(LOST[message])}).fit(VIEWS, MASK, on_log=lambda _: pytest.fail("it trained"))
