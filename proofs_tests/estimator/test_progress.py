"""The progress bar: on stderr where it is wanted, silent where nobody watches, and it counts every step."""

import re

import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.training.progress import ProgressBar


@pytest.mark.parametrize(("wanted", "shown"), [(True, True), (False, False), ("auto", False)])
def test_a_fit_shows_its_progress_where_it_is_wanted(capfd, wanted, shown):
    JPVAE(**OPTIONS | {"steps": 3, "progress": wanted}).fit(*three_views(20, 0))  # stderr is a file here, no terminal
    out, err = capfd.readouterr()
    assert out == ""
    assert bool(err) == shown
    assert not shown or re.search(r"training .* 100% .*loss +-?\d+\.\d\d.* steps/s", " ".join(err.split()))


def test_it_counts_from_where_a_resumed_run_stands(capfd):
    bar = ProgressBar("again")
    bar.on_start(None, 2, 8)
    for step in range(3, 7):
        bar.on_step(step, {"loss": 7.0})
    bar.on_end()
    err = " ".join(capfd.readouterr().err.split())
    assert re.search(r"again .* 75% .*loss +7\.00", err)


def test_it_says_why_it_stands_still(capfd):
    bar = ProgressBar()
    bar.on_start(None, 0, 8)
    bar.on_step(4, {"loss": 7.0})
    bar.on_fold(2, 4)
    bar.on_end()
    bar.on_start(None, 0, 8)
    bar.on_fold(2, 4)
    bar.on_step(5, {"loss": 7.0})
    bar.on_end()
    still, again = " ".join(capfd.readouterr().err.split()).split("calibrating, 2 of 4", 1)[1].rsplit("training", 1)
    assert "50%" in still
    assert "calibrating" not in again
