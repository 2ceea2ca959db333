"""docs/experiments.md shows what few_rows.py measured, of every method on the same draws."""

import few_rows


def test_the_page_shows_what_was_measured():
    assert few_rows.PAGE.read_text() == few_rows.page()


def test_every_method_was_measured_on_every_draw():
    wanted = {
        (name, rows, draw, method)
        for name in few_rows.WIDE
        for rows in few_rows.ROWS
        for draw in range(few_rows.DRAWS)
        for method in (few_rows.BEFORE, *few_rows.METHODS)
    }
    assert sorted(map(few_rows.key, few_rows.kept())) == sorted(wanted)
