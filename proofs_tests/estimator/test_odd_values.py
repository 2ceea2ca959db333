"""Every option and every argument of everything public, with values that nobody means (odd_calls.py): each is accepted, or
refused by an error of jpvae.errors, or by a TypeError that names the argument. Nothing else comes out."""

import pytest
from odd_calls import ARRAYS, BASE, FEW, OPTIONS, arguments, fits, methods, pools, uses, wrong

from jpvae import JPVAE

NUMPY = {"backend": "numpy", "likelihood": "gaussian"}
ARGUMENTS = [(method, name) for method in methods(ARRAYS) for name in arguments(method)]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """Some of the values are names of files that can be written."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    assert wrong(fits(name, FEW, ARRAYS, **NUMPY)) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
def test_arguments(method, name):
    model = JPVAE(**BASE | NUMPY).fit(ARRAYS)
    model.save("model")
    assert wrong(uses(model, method, name, FEW, ARRAYS)) == []


@pytest.mark.filterwarnings("ignore")
def test_pooling():
    assert wrong(pools(FEW)) == []
