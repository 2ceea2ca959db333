"""The version stands in one place, and what the packages import is what pyproject.toml declares."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from commands import invoke

import jpvae
import jpvae_core

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
GUESTS = {"jax"}  # imported only where the arrays handed in are its own
DISTRIBUTIONS = {"sklearn": "scikit-learn", "flint": "python-flint", "vl_convert": "vl-convert-python"}


def test_one_version(monkeypatch, capsys):
    code, out, err = invoke(monkeypatch, capsys, "--version")
    assert (code, out, err) == (0, f"jpvae {jpvae_core.__version__}\n", "")
    assert jpvae.__version__ == jpvae_core.__version__ == importlib.metadata.version("jpvae")
    assert f"\nversion: {jpvae_core.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert "version" not in PROJECT


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_has_a_lower_bound(extra):
    for requirement in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        assert re.fullmatch(r"jpvae\[[a-z,-]+\]|[\w.-]+>=[\d.]+", requirement)


def _run(node):
    """Every node below that is executed: what stands under ``if TYPE_CHECKING:`` is a type checker's, which brings its own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING":
            child = ast.Module(child.orelse, [])
        yield child
        yield from _run(child)


def _imported(walk, trees):
    imported = set()
    for node in (node for tree in trees for node in walk(tree)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(str(node.module).partition(".")[0])
    return imported


def test_what_the_packages_import_is_declared():
    """Each third-party package that a file of ours imports, anywhere, is a requirement of the base install or of an extra; but
    typing_extensions, which type checkers bring, where nothing but a type checker reads the line."""
    runtime = [*PROJECT["dependencies"], *(word for name, words in EXTRAS.items() if name != "dev" for word in words)]
    trees = [ast.parse(path.read_text()) for folder in ("jpvae_core", "backends") for path in (ROOT / folder).rglob("*.py")]
    imported, executed = (_imported(walk, trees) for walk in (ast.walk, _run))
    foreign = imported - ({"typing_extensions"} - executed) - set(sys.stdlib_module_names) - GUESTS
    foreign = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in foreign if not name.startswith("jpvae")}
    assert foreign <= {re.split(r"[\[>]", word)[0] for word in runtime}
