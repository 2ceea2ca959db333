"""Every example is short, ends with a number that it fails without, and is named by the guide that sends readers to it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").rglob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_fails_where_its_number_is_missed(example):
    text = (ROOT / example).read_text()
    *_, last = ast.parse(text).body
    assert any(isinstance(node, ast.Assert) for node in ast.walk(last))
    assert len(text.splitlines()) < 120
    assert "print(" in text


def test_the_guide_names_every_guest():
    text = (ROOT / "docs" / "integrate.md").read_text()
    assert [name for name in EXAMPLES if name.startswith("examples/guests/") and f"`{name}`" not in text] == []


def test_the_textbook_pair_changes_ten_lines_at_most():
    marked = [line for line in (ROOT / "examples" / "torch_pair.py").read_text().splitlines()[8:] if "(+)" in line]
    assert 0 < len(marked) <= 10
