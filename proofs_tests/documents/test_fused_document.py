"""docs/fused-posterior.md is what the committed results make."""

import fused_page


def test_the_page_shows_what_was_measured():
    assert fused_page.PAGE.read_text() == fused_page.page()
