"""The long check: every hypothesis test with fifty times as many examples, then every mutant of the core, in one report.

    python proofs_tests/_support/thorough.py                  all of it (hours), or what an interrupted run of this commit left
    python proofs_tests/_support/thorough.py NAME ...         only the test and core files whose names contain one of these
    python proofs_tests/_support/thorough.py --estimate       print what is left and how long it will take

Tests run on every array library of the fixture ``xp``, PyTorch and JAX included. Each test file runs in a process of
its own, and its result is written to benchmarks/results/thorough.json at once, so that an interrupted run resumes; the mutants
follow in one process. A report of another commit is started over.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mutants
import pytest
from mutations import Source

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REPORT = ROOT / "benchmarks" / "results" / "thorough.json"
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
MUTANT = 3.0  # seconds for one, where none has been timed yet; and for one test with fifty times the examples
EXAMPLES = 20.0


class HypothesisTests:
    """A pytest plugin that deselects all other tests, and counts outcomes."""

    def __init__(self) -> None:
        self.outcomes = {"passed": 0, "failed": 0}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Only what hypothesis draws examples for."""
        kept = [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the calls, and whatever fails outside of them."""
        if report.failed:
            self.outcomes["failed"] += 1
        elif report.when == "call":
            self.outcomes["passed"] += 1


def run_examples(path: Path) -> dict[str, int]:
    """In this process: the file's hypothesis tests with the thorough profile; how many passed and failed."""
    plugin = HypothesisTests()
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=thorough"]
    status = pytest.main([*options, str(path)], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        plugin.outcomes["failed"] += 1  # a file that cannot be collected
    return plugin.outcomes


def test_files() -> list[Path]:
    """Test files that use hypothesis."""
    return [path for path in sorted((ROOT / "proofs_tests").glob("*/test_*.py")) if "hypothesis" in path.read_text()]


def core_files() -> dict[str, int]:
    """The core's files and how many mutants each has."""
    counts = {path.name: sum(1 for _ in Source(path).mutants()) for path in sorted(mutants.CORE.glob("*.py"))}
    return {name: count for name, count in counts.items() if count}


def commit() -> str:
    """The commit that is checked out."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def changed() -> str:
    """What differs from the commit, but for the two files that this script writes."""
    written = [f":!{path.relative_to(ROOT)}" for path in (REPORT, mutants.REPORT)]
    command = ["git", "status", "--porcelain", "--", ".", *written]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def started() -> dict[str, Any]:
    """The report of this commit so far, or a new one."""
    if REPORT.exists() and (found := json.loads(REPORT.read_text()))["commit"] == commit():
        return dict(found)
    empty: dict[str, Any] = {"examples": {}, "mutants": {}, "mutants_seconds": 0.0}
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {"commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, **empty}


def finish(command: list[str | Path]) -> float:
    """Run a command in a process of its own; its seconds."""
    start = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | ONE_THREAD, check=False)
    return round(time.monotonic() - start, 1)


def examine(report: dict[str, Any], name: str) -> None:
    """Do one test file and write the report."""
    answer = REPORT.with_suffix(".part")
    answer.unlink(missing_ok=True)
    seconds = finish([__file__, "--unit", name, "--answer", answer])
    outcomes = json.loads(answer.read_text()) if answer.exists() else {"passed": 0, "failed": 1}  # no answer: it crashed
    answer.unlink(missing_ok=True)
    report["examples"][name] = outcomes | {"seconds": seconds}
    write(report)


def mutate(report: dict[str, Any], names: list[str]) -> None:
    """Try the mutants of these core files in one process and write the report. Exits where that process did not finish."""
    before = mutants.REPORT.stat().st_mtime_ns
    seconds = finish([HERE / "mutants.py", *names])
    if mutants.REPORT.stat().st_mtime_ns == before:
        sys.exit("the mutants' process ended before it wrote its report; its own message stands above")
    sections = mutants.read_report()
    for name in names:
        unjudged = sum(reason == mutants.UNJUDGED for reason in sections[name].reasons.values())
        report["mutants"][name] = {"killed": sections[name].killed, "total": sections[name].total, "failed": unjudged}
    report["mutants_seconds"] += seconds
    write(report)


def write(report: dict[str, Any]) -> None:
    """The report as it is so far."""
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def estimate(report: dict[str, Any], tests: int, changes: int) -> float:
    """Hours that so many tests and mutants will take: by the mean time of those done, else by a guess."""
    done = [(unit["passed"], unit["seconds"]) for unit in report["examples"].values() if unit["passed"]]
    per_test = sum(seconds for _, seconds in done) / sum(passed for passed, _ in done) if done else EXAMPLES
    tried = sum(unit["total"] for unit in report["mutants"].values())
    per_mutant = report["mutants_seconds"] / tried if tried else MUTANT
    return (per_test * tests + per_mutant * changes) / 3600


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="Fifty times the examples, and all mutants.")
    parser.add_argument("names", nargs="*", help="parts of file names; everything without any")
    parser.add_argument("--estimate", action="store_true", help="only print what is left and an estimate of its length")
    parser.add_argument("--unit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.unit:
        options.answer.write_text(json.dumps(run_examples(ROOT / options.unit)))
        return
    if changed() and not options.estimate:
        sys.exit(f"these files differ from the commit; commit or stash them first:\n{changed()}")
    report = started()
    wanted = [word for word in options.names if word] or [""]
    variants = 8  # of a test that runs on every library in both dtypes: most do
    tests = {str(path.relative_to(ROOT)): variants * path.read_text().count("@given") for path in test_files()}
    tests, changes = (
        {name: n for name, n in found.items() if name not in report[kind] and any(word in name for word in wanted)}
        for kind, found in (("examples", tests), ("mutants", core_files()))
    )
    hours = estimate(report, sum(tests.values()), sum(changes.values()))
    print(f"left: {len(tests)} test files, {sum(changes.values())} mutants; about {hours:.1f} hours", flush=True)
    if options.estimate:
        return
    for name in tests:
        print(f"\n== {name}", flush=True)
        examine(report, name)
    if changes:
        print(f"\n== mutants of {', '.join(changes)}", flush=True)
        mutate(report, list(changes))
    failed = [name for kind in ("examples", "mutants") for name, unit in report[kind].items() if unit["failed"]]
    killed, total = (sum(unit[key] for unit in report["mutants"].values()) for key in ("killed", "total"))
    passed = sum(unit["passed"] for unit in report["examples"].values())
    print(f"\n{passed} tests passed; {killed} of {total} mutants killed; failures in: {', '.join(failed) or 'no file'}")
    sys.exit(bool(failed) or killed < mutants.TARGET * total)


if __name__ == "__main__":
    main()
