"""The long check: every hypothesis test with fifty times as many examples. (The mutants are the other half: mutants.py.)

    python proofs_tests/_support/thorough.py            all of it (a quarter of an hour of one core), or what a stopped run left
    python proofs_tests/_support/thorough.py NAME ...   only the test files whose paths contain one of these

Hypothesis tests run on NumPy, PyTorch and JAX in float32 and float64: 150 examples each, or as many as SECONDS of processor
time allow (JAX compiles for every new shape), which the report counts. array-api-strict is NumPy behind a narrower interface,
the same bits: the examples of `make test` find a call that it lacks. The seed of the examples comes from the commit too.
benchmarks/results/thorough.json has the results so far after every test file. A report of another commit is started over.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REPORT = ROOT / "benchmarks" / "results" / "thorough.json"
SECONDS = 3.0
OUT_OF_TIME = "out of time"


def commit() -> str:
    """The commit that is checked out."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def changed() -> str:
    """What differs from the commit, but for the file that this script writes."""
    command = ["git", "status", "--porcelain", "--", ".", f":!{REPORT.relative_to(ROOT)}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def started() -> dict[str, Any]:
    """The report of this commit so far, or a new one."""
    if REPORT.exists() and (found := json.loads(REPORT.read_text()))["commit"] == commit():
        return dict(found)
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    about = {"commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, "seed": int(commit()[:8], 16)}
    return about | {"examples": {}}


def write(report: dict[str, Any]) -> None:
    """The report as it is so far."""
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


class Budget:
    """Of one test: how many examples it had, and their seconds of processor time. Each example runs in its context."""

    def __init__(self, allowed: float = SECONDS) -> None:
        self.allowed, self.examples, self.seconds, self.failed = allowed, 0, 0.0, False

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        from hypothesis.errors import StopTest, UnsatisfiedAssumption  # not earlier: pytest rewrites what its plugins import

        self.seconds += time.process_time() - self._start
        self.examples += 1
        self.failed |= kind is not None and not issubclass(kind, StopTest | UnsatisfiedAssumption)

    @property
    def spent(self) -> bool:
        """Whether the examples end here. A failing one is shrunk and reported, however long that takes."""
        return self.seconds > self.allowed and not self.failed

    def limited(self, test: Callable[..., None]) -> Callable[..., None]:
        """The test's inner function. Once the budget is spent it ends by skipping the test, which hypothesis hands on at once.

        It ends like this after an example, not in place of one: hypothesis expects that an example which begins as an earlier
        one did draws as much.
        """

        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            with self:
                test(*args, **kwargs)
            if self.spent:
                pytest.skip(OUT_OF_TIME)

        return run


class HypothesisTests:
    """A pytest plugin: only the tests that hypothesis draws examples for, each on its budget; the report after every file."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report, self.counts = report, Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Only what hypothesis draws examples for, and not on array-api-strict; file by file, for the report."""
        drawn = [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]
        kept = [item for item in drawn if "strict" not in item.nodeid.partition("[")[2].split("]")[0].split("-")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = sorted(kept, key=lambda item: item.path)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Any:
        """Give the test its budget; note the file's counts after its last test."""
        handle, budget, start = item.obj.hypothesis, Budget(), time.process_time()
        test, handle.inner_test = handle.inner_test, budget.limited(handle.inner_test)
        try:
            result = yield
        finally:
            handle.inner_test = test
        self.counts["examples"] += budget.examples
        self.counts["out of time"] += budget.spent
        self.counts["seconds"] += time.process_time() - start
        if nextitem is None or nextitem.path != item.path:
            name = str(item.path.relative_to(ROOT))
            keys = ("passed", "failed", "examples", "out of time", "seconds")
            self.report["examples"][name] = {key: round(self.counts[key], 1) for key in keys}
            write(self.report)
            print(f"\n{name}: {self.report['examples'][name]}", flush=True)
            self.counts = Counter()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the calls, those that ran out of time among the passed, and whatever fails outside of them."""
        if report.failed:
            self.counts["failed"] += 1
        elif report.when == "call" and (report.passed or OUT_OF_TIME in str(report.longrepr)):
            self.counts["passed"] += 1


def draw(report: dict[str, Any], names: list[str]) -> bool:
    """In one process, in which JAX keeps what it has compiled: the test files that are left; whether none fails."""
    files = [path for path in sorted((ROOT / "proofs_tests").glob("*/test_*.py")) if "@given" in path.read_text()]
    files = [path for path in files if str(path.relative_to(ROOT)) not in report["examples"]]
    files = [path for path in files if any(name in str(path) for name in names or [""])]
    if not files:
        return True
    options = ["-q", "-m", "", "-p", "no:cacheprovider", "-p", "no:benchmark", "--hypothesis-profile=thorough"]
    with threadpool_limits(1):
        plugin = HypothesisTests(report)
        return pytest.main([*options, f"--hypothesis-seed={report['seed']}", *map(str, files)], plugins=[plugin]) == 0


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="Fifty times the examples.")
    parser.add_argument("names", nargs="*", help="parts of test files' paths; everything without any")
    options = parser.parse_args()
    if changed():
        sys.exit(f"these files differ from the commit; commit or stash them first:\n{changed()}")
    report = started()
    good = draw(report, options.names)
    failed = [name for name, unit in report["examples"].items() if unit["failed"]]
    passed, examples = (sum(unit[key] for unit in report["examples"].values()) for key in ("passed", "examples"))
    print(f"{passed} tests passed with {examples:.0f} examples; failures in: {', '.join(failed) or 'no file'}")
    sys.exit(bool(failed) or not good)


if __name__ == "__main__":
    main()
