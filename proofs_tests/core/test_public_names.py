"""What is public is what ``__all__`` lists; each name is documented, runs as its docstring says, and drags nothing in."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types

import pytest

import jpvae_core as jc

MODULES = [name for _, name, _ in pkgutil.iter_modules(jc.__path__)]
CALLABLES = [name for name in jc.__all__ if inspect.isfunction(getattr(jc, name))]


def test_all_is_what_is_public():
    visible = {name for name, x in vars(jc).items() if not name.startswith("_") and not isinstance(x, types.ModuleType)}
    assert sorted(visible) == sorted(jc.__all__)
    assert len(set(jc.__all__)) == len(jc.__all__)


def test_a_public_name_lives_in_the_module_that_defines_it():
    for name in jc.__all__:
        assert getattr(jc, name).__module__.startswith("jpvae_core.")


@pytest.mark.parametrize("name", CALLABLES)
def test_docstring_names_every_argument_and_gives_shapes(name):
    function = getattr(jc, name)
    text = inspect.getdoc(function)
    assert text, f"{name} has no docstring"
    for argument in inspect.signature(function).parameters:
        assert argument in text, f"the docstring of {name} does not mention {argument}"
    assert "(..." in text or "->" in text, f"the docstring of {name} gives no shapes"


@pytest.mark.parametrize("name", [name for name in jc.__all__ if inspect.isclass(getattr(jc, name))])
def test_classes_and_their_public_methods_are_documented(name):
    cls = getattr(jc, name)
    assert inspect.getdoc(cls)
    for method, x in vars(cls).items():
        if not method.startswith("_") and (inspect.isfunction(x) or isinstance(x, property | staticmethod)):
            assert inspect.getdoc(x), f"{name}.{method} has no docstring"


def test_importing_the_core_imports_no_framework():
    code = "import sys, jpvae_core; print(*sorted({'torch', 'jax', 'array_api_strict', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_examples_in_docstrings_run():
    attempted = 0
    for name in MODULES:
        result = doctest.testmod(importlib.import_module(f"jpvae_core.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert result.failed == 0
        attempted += result.attempted
    assert attempted >= 5  # the examples were found at all
