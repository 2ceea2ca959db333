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


def test_what_the_packages_import_is_declared():
    """Each third-party package that a file of ours imports, anywhere, is a requirement of the base install or of an extra."""
    runtime = [*PROJECT["dependencies"], *(word for name, words in EXTRAS.items() if name != "dev" for word in words)]
    imported = set()
    for folder in ("jpvae_core", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    imported.add(str(node.module).partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - GUESTS
    foreign = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in foreign if not name.startswith("jpvae")}
    assert foreign <= {re.split(r"[\[>]", word)[0] for word in runtime}
