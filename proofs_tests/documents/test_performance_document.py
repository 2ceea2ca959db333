"""The table of docs/performance.md is what the committed measurements make."""

import json

import speed_table


def test_the_table_is_what_was_measured():
    page = speed_table.PAGE.read_text(encoding="utf-8")
    assert speed_table.written(page, json.loads(speed_table.RESULTS.read_text(encoding="utf-8"))) == page
