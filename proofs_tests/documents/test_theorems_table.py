"""docs/theorems.md is true: its tests exist and reach the functions that their row names, and nothing public is missing.

Reaching is read off the source: the names in a test, in what it calls in its own file, in calls.py and in what is imported by
name from _support, and so on. The
constructors of a prior are called by name in one place only, ``Structure.prior``: a test reaches those of its structures.
"""

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest
import strategies

import jpvae_core as jc
from jpvae.experiments.reproduce.pieces import SHOWN
from jpvae_core import vjp

TESTS = Path(__file__).parents[1]
TABLE = (TESTS.parent / "docs" / "theorems.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines() if line.startswith("|")]
ROWS = [row for row in ROWS if row[0] != "Statement" and set(row[0]) != {"-"}]
METHODS = {f"JointPrior.{name}" for name in dir(jc.JointPrior) if not name.startswith("_")}
VJPS = {f"vjp.{name}" for name, x in vars(vjp).items() if inspect.isfunction(x) and x.__module__ == vjp.__name__}
PUBLIC = set(jc.__all__) | METHODS | {name for name in VJPS if not name.startswith("vjp._")}
NO_FUNCTION = {"(mathematics)", "(every public name)", "(options of the experiment)"}
CONSTRUCTORS = {"svd-sigmoid": "svd", "svd-tanh": "svd"}  # of a kind of structure; elsewhere it has the same name


FILES = {path.name: path for path in TESTS.glob("*/test_*.py")}


def quoted(column):
    """What stands in `backticks` in a column, row by row."""
    return [re.findall(r"`([^`]+)`", row[column]) for row in ROWS]


@functools.cache
def functions_of(path):
    return {node.name: node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@functools.cache
def definitions(path):
    """Every function and constant of a file, by name: what it stands for."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return functions_of(path) | {
        target.id: node
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@functools.cache
def modules(path):
    """The modules that a file imports, by the names it gives them."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {alias.asname or alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}


@functools.cache
def imported(path):
    """The files of _support from which a file imports names, by these names."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = {
        a.asname or a.name: TESTS / "_support" / f"{n.module}.py"
        for n in body
        if isinstance(n, ast.ImportFrom)
        for a in n.names
    }
    return {name: file for name, file in found.items() if file.is_file()}


def kinds_of(name):
    """The kinds of structure that a name of strategies.py, or a string, stands for."""
    found = getattr(strategies, name, name)
    found = found if isinstance(found, tuple) else (found,)
    return {kind for kind in strategies.KINDS if any(kind == getattr(x, "kind", x) for x in found)}


def reached(path, start):
    """The public functions that a test's source reaches, by the names of the table."""
    todo, seen, found = [(path, node) for node in start], set(), set()
    while todo:
        path, tree = todo.pop()
        for node in ast.walk(tree):
            owner = node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None
            if isinstance(node, ast.Attribute):
                name, home = node.attr, TESTS / "_support" / "calls.py" if owner == "calls" else None
                if owner in {"jc", "vjp"}:
                    found.add(name if owner == "jc" else f"vjp.{name}")
                elif owner not in modules(path) | {"structure"}:  # (strategies.Structure has a noise_dim of its own)
                    found.add(f"JointPrior.{name}")
                found |= {"framed": {"frame"}, "prior": {"JointPrior"}}.get(name, set())  # Model.framed, Structure.prior
            elif isinstance(node, ast.Name):
                name, home = node.id, imported(path).get(node.id, path)
                found |= {f"JointPrior.{CONSTRUCTORS.get(kind, kind)}" for kind in kinds_of(name)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {f"JointPrior.{CONSTRUCTORS.get(kind, kind)}" for kind in kinds_of(node.value)}
                continue
            else:
                continue
            if home and name in definitions(home) and (home, name) not in seen:
                seen.add((home, name))
                todo.append((home, definitions(home)[name]))
    functions = filter(inspect.isfunction, (getattr(jc, name, None) for name in found))
    annotations = (inspect.signature(function).return_annotation for function in functions)
    returned = {re.sub(r"\[.*?\]", "", annotation) for annotation in annotations}  # Bounded, Fused | FusedInFrames
    return found.union(*(annotation.split(" | ") for annotation in returned))


def is_core_mathematics(path):
    """It imports an oracle: the 80-digit one or the balls."""
    return bool(modules(path) & {"oracles", "balls", "enclosures"})


def test_every_row_is_complete():
    assert len(ROWS) > 40  # the table was found at all
    for row, functions, tests in zip(ROWS, quoted(1), quoted(2), strict=True):
        assert len(row) == 3, row
        assert functions or row[1] in NO_FUNCTION or row[1].startswith("(experiment: jpvae "), row
        assert tests, row


def test_the_commands_of_the_experiments_name_what_the_report_has():
    commands = [row[1].strip("()").split() for row in ROWS if row[1].startswith("(experiment: jpvae ")]
    assert len(commands) > 5
    for words in commands:
        assert words[:4] == ["experiment:", "jpvae", "reproduce", "--only"]
        assert set(words[4].split(",")) <= SHOWN.keys()


def test_every_test_exists():
    for tests in quoted(2):
        for name in tests:
            file, _, function = name.partition("::")
            assert file in FILES, name
            assert not function or function in functions_of(FILES[file]), name


@pytest.mark.parametrize("row", range(len(ROWS)), ids=lambda row: ROWS[row][0][:40])
def test_the_tests_of_a_row_reach_its_functions(row):
    found = set()
    for name in quoted(2)[row]:
        file, _, function = name.partition("::")
        every = functions_of(FILES[file])
        found |= reached(FILES[file], [every[function]] if function else every.values())
    assert set(quoted(1)[row]) <= found


def test_the_functions_are_the_public_ones():
    assert {name for functions in quoted(1) for name in functions} == PUBLIC


def test_every_file_of_the_core_mathematics_has_a_row():
    named = {name.partition("::")[0] for tests in quoted(2) for name in tests}
    files = {name for name, path in FILES.items() if is_core_mathematics(path)}
    assert len(files) > 15  # the files were found at all
    assert files <= named
