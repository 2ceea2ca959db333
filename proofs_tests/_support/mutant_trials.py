"""One target's mutants, tried by one pytest that collects its tests and forks: mutants.py starts this program.

mutant_map.py knows which tests run which line; a test that fails unmutated is dropped. Each mutant has a process of its own,
which gives one function its mutated code and meets the tests that run the line, the likeliest killers first, until one fails.
Nothing is imported or collected twice, and what the oracles (which know no core) have cached, every process finds there. Who
outlives PATIENCE seconds is tried again, with the tests that are left, once all others have had their turn.
Values that a test module made from the core while it was imported are the unmutated core's: keep them out of test modules.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from forks import STOPPED, Ended, Slots, in_children
from mutant_code import install
from mutant_map import Kept, Measured, file_of, forget, function_of, keys_of, measure, shares
from mutant_targets import PATIENCE, TARGETS, Target
from mutations import Mutant, Source

WAIT = 5.0  # seconds of processor time that a test is given beyond ten times its own
QUICK = 0.02  # seconds that count as nothing: such tests are tried before any other, all cases of them
OPTIONS = ["-qq", "-s", "--no-header", "--continue-on-collection-errors", "-p", "no:cacheprovider"]


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


class Mutation:
    """A pytest plugin: in place of the test run, the trial of every mutant."""

    def __init__(self, mutants: list[Mutant], target: Target, plan: dict[str, Any], tell: Callable[..., None]) -> None:
        self.mutants, self.target, self.plan, self.tell = mutants, target, plan, tell
        self.slots, self.end = Slots(*plan["slots"]), plan["end"]
        self.items: list[pytest.Item] = []
        self.found = Measured()
        self.kills: Counter[tuple[str, str]] = Counter()  # by file or function of a mutant, and test
        self.passed: dict[int, set[str]] = defaultdict(set)  # by mutant, in its first turn
        self.failure: str | None = None
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
        """Warm the oracles' caches, measure, then a process for every mutant."""
        session.config.pluginmanager.unregister(name="terminalreporter")
        began = time.time()
        # Of the laws, NumPy's cases: a framework's threads would not survive a fork. (Backends: their oracles keep nothing.)
        for item in session.items:
            if "library" in getattr(item, "fixturenames", ()) and "numpy" in item.name:
                self.run(item, None)
        warm = time.time() - began
        forget()
        gc.freeze()
        whole = self.measure(session.items)
        dropped = self.uncollected | self.found.failures
        self.items = [item for item in session.items if item.nodeid in self.found.seconds.keys() - dropped.keys()]
        self.tell(tests=len(self.items), dropped=dropped, warm=round(warm), measured=round(time.time() - began - warm))
        if whole:
            untried, outlived = self.plan["left"] or (range(len(self.mutants)), [])
            outlived = [*outlived, *self.turn(untried, PATIENCE[0])]
            list(self.turn(outlived, PATIENCE[1]))
        return True

    def measure(self, items: list[pytest.Item]) -> bool:
        """Learn which tests run which lines; whether the time was enough."""
        kept = Kept(self.plan["map"] and Path(self.plan["map"]), keys_of(self.target, self.plan["k"]))
        self.found = kept.read()
        new = [item for item in items if file_of(item.nodeid) not in kept.kept]
        work = functools.partial(measure, self.target, lambda item: self.failure if self.run(item, None) else None)
        for ended in in_children(shares(new), work, self.slots, self.end):
            if ended.signal != STOPPED:
                crashed = {item.nodeid: f"signal {ended.signal}{ended.raised[-200:]}" for item in ended.job}
                self.found.add(ended.answer or Measured(crashed, dict.fromkeys(crashed, 0.0)))
        left = {file_of(item.nodeid) for item in new if item.nodeid not in self.found.seconds}
        kept.write(self.found, {file_of(item.nodeid) for item in new} - left)
        return not left

    def turn(self, mutants: Iterable[int], patience: float) -> Iterator[int]:
        """Try these mutants, and tell how each ended; those that outlived their patience."""
        for ended in in_children(mutants, functools.partial(self.trial, patience), self.slots, self.end):
            number, verdict = ended.job, ended.answer
            told = self.told(ended)
            if verdict is not None:
                self.passed[number].update(verdict.passed)
                tests = len(self.passed[number]) or verdict.tried
                told |= {"tests": tests, "of": verdict.met, "seconds": round(verdict.seconds, 1)}
                if verdict.killer:
                    for place in self.mutants[number].places:
                        self.kills[place, verdict.killer] += 1
                told["patience"] = patience
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
            ends = {signal.SIGPROF: "timeout", signal.SIGALRM: "timeout", STOPPED: stopped}
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

    def trial(self, patience: float, number: int) -> Verdict:
        """The first test that fails, or none where all pass or the patience ends."""
        mutant, before = self.mutants[number], self.passed[number]
        met = set().union(*(self.found.meets.get((mutant.file, line), ()) for line in mutant.lines))
        met.intersection_update(item.nodeid for item in self.items)
        items = self.in_turn([item for item in self.items if item.nodeid in met - before], mutant)
        if not items:
            return Verdict(None, 0, (), len(met), time.process_time())
        install(mutant, self.target.module(mutant.file))
        end, passed = time.process_time() + patience, []
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() > end:
                break
            limit = WAIT + 10 * self.found.seconds[item.nodeid]
            signal.setitimer(signal.ITIMER_PROF, limit)  # either alarm ends the process
            signal.setitimer(signal.ITIMER_REAL, 4 * limit)  # of a process that waits for something
            if self.run(item, following):
                return Verdict(item.nodeid, len(passed) + 1, (), len(met), time.process_time())
            passed.append(item.nodeid)
        return Verdict(None, len(passed), tuple(passed), len(met), time.process_time())

    def in_turn(self, items: list[pytest.Item], mutant: Mutant) -> list[pytest.Item]:
        """The likeliest killers first: what takes milliseconds, as refusals and sums by hand do, then one case of every test
        before a second case of any, because cases fail alike; among these the quickest, for what they have killed in this
        function and file."""
        cases: Counter[str] = Counter()
        order: list[tuple[int, pytest.Item]] = []
        seconds = self.found.seconds
        prices = {i.nodeid: seconds[i.nodeid] / (1 + sum(self.kills[at, i.nodeid] for at in mutant.places)) for i in items}
        for item in sorted(items, key=lambda item: prices[item.nodeid]):
            name = function_of(item.nodeid)
            order.append((-1 if seconds[item.nodeid] < QUICK else cases[name], item))
            cases[name] += 1
        return [item for _, item in sorted(order, key=lambda pair: pair[0])]


def chosen(target: Target, plan: dict[str, Any]) -> list[Mutant]:
    """The mutants of a plan, in an order that the seed draws: those that are tried before the time is up are a fair sample."""
    sources = {path.name: path for path in target.files}
    if plan["rows"] is not None:
        return [Source(sources[file]).replaced(old, new) for file, old, new in plan["rows"]]
    paths = [path for name, path in sources.items() if name in plan["files"] or not plan["files"]]
    mutants = [mutant for path in paths for mutant in Source(path).mutants()]
    if plan["again"] is not None:
        mutants = [mutant for mutant in mutants if list(mutant.key[1:]) in plan["again"]]
    random.Random(plan["seed"]).shuffle(mutants)
    return mutants[: plan["sample"]]


def main() -> None:
    """Tell which mutants there are, then how each one ended, as the plan of mutants.py wants it."""
    plan = json.loads(sys.argv[1])
    target = TARGETS[plan["of"]]()
    if plan["tests"]:
        target = replace(target, tests=tuple(path for path in target.tests if Path(path).stem[5:] in plan["tests"]))
    mutants = chosen(target, plan)
    rows = [{"file": m.file, "line": m.line, "function": m.function, "before": m.before, "after": m.after} for m in mutants]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as facts:  # what tests print must not come between
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

        def tell(**fact: Any) -> None:
            print(json.dumps(fact), file=facts, flush=True)

        tell(mutants=rows)
        plugin = Mutation(mutants, target, plan, tell)
        status = pytest.main([*OPTIONS, "-k", plan["k"], *target.tests], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # a file that cannot be collected is told
        sys.exit(f"pytest ended with {status!r}")


if __name__ == "__main__":
    main()
