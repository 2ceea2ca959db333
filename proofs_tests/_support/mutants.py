"""Mutation testing: which slips in ``jpvae_core``, or (--of backends) in what draws, trains and pools, would no test notice?

    python proofs_tests/_support/mutants.py [FILE.py ...] [-k EXPRESSION]    all mutants; the survivors go to docs/mutants.md
    python proofs_tests/_support/mutants.py --again [FILE.py ...]            only the survivors that docs/mutants.md lists
    python proofs_tests/_support/mutants.py --rows IN.json OUT.json          those of [[file, old text, new text], ...] only
    python proofs_tests/_support/mutants.py --of backends ...                the same of backends/ (docs/mutants-backends.md)
    python proofs_tests/_support/mutants.py --sample 100 --seed 1 ...        that many of them, drawn with this seed
    python proofs_tests/_support/mutants.py --new ...                        without the survivors with a reason

One pytest collects the target's tests, runs them once to learn which test reaches which line, and forks for every mutant: the
child gives one function its mutated code and meets the tests that reach the line, quickest killers first, until one fails.
Nothing is imported or collected twice, and what the oracles (which know no core) have cached, every child finds there.
Killed means that a test failed or ran far too long.
Values that a test module made from the core while it was imported are the unmutated core's: keep them out of test modules.
Cases of JAX and of torch.compile are left out unless -k asks for them: they compile for seconds and trace the same lines.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import importlib
import inspect
import json
import os
import pickle
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from mutations import Mutant, Source
from rich.progress import track

from jpvae_core._checks import _NAMES
from jpvae_core.skew import _KEPT

HERE = Path(__file__).parent
TESTS, ROOT = HERE.parent, HERE.parents[1]
TARGET = 0.95
PATIENCE = 4.0  # seconds of processor time: who outlives them, the likeliest killers first, is taken for a survivor
QUICK = 0.004  # seconds that count as nothing: a thousand such tests are tried before any other
UNJUDGED = "not judged yet"
ENTRY = re.compile(r"^- `(?P<function>\S+)`: `(?P<before>.+)` → `(?P<after>.+)`  \n  (?P<reason>.+)$", re.MULTILINE)


def packages(path: Path) -> set[str]:
    """The packages that a test module imports, itself or through modules beside it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    top = {name.partition(".")[0] for name in names}
    return top.union(*(packages(HERE / f"{name}.py") for name in top if (HERE / f"{name}.py").exists()))


@dataclass(frozen=True)
class Target:
    """What is mutated: the files below ``root``, its import path; the tests that meet it, and the report."""

    root: Path  # of the package's own parent
    files: tuple[Path, ...]
    tests: tuple[str, ...]
    report: Path
    wait: float = 10.0  # seconds that a test is given beyond ten times its own

    def module(self, file: str) -> str:
        """The import path of a file known by its name."""
        path = next(path for path in self.files if path.name == file)
        return ".".join(path.relative_to(self.root).with_suffix("").parts)


def core() -> Target:
    """The core, by the test files that import it and not the package above it; but for the probes from JAX, whose arrays start
    JAX's threads: mutants are forks."""
    files = {str(path): packages(path) for path in sorted((TESTS / "core").glob("test_*.py")) if path.stem != "test_jax_probes"}
    tests = [path for path, names in files.items() if {name for name in names if name.startswith("jpvae")} == {"jpvae_core"}]
    return Target(ROOT, tuple(sorted((ROOT / "jpvae_core").glob("*.py"))), tuple(tests), ROOT / "docs" / "mutants.md")


def backends() -> Target:
    """What draws, trains, weighs and pools, by the tests of estimator and engines that are about it."""
    package = ROOT / "backends" / "jpvae"
    found = [path for folder in ("inference", "training", "model/likelihoods") for path in (package / folder).glob("*.py")]
    found = [path for path in found if path.name not in SHOWN]
    tests = [str(TESTS / folder / f"test_{name}.py") for folder, names in ABOUT.items() for name in names.split()]
    files = (*sorted(found), package / "pooling.py", package / "views" / "units.py")
    # A test whose model another test had fitted, and kept, fits it anew.
    return Target(ROOT / "backends", files, tuple(tests), ROOT / "docs" / "mutants-backends.md", wait=60.0)


SHOWN = ("__init__.py", "registry.py", "inspection.py", "latent_report.py", "verification.py", "progress.py")
ABOUT = {  # folder -> tests; those of engines first, because others import from them
    "engines": "batches likelihoods likelihood_digits schedules missing_cells divergence",
    "estimator": "posterior_predictive predictive_std level_probabilities resampling row_noise score pooling affine_model "
    "estimator early_stopping mixed_tables impossible callbacks calibration",
}


def forget() -> None:
    """Empty the caches of test modules and of what helps them: what they hold may come from unmutated code."""
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "/")
        if TESTS in path.parents and {"jpvae_core", "jpvae"} & packages(path):
            for function in filter(lambda value: hasattr(value, "cache_clear"), vars(module).values()):
                function.cache_clear()


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a forked process, silently; None where a signal ended that. RuntimeError where it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:  # whatever happens, the child must not go on as a second parent
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            answer = pickle.dumps(work())
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(answer)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status > 0:
        raise RuntimeError(f"the forked process ended with status {status}: a fault of this tool")
    return pickle.loads(answer) if answer else None  # noqa: S301 (our own child's)


def function_of(item: pytest.Item) -> str:
    """A test's name without its parameters."""
    return item.nodeid.partition("[")[0]


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """A code object and all inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def install(mutant: Mutant, module: str) -> None:
    """Give the live function its mutated code: whoever has imported the function has the mutant."""
    live: Any = importlib.import_module(module)
    path = live.__file__
    for name in mutant.function.split("."):
        live = vars(live)[name]
    live = getattr(live, "fget", None) or getattr(live, "__func__", live)  # properties and static methods
    live = inspect.unwrap(live)
    assert isinstance(live, FunctionType)
    for kept in (_KEPT, _NAMES):  # what the unmutated core has made
        kept.clear()
    codes = code_objects(compile(mutant.source, path, "exec", dont_inherit=True))
    live.__code__ = next(code for code in codes if code.co_qualname == mutant.function)


class Mutation:
    """A pytest plugin: in place of the test run, the trial of every mutant. ``killers`` then has (mutant, test or None)."""

    def __init__(self, mutants: list[Mutant], target: Target) -> None:
        self.mutants, self.target = mutants, target
        self.names = {str(path): path.name for path in target.files}
        self.killers: list[tuple[Mutant, str | None]] = []
        self.uncovered: list[Mutant] = []
        self.failed = False
        self.reach: dict[str, set[tuple[str, int]]] = {}  # per test function, because JAX traces a line for one case only
        self.seconds: dict[str, float] = {}
        self.kills: Counter[str] = Counter()

    def pytest_configure(self) -> None:
        """A failing example is not shrunk: that it fails is all we ask."""
        import hypothesis  # not earlier: pytest rewrites the assertions of its plugins when it imports them

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure, of a fixture too."""
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure, warm the oracles' caches, then one fork per mutant."""
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        session.config.pluginmanager.unregister(name="terminalreporter")
        # Of the laws, NumPy's cases: a framework's threads would not survive a fork. (Backends: -k leaves frameworks out.)
        warm = [item for item in session.items if "library" in item.fixturenames and "numpy" in item.name]
        failures = self.measure(warm)
        rest = in_child(lambda: (self.measure([i for i in session.items if i not in warm]), self.reach, self.seconds))
        if rest is None or failures + rest[0]:
            raise pytest.UsageError(f"without any mutant these fail: {'a crash' if rest is None else failures + rest[0]}")
        _, self.reach, self.seconds = rest
        forget()
        gc.freeze()
        for mutant in track(self.mutants, "mutants"):
            met = [item for item in session.items if self.meets(item, mutant)]
            if met:
                tests = self.in_turn(met)
                killer = (in_child(lambda m=mutant, t=tests: self.trial(m, t)) or ["no test: it crashed or ran out of time"])[0]
                self.kills[killer] += 1
                self.killers.append((mutant, killer))
                if killer is None:
                    print(f"{mutant.file} {mutant.function}\n  - {mutant.before}\n  + {mutant.after}", flush=True)
            else:
                self.uncovered.append(mutant)
        return True

    def run(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Whether a test fails."""
        self.failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return self.failed

    def measure(self, items: list[pytest.Item]) -> list[str]:
        """Run the tests once; note their seconds and the lines their functions reach (in float64); the tests that fail."""
        failures, traced = [], {function_of(item) for item in items} - set(self.reach)
        for item in items:
            lines = self.reach.setdefault(function_of(item), set())
            for kept in (_KEPT, _NAMES):  # every test that needs such an entry shall meet the lines that make it
                kept.clear()
            start = time.perf_counter()
            if function_of(item) in traced and "float32" not in item.nodeid:
                sys.settrace(functools.partial(_trace, lines, self.names))
            failed = self.run(item, None)
            sys.settrace(None)
            self.seconds[item.nodeid] = time.perf_counter() - start
            failures += [item.nodeid] * failed
        return failures

    def meets(self, item: pytest.Item, mutant: Mutant) -> bool:
        """Whether the test can meet the mutant."""
        return any((mutant.file, line) in self.reach[function_of(item)] for line in mutant.lines)

    def in_turn(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """The quickest killers first: what takes milliseconds, as refusals do, then one case of every test before a second case
        of any, because cases fail alike."""
        cases: Counter[str] = Counter()
        order: list[tuple[int, pytest.Item]] = []
        for item in sorted(items, key=lambda item: self.seconds[item.nodeid] / (1 + self.kills[item.nodeid])):
            quick = self.seconds[item.nodeid] < QUICK
            order.append((-1 if quick else cases[function_of(item)], item))
            cases[function_of(item)] += 1
        return [item for _, item in sorted(order, key=lambda pair: pair[0])]

    def trial(self, mutant: Mutant, items: list[pytest.Item]) -> list[str | None]:
        """The first test that fails, or [None] where none does, or the patience ends."""
        install(mutant, self.target.module(mutant.file))
        end = time.process_time() + PATIENCE
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > end:
                break
            signal.setitimer(
                signal.ITIMER_REAL, self.target.wait + 10 * self.seconds[item.nodeid]
            )  # its alarm ends the process
            if self.run(item, following):
                return [item.nodeid]
        return [None]


def _trace(lines: set[tuple[str, int]], names: dict[str, str], frame: Any, event: str, _: Any) -> Any:
    """A trace function that notes the lines of the target's files and stays out of all other code."""
    name = names.get(frame.f_code.co_filename)
    if name is None:
        return None
    if event == "line":
        lines.add((name, frame.f_lineno))
    return functools.partial(_trace, lines, names)


def judge(mutants: list[Mutant], target: Target, expression: str) -> Mutation:
    """The trial of the mutants by those of the target's tests that the expression selects."""
    plugin = Mutation(mutants, target)
    options = ["-qq", "-s", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:benchmark"]
    status = pytest.main([*options, "-k", expression, *target.tests], plugins=[plugin])
    if status != pytest.ExitCode.OK:
        sys.exit(f"pytest ended with {status!r}")
    return plugin


@dataclass
class Section:
    """A file's part of the report: how many were tried, and of whom survived (by key) why."""

    total: int
    reasons: dict[tuple[str, str, str, str], str]

    @property
    def killed(self) -> int:
        """How many did not survive."""
        return self.total - len(self.reasons)


def read_report(report: Path) -> dict[str, Section]:
    """The report's sections by file."""
    sections = {}
    for part in re.split(r"^## (?=\S+\.py$)", report.read_text(), flags=re.MULTILINE)[1:]:
        file, total = part.partition("\n")[0], re.search(r"^\d+ of (\d+) killed", part, re.MULTILINE)
        reasons = {(file, m["function"], m["before"], m["after"]): m["reason"] for m in ENTRY.finditer(part)}
        sections[file] = Section(int(total[1]) if total else 0, reasons)
    return sections


def write_report(report: Path, sections: dict[str, Section]) -> tuple[str, bool]:
    """The sections under the report's own introduction; returns the score, and whether it is high enough."""
    killed, total = (sum(getattr(section, name) for section in sections.values()) for name in ("killed", "total"))
    score = f"{killed} of {total} killed, {killed / total:.1%}"
    text = report.read_text().partition("\n**Score")[0] + f"\n**Score: {score}.**\n"
    for file, section in sorted(sections.items()):
        text += f"\n## {file}\n\n{section.killed} of {section.total} killed.\n\n"
        text += "".join(f"- `{k[1]}`: `{k[2]}` → `{k[3]}`  \n  {reason}\n" for k, reason in section.reasons.items())
    report.write_text(text)
    return score, killed >= TARGET * total


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="Mutation testing of jpvae_core, or of backends/jpvae.")
    parser.add_argument("files", nargs="*", help="names of files; all without any")
    parser.add_argument("--of", choices=TARGETS, default="core", help="what is mutated")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--new", action="store_true", help="count survivors that have their reason as survivors, untried")
    parser.add_argument("-k", default="not jax and not compile", help="which tests, as pytest's -k")
    parser.add_argument("--again", action="store_true", help="only the survivors that the report lists")
    parser.add_argument("--rows", nargs=2, type=Path, metavar=("IN", "OUT"))
    options = parser.parse_args()
    target = TARGETS[options.of]()
    if options.rows:
        rows = json.loads(options.rows[0].read_text())
        sources = {path.name: path for path in target.files}
        plugin = judge([Source(sources[file]).replaced(old, new) for file, old, new in rows], target, options.k)
        killers = dict(zip(map(id, plugin.mutants), [None] * len(rows), strict=True))
        killers |= {id(mutant): killer for mutant, killer in plugin.killers}
        options.rows[1].write_text(json.dumps(list(killers.values())))
        return
    before = read_report(target.report)
    paths = [path for path in target.files if path.name in options.files or not options.files]
    mutants = [mutant for path in paths for mutant in Source(path).mutants()]
    if options.sample:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
        mutants.sort(key=lambda mutant: mutant.file)
    if options.again:
        mutants = [m for m in mutants if m.key in before.get(m.file, Section(0, {})).reasons]
    reasons = {key[1:]: reason for section in before.values() for key, reason in section.reasons.items() if reason != UNJUDGED}
    untried = [m for m in mutants if options.new and m.key[1:] in reasons]  # a function may have moved to another file
    plugin = judge([m for m in mutants if m not in untried], target, options.k)
    killers = [*plugin.killers, *((m, None) for m in untried)]
    sections = {} if options.sample else {name: before[name] for name in before if name in {path.name for path in target.files}}
    for path in paths:
        old, tried = before.get(path.name, Section(0, {})), [pair for pair in killers if pair[0].file == path.name]
        alive = {m.key: reasons.get(m.key[1:], UNJUDGED) for m, killer in tried if killer is None}
        if tried or path.name in sections:
            sections[path.name] = Section(old.total if options.again else len(tried), alive)
    score, high_enough = write_report(target.report, sections)
    for m in plugin.uncovered:
        print(f"on a line that no test reaches: {m.file} {m.function}\n  - {m.before}\n  + {m.after}")
    unjudged = sum(reason == UNJUDGED for section in sections.values() for reason in section.reasons.values())
    print(f"{score}. {unjudged} survivors have no reason in {target.report.name}.")
    sys.exit(bool(unjudged) or not high_enough)


TARGETS: dict[str, Callable[[], Target]] = {"core": core, "backends": backends}

if __name__ == "__main__":
    main()
