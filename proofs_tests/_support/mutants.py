"""Mutation testing: which slips in ``jpvae_core``, and in what draws, trains, weighs and pools, would no test notice?

    python proofs_tests/_support/mutants.py REPORT.json                       all mutants, in one run
    python proofs_tests/_support/mutants.py REPORT.json --of core kl.py       of some files only
    python proofs_tests/_support/mutants.py REPORT.json --sample 100 --seed 1 so many of each target, drawn with this seed
    python proofs_tests/_support/mutants.py REPORT.json --of core --rows ROWS.json    those of [[file, old text, new text], ...]
    python proofs_tests/_support/mutants.py NEW.json --again REPORT.json      those that lived in an earlier report
    ... --tests kl bounds                                                     only by the tests of test_kl.py and test_bounds.py
    ... --workers 15 --minutes 12                                             as many at a time; what is left then is not tried

Each target has a pytest of its own (mutant_trials.py) and half of the workers, until the other has ended. A run goes on where
one of the same sources, sample and seed had stopped whose REPORT.json it finds; a report of others is started over. Which test
runs which line is kept beside it (mutant_map.py). The report is written every few seconds and holds the commit, the date and
the machine, the tests that were dropped because they fail unmutated here, and every mutant:
    killed       by the test named
    timeout      a test ran far too long, which counts as killed; crashed likewise
    survived     every test that runs its line has passed
    outlived     the tests so far have passed when its time was up; counts as a survivor
    unreached    no test runs its line; counts as a survivor
    not tried    the run was over
The score has its exact (Clopper-Pearson) interval of 95 %, where the mutants tried are a sample.
mutants_document.py turns a report into docs/mutants.md and docs/mutants-backends.md, where survivors have their reasons.
Cases of JAX and of torch.compile are left out unless -k asks for them: they compile for seconds and trace the same lines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from forks import Slots
from mutant_map import digest, sources
from mutant_targets import HERE, PATIENCE, ROOT, TARGETS
from scipy.stats import binomtest

TRIALS = Path(__file__).parent / "mutant_trials.py"
EVERY = 5.0  # seconds between two writes of the report
TARGET = 0.95
UNTRIED = ("not tried", "fault")
PACKAGES = ("numpy", "scipy", "torch", "jax", "hypothesis", "pytest")  # whose versions the report has
DIED = ("killed", "timeout", "crashed")
LIVED = ("survived", "outlived", "unreached")
ALONE = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **{"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONWARNINGS": "default"},
    "COVERAGE_CORE": "ctrace",  # the one that tells every test's lines apart
}


def commit() -> str:
    """The commit that is checked out, with a plus where files differ from it; unknown outside of a checkout."""
    describe = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    return subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


class Run:
    """The report of a run, filled by what the programs of its targets tell."""

    def __init__(self, path: Path, options: argparse.Namespace) -> None:
        self.path, self.lock, self.written, self.began = path, threading.Lock(), 0.0, time.time()
        which = ("of", "tests", "files", "sample", "seed", "k", "rows", "again")
        tests = [Path(test) for of in options.of for test in TARGETS[of]().tests]
        self.report: dict[str, Any] = {
            "commit": options.commit or commit(),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "packages": {p.name: p.version for p in distributions() if p.name in PACKAGES},
            "workers": options.workers,
            "sample": options.sample,
            "seed": options.seed,
            "expression": options.k,
            "sources": digest([*sources(), HERE / "mutations.py", *tests], *(str(getattr(options, name)) for name in which)),
            "targets": {},
        }
        earlier = json.loads(path.read_text()) if path.exists() else {}
        self.earlier: dict[str, Any] = earlier if earlier.get("sources") == self.report["sources"] else {}

    def left(self, of: str) -> list[list[int]] | None:
        """Of an earlier run, which mutants it had not tried, and which had outlived their first turn."""
        if (found := self.earlier.get("targets", {}).get(of)) is None:
            return None
        verdicts = [(row["verdict"], row.get("patience") == PATIENCE[-1]) for row in found["mutants"]]
        untried = [k for k, (verdict, _) in enumerate(verdicts) if verdict in UNTRIED]
        return [untried, [k for k, (verdict, last) in enumerate(verdicts) if verdict == "outlived" and not last]]

    def of(self, of: str) -> dict[str, Any]:
        """What the plan of one target has besides."""
        return {"of": of, "left": self.left(of), "map": str(self.path.resolve().with_name(f".mutants.map.{of}.json"))}

    def listen(self, of: str, program: subprocess.Popen[str]) -> int:
        """Take down what one program tells, to its end; its exit status."""
        assert program.stdout
        for line in program.stdout:
            fact = json.loads(line)
            with self.lock:
                if "mutants" in fact:
                    rows = [row | {"verdict": "not tried"} for row in fact["mutants"]]
                    if of in self.earlier.get("targets", {}):
                        rows = self.earlier["targets"][of]["mutants"]
                    self.report["targets"][of] = {"mutants": rows}
                elif "mutant" in fact:
                    self.report["targets"][of]["mutants"][fact.pop("mutant")].update(fact)
                else:
                    self.report["targets"][of] = fact | self.report["targets"][of]
                if time.time() > self.written + EVERY:
                    self.write()
        return program.wait()

    def write(self) -> None:
        """The report as it is so far, in place of the last one at once: the machine may be taken away."""
        self.written = time.time()
        counts = {of: Counter(row["verdict"] for row in found["mutants"]) for of, found in self.report["targets"].items()}
        head = {key: value for key, value in self.report.items() if key != "targets"}
        head |= {"seconds": round(self.written - self.began) + self.earlier.get("seconds", 0), "counts": counts}
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(head | {"targets": self.report["targets"]}) + "\n")
        beside.replace(self.path)


def key(row: dict[str, Any]) -> list[str]:
    """What a mutant is known by where its lines, or its function, have moved."""
    return [row[name] for name in ("function", "before", "after")]


def started(plan: dict[str, Any], slots: Slots) -> subprocess.Popen[str]:
    """The program that carries out a plan."""
    command = [sys.executable, str(TRIALS), json.dumps(plan | {"slots": [slots.reader, slots.writer]})]
    pipes = {"stdout": subprocess.PIPE, "text": True, "pass_fds": (slots.reader, slots.writer)}
    return subprocess.Popen(command, env=os.environ | ALONE, cwd=ROOT, **pipes)


def summary(rows: list[dict[str, Any]]) -> tuple[str, bool]:
    """A target's score in words, and whether it is high enough and nothing was left untried."""
    counts = Counter(row["verdict"] for row in rows)
    died, lived = sum(counts[verdict] for verdict in DIED), sum(counts[verdict] for verdict in LIVED)
    share = binomtest(died, max(1, died + lived))
    low, high = share.proportion_ci(method="exact")
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    whole = sum(counts[verdict] for verdict in UNTRIED) == 0
    found = f"{died} of {died + lived} died, {share.statistic:.1%}, 95 % interval {low:.1%} to {high:.1%} ({words})"
    return found, whole and share.statistic >= TARGET


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="Mutation testing of jpvae_core and of backends/jpvae.")
    parser.add_argument("report", type=Path, help="the JSON file to write")
    parser.add_argument("files", nargs="*", help="names of files; all without any")
    parser.add_argument("--of", choices=TARGETS, action="append", help="what is mutated; both without")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--minutes", type=float, default=600.0, help="after which the run ends")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants of each target, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the order, and so of the sample")
    parser.add_argument("--rows", type=Path, help="a JSON file of [[file, old text, new text], ...]")
    parser.add_argument("--again", type=Path, help="a report: only its mutants that lived")
    parser.add_argument("--commit", help="which commit this is, outside of a checkout")
    parser.add_argument("--tests", nargs="+", default=[], help="only these test files, by names as in test_NAME.py")
    parser.add_argument("-k", default="not jax and not compile", help="which tests, as pytest's -k")
    options = parser.parse_intermixed_args()
    options.of = names = options.of or list(TARGETS)
    run = Run(options.report, options)
    plan = {key: getattr(options, key) for key in ("files", "tests", "sample", "seed", "k")} | {
        "end": run.began + 60 * options.minutes
    }
    plan["rows"] = json.loads(options.rows.read_text()) if options.rows else None
    lived = {}
    if options.again:
        earlier = json.loads(options.again.read_text())["targets"]
        lived = {of: [key(row) for row in earlier[of]["mutants"] if row["verdict"] in LIVED] for of in names}
    slots = {of: Slots.of(len(range(k, options.workers, len(names)))) for k, of in enumerate(names)}
    programs = {of: started(plan | run.of(of) | {"again": lived.get(of)}, slots[of]) for of in names}
    statuses = []
    with ThreadPoolExecutor() as listeners:
        ends = {listeners.submit(run.listen, of, program): of for of, program in programs.items()}
        for end in as_completed(ends):
            statuses.append(end.result())
            del programs[ends[end]]
            slots[ends[end]].hand_over(slots[of] for of in programs)
    run.write()
    good = [status == 0 for status in statuses]
    for of, found in run.report["targets"].items():
        words, high = summary(found["mutants"])
        good.append(high)
        print(f"{of}: {words}")
        for test, why in found.get("dropped", {}).items():
            print(f"  dropped, because it fails unmutated: {test} {why}")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
