"""From a report of mutants.py: docs/mutants.md, docs/mutants-backends.md and benchmarks/results/mutants.json.

    python proofs_tests/_support/mutants_document.py REPORT.json
    python proofs_tests/_support/mutants_document.py CORE.json BACKENDS.json      of two runs, with one target each
    python proofs_tests/_support/mutants_document.py --again NEW.json             of the run that is published, some tried again

The documents list the survivors, those of earlier runs too that this run has not tried: a reason that a document gives is kept,
also where the function has moved to another file. Without one stands UNJUDGED, and the exit status is 1, as it is where fewer
than 95 % died. Beside the score stands what it is without the mutants whose reason begins with "Equivalent:", an argument that
no test can kill them. The JSON file has what the report has, the mutants that died as numbers only.

With --again the published run stays as it is: NEW.json, made by ``mutants.py NEW.json --again`` at a later commit, tells which
of its survivors have died since. The page names both commits, and each such mutant in the JSON file has its own.
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


Key = tuple[str, str, str]


def key(row: dict[str, Any]) -> Key:
    """What a mutant is known by, whichever file it has moved to."""
    return row["function"], row["before"], row["after"]


def head(target: Target) -> str:
    """A document's own introduction."""
    return target.document.read_text().partition("\n**Score")[0]


def share(argued: int, died: int, lived: int) -> str:
    """The score without the mutants that no test can kill."""
    rest = lived - argued
    return (
        f"Without the {argued} that are equivalent by the argument beside them: {died} of {died + rest}, "
        f"{died / max(1, died + rest):.1%}.\n"
    )


def document(target: Target, run: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """Write one target's document below its own introduction; how many survivors have no reason."""
    known = reasons(target.document)
    words, _ = summary(rows)
    which = f"Commit {run['commit'][:9]}, {run['date']}, {run['machine']}, seed {run['seed']}"
    text = head(target) + f"\n**Score: {words}.** {which}.\n"
    lived = [row for row in rows if row["verdict"] in LIVED]
    argued = [row for row in lived if known.get(key(row), "").startswith(EQUIVALENT)]
    text += share(len(argued), sum(row["verdict"] in DIED for row in rows), len(lived))
    counts = {file.name: Counter(row["verdict"] for row in rows if row["file"] == file.name) for file in target.files}
    listed, unjudged = listing(target, counts, {key(row): row["verdict"] for row in rows}, known)
    target.document.write_text(text + listed)
    return unjudged


def listing(target: Target, counts: dict[str, Any], verdicts: dict[Key, str], known: dict[Key, str]) -> tuple[str, int]:
    """File by file how many died, and who lives why; how many of these have no reason."""
    text, unjudged = "", 0
    for file in target.files:
        text += f"\n## {file.name}\n\n"
        if file.name in counts:
            died, lived = (sum(counts[file.name].get(verdict, 0) for verdict in kinds) for kinds in (DIED, LIVED))
            text += f"{died} of {died + lived} died.\n\n"
        for name, before, after in dict.fromkeys(mutant.key[1:] for mutant in Source(file).mutants()):
            verdict = verdicts.get((name, before, after), "not tried")
            reason = known.get((name, before, after), UNJUDGED)
            if verdict in LIVED or (verdict not in DIED and reason != UNJUDGED):
                unjudged += reason == UNJUDGED
                text += f"- `{name}`: `{before}` → `{after}`  \n  {reason}\n"
    return text, unjudged


def died_since(found: dict[str, Any], new: dict[str, Any], tried: dict[str, Any]) -> None:
    """Note in a published run which of its survivors died when they were tried again: every one of those alike, if there are
    several on lines that read the same."""
    alike: dict[Key, list[dict[str, Any]]] = {}
    for row in tried["mutants"]:
        if row["verdict"] in (*DIED, *LIVED):
            alike.setdefault(key(row), []).append(row)
    again = [row for row in found["mutants"] if row["verdict"] in LIVED and "again" not in row and key(row) in alike]
    for row in again:
        verdicts = [one["verdict"] for one in alike[key(row)]]
        if set(verdicts) <= set(DIED):
            by = [one["by"] for one in alike[key(row)] if "by" in one]
            row["again"] = {"verdict": verdicts[0], "by": by[:1], "commit": new["commit"]}
    about = {name: new[name] for name in ("commit", "date", "machine", "seconds", "expression")}
    about |= {"tests": tried["tests"], "tried": len(again), "died": sum("again" in row for row in again)}
    found.setdefault("again", []).append(about)


def document_again(target: Target, found: dict[str, Any]) -> int:
    """The document of a published run of which some survivors have been tried again; how many have no reason."""
    known, counts = reasons(target.document), {name: Counter(of_file) for name, of_file in found["files"].items()}
    for row in found["mutants"]:
        if "again" in row:
            counts[row["file"]].update({row["verdict"]: -1, row["again"]["verdict"]: 1})
    died, lived = (sum(count[verdict] for count in counts.values() for verdict in kinds) for kinds in (DIED, LIVED))
    [score] = re.findall(r"^\*\*Score.*$", target.document.read_text(), re.MULTILINE)
    text = head(target) + f"\n{score}\n"
    for one in found["again"]:
        text += f"Tried again, {one['tried']} of its survivors, by {one['tests']} tests of commit {one['commit'][:9]}, "
        text += f"{one['date']}: {one['died']} died.\n"
    text += f"Together {died} of {died + lived}, {died / (died + lived):.1%}: of several commits, and no interval.\n"
    left = [row for row in found["mutants"] if row["verdict"] in LIVED and "again" not in row]
    text += share(sum(known.get(key(row), "").startswith(EQUIVALENT) for row in left), died, lived)
    verdicts = {key(row): row.get("again", row)["verdict"] for row in found["mutants"]}
    listed, unjudged = listing(target, counts, verdicts, known)
    target.document.write_text(text + listed)
    return unjudged


def without_paths(row: dict[str, Any]) -> dict[str, Any]:
    """Of the traceback of a mutant that could not be tried the last line: the others have this machine's folders."""
    return row | {"raised": row["raised"].strip().splitlines()[-1]} if row.get("raised") else row


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description="The documents of the mutants that survived.")
    parser.add_argument("reports", type=Path, nargs="*", help="what mutants.py wrote")
    parser.add_argument("--again", type=Path, help="what mutants.py --again wrote, of the published run's survivors")
    options = parser.parse_args()
    if options.again:
        published, new = json.loads(RESULTS.read_text()), json.loads(options.again.read_text())
        for of, tried in new["targets"].items():
            died_since(published["targets"][of], new, tried)
            unjudged = document_again(TARGETS[of](), published["targets"][of])
            print(f"{of}: {published['targets'][of]['again'][-1]}; {unjudged} survivors have no reason")
        RESULTS.write_text(json.dumps(published, indent=1) + "\n")
        return
    targets: dict[str, Any] = {}
    for path in options.reports:
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
