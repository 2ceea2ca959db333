"""What stands for an engine in a file leads back to it: engines of one package are told apart, and what no other program can
import is not named."""

import functools
import sys
import types
import warnings
from importlib.metadata import EntryPoint

import pytest
from synthetic import OPTIONS, three_views

import jpvae.engines
import jpvae_numpy
from jpvae import JPVAE
from jpvae.engines import GROUP, engine_name
from jpvae.errors import ConfigError, JPVAEWarning

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
