"""docs/theorems.md is true: its functions and tests exist, and no public function or test of the mathematics is missing."""

import ast
import re
from pathlib import Path

import jpvae_core as jc

HERE = Path(__file__).parent
TABLE = (HERE.parent / "docs" / "theorems.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines() if line.startswith("|")]
ROWS = [row for row in ROWS if row[0] != "Statement" and set(row[0]) != {"-"}]
METHODS = {name for name in vars(jc.JointPrior) if not name.startswith("_")}


def quoted(column):
    """What stands in `backticks` in a column, row by row."""
    return [re.findall(r"`([^`]+)`", row[column]) for row in ROWS]


def functions_of(path):
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def is_core_mathematics(path):
    """It imports an oracle: the 80-digit one or the balls."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    imports = {name.name for node in body if isinstance(node, ast.Import) for name in node.names}
    return bool(imports & {"oracles", "balls"})


def test_every_row_is_complete():
    assert len(ROWS) > 40  # the table was found at all
    for row, functions, tests in zip(ROWS, quoted(1), quoted(2), strict=True):
        assert len(row) == 3, row
        assert functions, row
        assert tests, row


def test_every_test_exists():
    for tests in quoted(2):
        for name in tests:
            file, _, function = name.partition("::")
            assert (HERE / file).is_file(), name
            assert not function or function in functions_of(HERE / file), name


def test_the_functions_are_the_public_ones():
    public = set(jc.__all__) | METHODS
    named = {name for functions in quoted(1) for name in functions}
    assert named == public


def test_every_file_of_the_core_mathematics_has_a_row():
    named = {name.partition("::")[0] for tests in quoted(2) for name in tests}
    files = {path.name for path in HERE.glob("test_*.py") if is_core_mathematics(path)}
    assert len(files) > 15  # the files were found at all
    assert files <= named
