"""From a report of mutants.py: docs/mutants.md, docs/mutants-backends.md and benchmarks/results/mutants.json.

    python proofs_tests/_support/mutants_document.py REPORT.json
    python proofs_tests/_support/mutants_document.py CORE.json BACKENDS.json      of two runs, with one target each

The documents list the survivors, those of earlier runs too that this run has not tried: a reason that a document gives is kept,
also where the function has moved to another file. Without one stands UNJUDGED, and the exit status is 1, as it is where fewer
than 95 % died. Beside the score stands what it is without the mutants whose reason begins with "Equivalent:", an argument that
no test can kill them. The JSON file has what the report has, the mutants that died as numbers only.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mutant_targets import ROOT, TARGETS, Target
from mutants import DIED, LIVED, summary
from mutations import Source

RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
UNJUDGED, EQUIVALENT = "not judged yet", "Equivalent:"
OF_RUN = ("commit", "date", "machine", "packages", "sample", "seed", "expression", "seconds")
ENTRY = re.compile(r"^- `(?P<function>\S+)`: `(?P<before>.+)` → `(?P<after>.+)`  \n  (?P<reason>.+)$", re.MULTILINE)


def reasons(document: Path) -> dict[tuple[str, str, str], str]:
    """Why those survive that a document lists."""
    entries = ENTRY.finditer(document.read_text())
    found = {(m["function"], m["before"], m["after"]): m["reason"] for m in entries}
    return {key: reason for key, reason in found.items() if reason != UNJUDGED}


def document(target: Target, run: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """Write one target's document below its own introduction; how many survivors have no reason."""
    path, unjudged = target.document, 0
    known = reasons(path)
    words, _ = summary(rows)
    text = path.read_text().partition("\n**Score")[0]
    which = f"Commit {run['commit'][:9]}, {run['date']}, {run['machine']}, seed {run['seed']}"
    text += f"\n**Score: {words}.** {which}.\n"
    lived = [row for row in rows if row["verdict"] in LIVED]
    argued = [row for row in lived if known.get((row["function"], row["before"], row["after"]), "").startswith(EQUIVALENT)]
    died, rest = sum(row["verdict"] in DIED for row in rows), len(lived) - len(argued)
    text += f"Without the {len(argued)} that are equivalent by the argument beside them: {died} of {died + rest}, "
    text += f"{died / max(1, died + rest):.1%}.\n"
    of_run = {(row["function"], row["before"], row["after"]): row["verdict"] for row in rows}
    for file in target.files:
        counts = Counter(row["verdict"] for row in rows if row["file"] == file.name)
        died = sum(counts[verdict] for verdict in DIED)
        text += f"\n## {file.name}\n\n{died} of {died + sum(counts[verdict] for verdict in LIVED)} died.\n\n"
        for name, before, after in dict.fromkeys(mutant.key[1:] for mutant in Source(file).mutants()):
            verdict = of_run.get((name, before, after), "not tried")
            reason = known.get((name, before, after), UNJUDGED)
            if verdict in LIVED or (verdict not in DIED and reason != UNJUDGED):
                unjudged += reason == UNJUDGED
                text += f"- `{name}`: `{before}` → `{after}`  \n  {reason}\n"
    path.write_text(text)
    return unjudged


def without_paths(row: dict[str, Any]) -> dict[str, Any]:
    """Of the traceback of a mutant that could not be tried the last line: the others have this machine's folders."""
    return row | {"raised": row["raised"].strip().splitlines()[-1]} if row.get("raised") else row


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="The documents of the mutants that survived.")
    parser.add_argument("reports", type=Path, nargs="+", help="what mutants.py wrote")
    targets: dict[str, Any] = {}
    for path in parser.parse_args().reports:
        run = json.loads(path.read_text())
        targets |= {of: {name: run[name] for name in OF_RUN} | found for of, found in run["targets"].items()}
    unjudged, high = 0, True
    for of, found in targets.items():
        target, rows = TARGETS[of](), found["mutants"]
        missing = document(target, found, rows)
        words, enough = summary(rows)
        print(f"{of}: {words}; {missing} survivors have no reason in {target.document.name}")
        unjudged, high = unjudged + missing, high and enough
        by_file = {
            file: Counter(row["verdict"] for row in rows if row["file"] == file) for file in {row["file"] for row in rows}
        }
        found["files"] = dict(sorted(by_file.items()))
        found["mutants"] = [without_paths(row) for row in rows if row["verdict"] not in ("killed", "not tried")]
    RESULTS.write_text(json.dumps({"targets": targets}, indent=1) + "\n")
    sys.exit(bool(unjudged) or not high)


if __name__ == "__main__":
    main()
