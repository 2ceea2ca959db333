"""The docstrings of JPVAE and its public methods: numpydoc sections that name every argument, and examples that run."""

import doctest
import inspect
import re

import pytest

from jpvae import JPVAE, Filler
from jpvae.figures.plots import Plots

METHODS = {
    name: member
    for name, member in inspect.getmembers(JPVAE)
    if not name.startswith("_") and callable(member) and member.__module__.startswith("jpvae.")
}


def sections(docstring):
    """Heading -> its lines."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return {name: text.splitlines() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def named(lines):
    """The arguments that a section describes."""
    heads = [line.partition(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return [name.lstrip("*") for head in heads for name in head.split(", ")]


def arguments(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def test_the_methods_are_found():
    assert {"fit", "impute", "sample_imputations", "transform", "score", "elbo", "save", "load", "sample"} <= METHODS.keys()


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_every_argument_is_described(name):
    function, docstring = (JPVAE.__init__, JPVAE.__doc__) if name == "__init__" else (METHODS[name], METHODS[name].__doc__)
    found = sections(docstring)
    assert named(found.get("Parameters", [])) == arguments(function)
    assert "Examples" in found
    assert name in ("__init__", "save") or "Returns" in found


def test_the_examples_run():
    """Those of the class first: the methods' go on with its model and its data."""
    order = sorted(METHODS, key=lambda name: (name in ("fit", "fit_transform"), name == "load", name != "save", name))
    methods = [(name, METHODS[name].__doc__) for name in order]
    examples = [("JPVAE", JPVAE.__doc__), ("Plots", Plots.__doc__), *methods, ("Filler", Filler.__doc__)]
    scope, parser, runner = {}, doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    for name, docstring in examples:
        test = parser.get_doctest(docstring, {}, name, None, 0)
        test.globs = scope
        runner.run(test, clear_globs=False)
        if name == "JPVAE":
            scope["model"].set_params(steps=30)  # of later fits the examples show shapes alone
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 30
