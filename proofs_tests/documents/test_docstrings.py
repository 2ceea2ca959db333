"""The docstrings of every public name: numpydoc sections that describe the signature's arguments, and examples that run.

A class's arguments stand in the class's docstring. The methods of an engine are described where the protocol declares them.
"""

import doctest
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate
from public_names import members, objects

from jpvae.engines import Engine

OBJECTS = objects()
CLASSES = {name: x for name, x in OBJECTS.items() if inspect.isclass(x)}
METHODS = {
    f"{name}.{member}": x
    for name, cls in CLASSES.items()
    for member, x in members(cls).items()
    if inspect.isfunction(x) and (cls is Engine or not (name.endswith(".Engine") and hasattr(Engine, member)))
}
PROPERTIES = {
    f"{name}.{member}": x for name, cls in CLASSES.items() for member, x in members(cls).items() if isinstance(x, property)
}
# numpydoc's codes: no docstring (GL08), of more than a line in its summary (SS06), sections unknown or in another order
# (GL06, GL07), arguments left out, unknown or in another order, or without a type (PR01 to PR04), nothing of what comes back
# (RT01, YD01), blank lines (GL02, GL03).
RULES = {"GL02", "GL03", "GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR04", "PR10", "RT01", "SS01", "SS06", "YD01"}
MADE_ELSEWHERE = {  # what functions give back; Attributes describe it
    "jpvae.engines.Engine",
    "jpvae.figures.plots.Plots",
    "jpvae.pooling.Pooled",
    "jpvae.testing.Report",
    "jpvae.training.callbacks.Run",
    "jpvae_core.Bounded",
    "jpvae_core.Conditional",
    "jpvae_core.Fused",
    "jpvae_core.FusedInFrames",
    "jpvae_core.JointPrior",
}


def broken(x, but=()):
    return [f"{code}: {text}" for code, text in validate(get_doc_object(x))["errors"] if code in RULES - set(but)]


@pytest.mark.parametrize("name", [*OBJECTS, *METHODS])
def test_the_sections_describe_the_signature(name):
    x = OBJECTS.get(name) or METHODS[name]
    if name.startswith("jpvae.JPVAE"):  # "views, mask" of ``fit`` have their types there
        assert broken(x, {"PR04"}) == []
        return
    unmade = name in MADE_ELSEWHERE or (inspect.isclass(x) and issubclass(x, Exception))
    assert broken(x, {"PR01", "PR02", "PR03"} if unmade else ()) == []


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_has_a_docstring(name):
    assert inspect.getdoc(PROPERTIES[name])


@pytest.mark.parametrize("name", OBJECTS)
def test_an_example_shows_it(name):
    """Of a class, each method: in the method's own example or in the class's."""
    x = OBJECTS[name]
    text = inspect.getdoc(x) or ""
    if inspect.isclass(x) and issubclass(x, Exception) and not members(x):
        return
    assert "\nExamples\n" in text
    methods = {member: inspect.getdoc(y) or "" for member, y in members(x).items()} if inspect.isclass(x) else {}
    shown = {m for m, own in methods.items() if "\nExamples\n" in own or f".{m}" in text.partition("\nExamples\n")[2]}
    bases = [base for base in x.__mro__[1:] if base in OBJECTS.values()] if inspect.isclass(x) else []
    functions = {m for m in methods if f"{name}.{m}" in METHODS and not any(hasattr(base, m) for base in bases)}
    assert functions - shown - {"forward"} == set()  # (calling a module is its forward)


EXAMPLES = {
    name: x
    for name, x in {**OBJECTS, **METHODS, **PROPERTIES}.items()
    if ">>>" in (inspect.getdoc(x) or "") and not name.startswith(("jpvae.JPVAE", "jpvae.Filler", "jpvae.figures"))
}  # test_estimator_docstrings.py runs the others, one after another on one model


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_example_runs(name):
    """As it stands: it imports what it uses."""
    x = EXAMPLES[name]
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(x), {}, name, None, 0)
    assert runner.run(examples).failed == 0
    assert examples.examples


def test_the_reference_shows_every_name():
    """Those of the core by its module's members."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "docs" / "api").glob("*.md"))
    own = {name.rpartition(".")[2] for name in OBJECTS if not name.startswith("jpvae_core.")}
    assert {name for name in own if not re.search(rf"\b{name}\b", pages)} == set()
    assert ".. automodule:: jpvae_core\n   :members:\n   :imported-members:\n   :inherited-members:" in pages
