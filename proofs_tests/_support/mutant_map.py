"""Which test runs which line of the target, and how long each test takes: measured once, kept in a file, by test file.

Every test is measured as a trial meets it, with the caches of test modules empty and those of the oracles (which know no core)
warm. coverage.py notes the lines. What is kept of a test file is measured anew when any source that it can meet has changed:
the packages, what supports the tests, the file itself, or the test files that it imports from.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import pytest
from mutant_code import forget_entries
from mutant_targets import HERE, ROOT, TESTS, Target, packages

MUTATION = ("forks.py", "mutations.py", *(path.name for path in HERE.glob("mutant*.py")))  # of what is here, what no test meets
SHARE = 8  # test functions that one process measures


@dataclass
class Measured:
    """What the unmutated run found: the tests that fail, with the last line of each failure; each test's seconds; the tests
    that run each line of each file."""

    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    meets: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, other: Measured) -> None:
        """Take over what another process found."""
        self.failures |= other.failures
        self.seconds |= other.seconds
        for line, tests in other.meets.items():
            self.meets[line] |= tests

    def of_file(self, path: str) -> Measured:
        """The part that belongs to the tests of one file."""
        tests = {test for test in self.seconds.keys() | self.failures.keys() if file_of(test) == path}
        meets = {line: found for line, every in self.meets.items() if (found := every & tests)}
        return Measured(*({t: x for t, x in of.items() if t in tests} for of in (self.failures, self.seconds)), meets)


def file_of(test: str) -> str:
    """The path of a test's file, relative to the repository, from its name."""
    return test.partition("::")[0]


def function_of(test: str) -> str:
    """A test's name without its parameters."""
    return test.partition("[")[0]


def digest(paths: Iterable[Path], *words: str) -> str:
    """Of the contents of these files, and of these words."""
    found = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def sources() -> list[Path]:
    """Every source that a test can meet, but for test files."""
    below = [path for folder in ("jpvae_core", "backends") for path in (ROOT / folder).rglob("*.py")]
    return below + [path for path in HERE.glob("*.py") if path.name not in MUTATION] + list(TESTS.rglob("conftest.py"))


def keys_of(target: Target, expression: str) -> dict[str, str]:
    """For each test file, by its path in the repository, what it is measured under."""
    common = digest(sources(), expression)
    by_name = {path.stem: path for path in TESTS.rglob("test_*.py")}
    files = [Path(path) for path in target.tests]
    beside = {path: [by_name[name] for name in packages(path) & by_name.keys()] for path in files}
    return {str(path.relative_to(ROOT)): digest([path, *beside[path]], common) for path in files}


def forget() -> None:
    """Empty the caches of test modules and of what helps them: what they hold may come from unmutated code."""
    forget_entries()
    for module in list(sys.modules.values()):
        if _knows_the_core(getattr(module, "__file__", None) or "/"):
            for function in filter(lambda value: hasattr(value, "cache_clear"), vars(module).values()):
                function.cache_clear()


def _knows_the_core(file: str, known: dict[str, bool] = {}) -> bool:  # noqa: B006 (kept on purpose: sources do not change in a run)
    """Whether a module is one of the tests' that imports the packages; asked of thousands of modules before every test."""
    if file not in known:
        path = Path(file)
        known[file] = TESTS in path.parents and bool({"jpvae_core", "jpvae"} & packages(path))
    return known[file]


def measure(target: Target, run: Callable[[pytest.Item], str | None], items: list[pytest.Item]) -> Measured:
    """Run each test once, alone; ``run`` returns what failed, if anything did."""
    found, names = Measured(), {str(path): path.name for path in target.files}
    seen = coverage.Coverage(data_file=None, include=list(names), config_file=False)
    seen.set_option("run:disable_warnings", ["no-data-collected"])  # some tests run no line of the target
    seen.start()
    for item in items:
        forget()
        seen.switch_context(item.nodeid)
        start = time.process_time()
        failure = run(item)
        found.seconds[item.nodeid] = time.process_time() - start
        if failure is not None:
            found.failures[item.nodeid] = failure
    seen.stop()
    for file in seen.get_data().measured_files():
        for line, tests in seen.get_data().contexts_by_lineno(file).items():
            found.meets[names[file], line].update(filter(None, tests))
    return found


def shares(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """The tests in portions for one process each: some functions of one file with all their cases."""
    found = []
    for _, of_file in itertools.groupby(items, key=lambda item: file_of(item.nodeid)):
        functions = [list(cases) for _, cases in itertools.groupby(of_file, key=lambda item: function_of(item.nodeid))]
        found += [list(itertools.chain(*functions[k : k + SHARE])) for k in range(0, len(functions), SHARE)]
    return found


class Kept:
    """The file in which measurements outlast a run."""

    def __init__(self, path: Path | None, keys: dict[str, str]) -> None:
        self.path, self.keys = path, keys
        kept = json.loads(path.read_text()) if path and path.exists() else {}
        self.kept = {file: of for file, of in kept.items() if of["key"] == keys.get(file, of["key"])}

    def read(self) -> Measured:
        """All that still holds."""
        found = Measured()
        for of in (of for file, of in self.kept.items() if file in self.keys):
            names = of["tests"]
            meets = {
                (file, int(line)): {names[k] for k in at} for file, lines in of["meets"].items() for line, at in lines.items()
            }
            found.add(Measured(of["failures"], of["seconds"], meets))
        return found

    def write(self, found: Measured, files: Iterable[str]) -> None:
        """Keep what was found of these test files."""
        for file in files:
            part = found.of_file(file)
            names = sorted(part.seconds)
            at = {name: k for k, name in enumerate(names)}
            meets: dict[str, dict[int, list[int]]] = defaultdict(dict)
            for (source, line), tests in part.meets.items():
                meets[source][line] = sorted(at[test] for test in tests)
            about = {"key": self.keys[file], "tests": names, "seconds": part.seconds, "failures": part.failures}
            self.kept[file] = about | {"meets": meets}
        if self.path:
            self.path.write_text(json.dumps(self.kept) + "\n")
