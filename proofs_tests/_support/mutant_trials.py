"""One target's mutants, tried by one pytest that collects its tests and forks: mutants.py starts this program.

Forked processes first run the tests unmutated, to learn which test reaches which line; a test that fails there is dropped.
Then each mutant has a process of its own, which gives one function its mutated code and meets the tests that reach the line,
the likeliest killers first, until one fails. Nothing is imported or collected twice, and what the oracles (which know no
core) have cached, every process finds there. Who outlives PATIENCE seconds is tried again, with the tests that are left, once
all others have had their turn.
Values that a test module made from the core while it was imported are the unmutated core's: keep them out of test modules.
"""

from __future__ import annotations

import functools
import gc
import itertools
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forks import Ended, Slots, in_children
from mutant_code import forget_entries, install
from mutant_targets import TARGETS, TESTS, Target, packages
from mutations import Mutant, Source

PATIENCE = (4.0, 60.0)  # seconds of processor time that a mutant has for its first turn, and for its second
QUICK = 0.004  # seconds that count as nothing: such tests are tried before any other
GROUPS = 4  # shares of the unmutated run per process
OPTIONS = ["-qq", "-s", "--no-header", "--continue-on-collection-errors", "-p", "no:cacheprovider"]


@dataclass
class Measured:
    """What the unmutated run found: the tests that fail, the lines that each test function reaches (together for its cases: JAX
    traces a line for one case only), each test's seconds."""

    failures: dict[str, str] = field(default_factory=dict)  # with the last line of each
    reach: dict[str, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: Measured) -> None:
        """Take over what another process found."""
        self.failures |= other.failures
        self.seconds |= other.seconds
        for function, lines in other.reach.items():
            self.reach[function] |= lines


@dataclass(frozen=True)
class Verdict:
    """Of one turn: the test that failed, if any; how many had their turn, of how many that reach the line."""

    killer: str | None
    tried: int
    passed: tuple[str, ...]  # where none failed: for another turn
    met: int
    seconds: float  # of processor time


def last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Of what a failure prints, the line that names the error."""
    lines = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
    return " ".join(lines[-1:])[:200]


def function_of(item: pytest.Item) -> str:
    """A test's name without its parameters."""
    return item.nodeid.partition("[")[0]


def forget() -> None:
    """Empty the caches of test modules and of what helps them: what they hold may come from unmutated code."""
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "/")
        if TESTS in path.parents and {"jpvae_core", "jpvae"} & packages(path):
            for function in filter(lambda value: hasattr(value, "cache_clear"), vars(module).values()):
                function.cache_clear()


class Mutation:
    """A pytest plugin: in place of the test run, the trial of every mutant."""

    def __init__(self, mutants: list[Mutant], target: Target, slots: Slots, end: float, tell: Callable[..., None]) -> None:
        self.mutants, self.target, self.slots, self.end, self.tell = mutants, target, slots, end, tell
        self.names = {str(path): path.name for path in target.files}
        self.items: list[pytest.Item] = []
        self.found = Measured()
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)  # by file
        self.passed: dict[int, set[str]] = defaultdict(set)  # by mutant, in its first turn
        self.failure: str | None = None
        self.patience = PATIENCE
        self.uncollected: dict[str, str] = {}

    def pytest_configure(self) -> None:
        """A failing example is not shrunk: that it fails is all we ask."""
        import hypothesis  # not earlier: pytest rewrites the assertions of its plugins when it imports them

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a file that cannot be imported here."""
        if report.failed:
            self.uncollected[report.nodeid] = last_line(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure, of a fixture too."""
        if report.failed:
            self.failure = last_line(report)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure, warm the oracles' caches, then a process for every mutant."""
        session.config.pluginmanager.unregister(name="terminalreporter")
        began = time.time()
        # Of the laws, NumPy's cases: a framework's threads would not survive a fork. (Backends: -k leaves frameworks out.)
        warm = [item for item in session.items if "library" in item.fixturenames and "numpy" in item.name]
        self.found.add(self.measure(warm))
        warmed = time.time()
        rest = [item for item in session.items if item.nodeid not in self.found.seconds]
        for ended in in_children(self.groups(rest), self.measure, self.slots, self.end):
            crashed = {item.nodeid: f"signal {ended.signal}{ended.raised[-200:]}" for item in ended.job}
            self.found.add(ended.answer or Measured(crashed))
        dropped = self.uncollected | self.found.failures
        self.items = [item for item in session.items if item.nodeid in self.found.seconds.keys() - dropped.keys()]
        self.tell(tests=len(self.items), dropped=dropped, warm=round(warmed - began), seconds=round(time.time() - began))
        forget()
        gc.freeze()
        left = list(self.turn(range(len(self.mutants)), self.patience[0]))
        for patience in self.patience[1:]:
            left = list(self.turn(left, patience))
        return True

    def groups(self, items: list[pytest.Item]) -> list[list[pytest.Item]]:
        """Shares of the tests for the processes of the unmutated run, those of a function together."""
        by_function: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            by_function[function_of(item)].append(item)
        functions = list(by_function.values())
        share = max(1, len(functions) // (GROUPS * (os.cpu_count() or 1)))
        return [list(itertools.chain(*functions[k : k + share])) for k in range(0, len(functions), share)]

    def turn(self, mutants: Iterable[int], patience: float) -> Iterator[int]:
        """Try these mutants, and tell how each ended; those that outlived their patience."""
        for ended in in_children(mutants, functools.partial(self.trial, patience), self.slots, self.end):
            number, verdict = ended.job, ended.answer
            told = self.told(ended)
            if verdict is not None:
                self.passed[number].update(verdict.passed)
                told |= {
                    "tests": len(self.passed[number]) or verdict.tried,
                    "of": verdict.met,
                    "seconds": round(verdict.seconds, 1),
                }
                if verdict.killer:
                    self.kills[self.mutants[number].file][verdict.killer] += 1
            self.tell(mutant=number, **told)
            if told["verdict"] == "outlived":
                yield number

    def told(self, ended: Ended) -> dict[str, Any]:
        """A turn's outcome in words."""
        verdict = ended.answer
        if ended.raised:
            return {"verdict": "fault", "raised": ended.raised[-2000:]}
        if verdict is None:
            stopped = "outlived" if ended.job in self.passed else "not tried"
            ends = {signal.SIGPROF: "timeout", signal.SIGALRM: "timeout", 0: stopped}
            return {"verdict": ends.get(ended.signal, "crashed"), "signal": ended.signal}
        if verdict.killer:
            return {"verdict": "killed", "by": verdict.killer}
        if not verdict.met:
            return {"verdict": "unreached"}
        whole = len(self.passed[ended.job] | set(verdict.passed)) == verdict.met
        return {"verdict": "survived" if whole else "outlived"}

    def run(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Whether a test fails."""
        self.failure = None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return self.failure is not None

    def measure(self, items: list[pytest.Item]) -> Measured:
        """Run the tests once; note their seconds and the lines their functions reach (in float64); the tests that fail."""
        found, known = Measured(), set(self.found.reach)
        for item in items:
            forget_entries()
            start = time.process_time()
            if function_of(item) not in known and "float32" not in item.nodeid:
                sys.settrace(functools.partial(_trace, found.reach[function_of(item)], self.names))
            failed = self.run(item, None)
            sys.settrace(None)
            found.seconds[item.nodeid] = time.process_time() - start
            if failed:
                found.failures[item.nodeid] = self.failure or ""
        return found

    def trial(self, patience: float, number: int) -> Verdict:
        """The first test that fails, or none where all pass or the patience ends."""
        mutant, before = self.mutants[number], self.passed[number]
        lines = {(mutant.file, line) for line in mutant.lines}
        met = [item for item in self.items if self.found.reach[function_of(item)] & lines]
        items = self.in_turn([item for item in met if item.nodeid not in before], self.kills[mutant.file])
        if not items:
            return Verdict(None, 0, (), len(met), time.process_time())
        install(mutant, self.target.module(mutant.file))
        end, passed = time.process_time() + patience, []
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > end:
                break
            limit = self.target.wait + 10 * self.found.seconds[item.nodeid]
            signal.setitimer(signal.ITIMER_PROF, limit)  # either alarm ends the process
            signal.setitimer(signal.ITIMER_REAL, 4 * limit)  # of a process that waits for something
            if self.run(item, following):
                return Verdict(item.nodeid, len(passed) + 1, (), len(met), time.process_time())
            passed.append(item.nodeid)
        return Verdict(None, len(passed), tuple(passed), len(met), time.process_time())

    def in_turn(self, items: list[pytest.Item], kills: Counter[str]) -> list[pytest.Item]:
        """The quickest killers first: what takes milliseconds, as refusals do, then one case of every test before a second case
        of any, because cases fail alike."""
        cases: Counter[str] = Counter()
        order: list[tuple[int, pytest.Item]] = []
        seconds = self.found.seconds
        for item in sorted(items, key=lambda item: seconds[item.nodeid] / (1 + kills[item.nodeid])):
            quick = seconds[item.nodeid] < QUICK
            order.append((-1 if quick else cases[function_of(item)], item))
            cases[function_of(item)] += 1
        return [item for _, item in sorted(order, key=lambda pair: pair[0])]


def _trace(lines: set[tuple[str, int]], names: dict[str, str], frame: Any, event: str, _: Any) -> Any:
    """A trace function that notes the lines of the target's files and stays out of all other code."""
    name = names.get(frame.f_code.co_filename)
    if name is None:
        return None
    if event == "line":
        lines.add((name, frame.f_lineno))
    return functools.partial(_trace, lines, names)


def chosen(target: Target, plan: dict[str, Any]) -> list[Mutant]:
    """The mutants of a plan, in an order that the seed draws: those that are tried before the time is up are a fair sample."""
    sources = {path.name: path for path in target.files}
    if plan["rows"] is not None:
        return [Source(sources[file]).replaced(old, new) for file, old, new in plan["rows"]]
    paths = [path for name, path in sources.items() if name in plan["files"] or not plan["files"]]
    mutants = [mutant for path in paths for mutant in Source(path).mutants()]
    if plan["again"] is not None:
        mutants = [mutant for mutant in mutants if list(mutant.key) in plan["again"]]
    random.Random(plan["seed"]).shuffle(mutants)
    return mutants[: plan["sample"]]


def main() -> None:
    """Tell which mutants there are, then how each one ended, as the plan of mutants.py wants it."""
    plan = json.loads(sys.argv[1])
    target = TARGETS[plan["of"]]()
    mutants = chosen(target, plan)
    rows = [{"file": m.file, "line": m.line, "function": m.function, "before": m.before, "after": m.after} for m in mutants]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as facts:  # what tests print must not come between
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

        def tell(**fact: Any) -> None:
            print(json.dumps(fact), file=facts, flush=True)

        tell(mutants=rows)
        plugin = Mutation(mutants, target, Slots(*plan["slots"]), plan["end"], tell)
        plugin.patience = PATIENCE if plan["again"] is None else PATIENCE[1:]
        status = pytest.main([*OPTIONS, "-k", plan["k"], *target.tests], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # a file that cannot be collected is told
        sys.exit(f"pytest ended with {status!r}")


if __name__ == "__main__":
    main()
