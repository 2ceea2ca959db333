"""The packages' modules import each other without a circle, what is imported for types or inside a function included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"jpvae_core": ROOT, **{name.name: ROOT / "backends" for name in (ROOT / "backends").iterdir() if name.is_dir()}}


def modules():
    """Dotted name -> (file, whether it is a package)."""
    found = {}
    for package, folder in SOURCES.items():
        for file in (folder / package).rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = (file, parts[-1] == "__init__")
    return found


def imported(name, source, package, known):
    """The known modules that a module names in any import statement, wherever it stands."""
    home = name.split(".") if package else name.split(".")[:-1]
    targets = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) + 1 - node.level] if node.level else []
            root = ".".join([*base, *([node.module] if node.module else [])])
            targets |= {f"{root}.{a.name}" if f"{root}.{a.name}" in known else root for a in node.names}
    return (targets & set(known)) - {name}


def circles(graph):
    """The sets of modules that reach each other (by reachability, not in linear time)."""
    reach = {}
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        reach[start] = seen
    return sorted({tuple(sorted(m for m in graph if m in reach[n] and n in reach[m])) for n in graph if n in reach[n]})


def test_there_is_no_circle():
    known = modules()
    graph = {name: imported(name, file.read_text(), package, known) for name, (file, package) in known.items()}
    assert len(graph) > 100
    assert "jpvae.options" in graph["jpvae.estimator"]
    assert "jpvae.model.likelihoods" in graph["jpvae.model.model"]
    assert circles(graph) == []


@pytest.mark.parametrize("module", ["jpvae.estimator"])
def test_who_imports_the_estimator(module):
    """Nobody below it: what it is made of takes Options, Fitted or Run."""
    known = modules()
    users = {name for name, (file, package) in known.items() if module in imported(name, file.read_text(), package, known)}
    above = ("jpvae", "jpvae.commands", "jpvae.experiments", "jpvae.experiments.reproduce", "jpvae.report", "jpvae.tables")
    assert all(name.rpartition(".")[0] in above or name == "jpvae" for name in users)


def test_a_circle_is_found():
    known = {f"p.{name}": (None, False) for name in "abc"}
    sources = {"p.a": "from . import b", "p.b": "if TYPE_CHECKING:\n    from .c import d", "p.c": "def f():\n    import p.b"}
    graph = {name: imported(name, source, False, known) for name, source in sources.items()}
    assert circles(graph) == [("p.b", "p.c")]
