"""The long check: every hypothesis test with fifty times as many examples, then every mutant of the core, in one report.

    python proofs_tests/_support/thorough.py                  all of it (hours), or what an interrupted run of this commit left
    python proofs_tests/_support/thorough.py NAME ...         only the test and core files whose names contain one of these
    python proofs_tests/_support/thorough.py --estimate       print what is left and how long it will take

Tests run on every array library of the fixture ``xp``, PyTorch and JAX included. Each file is one unit of work in a process of
its own; its result enters benchmarks/results/thorough.json at once. A report of another commit is started over.
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
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {"commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, "examples": {}, "mutants": {}}


def finish(command: list[str | Path]) -> float:
    """Run a unit in a process of its own; its seconds."""
    start = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | ONE_THREAD, check=False)
    return round(time.monotonic() - start, 1)


def examine(report: dict[str, Any], kind: str, name: str) -> None:
    """Do one unit and write the report."""
    if kind == "examples":
        answer = REPORT.with_suffix(".part")
        answer.unlink(missing_ok=True)
        seconds = finish([__file__, "--unit", name, "--answer", answer])
        outcomes = json.loads(answer.read_text()) if answer.exists() else {"passed": 0, "failed": 1}  # no answer: it crashed
        answer.unlink(missing_ok=True)
        report[kind][name] = outcomes | {"seconds": seconds}
    else:
        seconds = finish([HERE / "mutants.py", name])
        section = mutants.read_report().get(name, mutants.Section(0, {}))
        unjudged = sum(reason == mutants.UNJUDGED for reason in section.reasons.values())
        report[kind][name] = {"killed": section.killed, "total": section.total, "failed": unjudged, "seconds": seconds}
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def estimate(report: dict[str, Any], left: list[tuple[str, str]], counts: dict[str, int]) -> float:
    """Hours that the units left will take, by the mean time of those done (each one's tests or mutants count)."""
    seconds = 0.0
    for kind, guess, size in (("examples", EXAMPLES, "passed"), ("mutants", MUTANT, "total")):
        done = report[kind].values()
        sized = sum(unit[size] for unit in done)
        each = sum(unit["seconds"] for unit in done) / sized if sized else guess
        seconds += each * sum(counts[name] for k, name in left if k == kind)
    return seconds / 3600


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
    files = {str(path.relative_to(ROOT)): path for path in test_files()}
    variants = 8  # of a test that runs on every library in both dtypes: most do
    counts = core_files() | {name: variants * path.read_text().count("@given") for name, path in files.items()}
    units = [("examples", name) for name in files] + [("mutants", name) for name in core_files()]
    left = [
        (kind, name)
        for kind, name in units
        if name not in report[kind] and (not options.names or any(word in name for word in options.names))
    ]
    print(f"{len(left)} of {len(units)} files left, about {estimate(report, left, counts):.1f} hours", flush=True)
    if options.estimate:
        return
    for kind, name in left:
        print(f"\n== {kind}: {name}", flush=True)
        examine(report, kind, name)
    failed = [name for kind in ("examples", "mutants") for name, unit in report[kind].items() if unit["failed"]]
    killed, total = (sum(unit[key] for unit in report["mutants"].values()) for key in ("killed", "total"))
    tests = sum(unit["passed"] for unit in report["examples"].values())
    print(f"\n{tests} tests passed; {killed} of {total} mutants killed; failures in: {', '.join(failed) or 'no file'}")
    sys.exit(bool(failed) or killed < mutants.TARGET * total)


if __name__ == "__main__":
    main()
