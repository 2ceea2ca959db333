"""From a report of mutants.py: docs/mutants.md, docs/mutants-backends.md and benchmarks/results/mutants.json.

    python proofs_tests/_support/mutants_document.py REPORT.json [AGAIN.json ...]

AGAIN.json is of ``mutants.py --again REPORT.json``: its verdicts stand in place of the report's. The documents list the
survivors, but for those whose time was up before their tests: the JSON file has these. A reason that a document gives
already is kept, also where the function has moved to another file, or the mutant was not tried; without one stands
UNJUDGED, and the exit status is 1, as it is where fewer than 95 % died. The JSON file has what the report has, the mutants
that died as numbers only.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mutant_targets import ROOT, TARGETS
from mutants import DIED, LIVED, key, summary

RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
UNJUDGED = "not judged yet"
LEFT = ("not tried", "outlived")  # whose reason of an earlier run stands
ENTRY = re.compile(r"^- `(?P<function>\S+)`: `(?P<before>.+)` → `(?P<after>.+)`  \n  (?P<reason>.+)$", re.MULTILINE)


def reasons(document: Path) -> dict[tuple[str, str, str], str]:
    """Why those survive that a document lists."""
    entries = ENTRY.finditer(document.read_text())
    found = {(m["function"], m["before"], m["after"]): m["reason"] for m in entries}
    return {key: reason for key, reason in found.items() if reason != UNJUDGED}


def document(path: Path, report: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """Write one target's document below its own introduction; how many survivors have no reason."""
    known, unjudged = reasons(path), 0
    words, _ = summary(rows)
    text = path.read_text().partition("\n**Score")[0]
    text += (
        f"\n**Score: {words}.** Commit {report['commit'][:9]}, {report['date']}, {report['machine']}, seed {report['seed']}.\n"
    )
    for file in sorted({row["file"] for row in rows}):
        of_file = [row for row in rows if row["file"] == file]
        counts = Counter(row["verdict"] for row in of_file)
        text += f"\n## {file}\n\n{sum(counts[verdict] for verdict in DIED)} of {sum(counts[v] for v in DIED + LIVED)} died.\n\n"
        for row in of_file:
            reason = known.get((row["function"], row["before"], row["after"]), UNJUDGED)
            if row["verdict"] != "survived" and (row["verdict"] not in LEFT or reason == UNJUDGED):
                continue
            unjudged += reason == UNJUDGED
            text += f"- `{row['function']}`: `{row['before']}` → `{row['after']}`  \n  {reason}\n"
    path.write_text(text)
    return unjudged


def replace(report: dict[str, Any], other: dict[str, Any]) -> None:
    """The verdicts of a later run in place of the earlier ones of the same mutants, where it came to one."""
    report.setdefault("again", []).append({name: other[name] for name in ("commit", "date", "machine", "seconds")})
    for of, found in other["targets"].items():
        verdicts = {tuple(key(row)): row for row in found["mutants"] if row["verdict"] not in ("not tried", "unreached")}
        for row in report["targets"][of]["mutants"]:
            if row["verdict"] == "outlived" and (new := verdicts.get(tuple(key(row)))):
                row |= {name: new[name] for name in new.keys() - {"line"}}


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="The documents of the mutants that survived.")
    parser.add_argument("reports", type=Path, nargs="+", help="what mutants.py wrote")
    report, *later = (json.loads(path.read_text()) for path in parser.parse_args().reports)
    for other in later:
        replace(report, other)
    unjudged, high = 0, True
    for of, found in report["targets"].items():
        path, rows = TARGETS[of]().document, found["mutants"]
        missing = document(path, report, rows)
        words, enough = summary(rows)
        print(f"{of}: {words}; {missing} survivors have no reason in {path.name}")
        unjudged, high = unjudged + missing, high and enough
        by_file = {
            file: Counter(row["verdict"] for row in rows if row["file"] == file) for file in {row["file"] for row in rows}
        }
        found["files"] = dict(sorted(by_file.items()))
        found["mutants"] = [row for row in rows if row["verdict"] not in ("killed", "not tried")]
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(bool(unjudged) or not high)


if __name__ == "__main__":
    main()
