"""docs/real-tables.md is what the committed lines give: every number of its tables is a mean that is taken again here."""

import json
import re
from statistics import mean

import pytest
import real_tables
import real_tables_page

EVERY = [json.loads(line) for path in sorted(real_tables.FOLDER.glob("*.jsonl")) for line in path.read_text().splitlines()]
LINES = [line for line in EVERY if line["method"] not in real_tables.FORMER]
PAGE = real_tables_page.PAGE.read_text()
RIVALS = {line["method"] for line in LINES} - set(real_tables.OURS)


def test_the_page_shows_what_was_measured():
    assert real_tables_page.page() == PAGE


def test_every_line_is_about_one_thing():
    keys = [(line["set"], line["mechanism"], line["holes"], line["method"]) for line in EVERY]
    assert len(keys) == len(set(keys)) > 0
    for line in EVERY:
        assert line["seconds"] >= line["fit_seconds"] >= 0
        assert {"commit", "machine", "setting"} <= set(line)
        for view in line["views"].values():
            for level in ("coverage_50", "coverage_95", "accuracy"):
                assert view[level] is None or 0 <= view[level] <= 1


def shown(score, mechanism):
    """{set: {method: first number of the cell}} of one table of the page."""
    title = re.escape(f"**{real_tables_page.SHOWN[score][0]}; missing {mechanism}**")
    found = re.search(title + r"\n\n((?:\|.*\n?)+)", PAGE)
    if found is None:
        return {}
    head, _, *rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]
    numbers = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    return {
        name: {m: float(re.search(r"[\d.]+", cell)[0]) for m, cell in row.items() if cell != "–"}
        for name, row in numbers.items()
    }


@pytest.mark.parametrize("mechanism", list(real_tables.MECHANISMS))
@pytest.mark.parametrize("score", ["error", "coverage_95", "log_loss"])
def test_the_tables_hold_every_measurement(score, mechanism):
    values = {}
    for line in LINES:
        parts = [view[score] for view in line["views"].values() if view[score] is not None]
        if line["mechanism"] == mechanism and parts:
            values.setdefault((line["set"], line["method"]), []).append(sum(parts) / len(parts))
    table = shown(score, mechanism)
    assert {(name, method) for name, row in table.items() for method in row} == set(values)
    for (name, method), found in values.items():
        assert table[name][method] == pytest.approx(sum(found) / len(found), abs=0.51e-3)  # three digits are shown


def error(line):
    """The mean over the views."""
    return mean(view["error"] for view in line["views"].values() if view["error"] is not None)


def test_what_is_lost_is_printed():
    """Every set on which another method is more than 2 % better is named in the line on ours."""
    for ours in real_tables.OURS:
        for mechanism in real_tables.MECHANISMS:
            (sentence,) = re.findall(rf"^- {re.escape(ours)}, missing {mechanism}: (.*)$", PAGE, re.M) or [""]
            for name in real_tables.SETS:
                lines = [line for line in LINES if (line["set"], line["mechanism"]) == (name, mechanism)]
                draws = sorted(line["holes"] for line in lines if line["method"] == ours)
                by = {m: [line for line in lines if line["method"] == m and line["holes"] in draws] for m in RIVALS | {ours}}
                errors = {m: mean(map(error, found)) for m, found in by.items() if draws and len(found) == len(draws)}
                if errors and errors.get(ours, 0.0) > 1.02 * min(errors.values()):
                    assert f"{name} (" in sentence.split("better on")[1]


def test_the_sets_are_described():
    for name, make in real_tables.SETS.items():
        assert re.search(rf"^\| {name} \| [\d,]+ \| [\d,]+ \|", PAGE, re.M)
        assert callable(make)
