"""A fit goes on after kill -9, at seeded moments (thoroughly 20) and amid writes, to the bits of an undisturbed one.

The oracle is the same fit, undisturbed. Early stopping and the gradient-norm limit are on: what they remember must survive too.
"""

import json
import os
import subprocess
import sys

import killed_fits
import numpy as np
import pytest
from killed_fits import EVERY, KINDS, LAST, MOMENTS, OPTIONS, fit

FEW = range(len(KINDS))  # one moment of every kind
EVERY_MOMENT = [FEW, pytest.param(range(len(KINDS), MOMENTS), marks=pytest.mark.thorough)]


def timeless(history):
    """The records without the seconds."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


@pytest.fixture(scope="module", params=EVERY_MOMENT, ids=str)
def killed(request, tmp_path_factory):
    """The folder where the killed fits left what they left, and by moment what became of each."""
    folder, moments = tmp_path_factory.mktemp("killed"), request.param
    command = [sys.executable, killed_fits.__file__, str(folder), str(moments.start), str(moments.stop)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    return folder, dict(zip(moments, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("whole") / "c", 1000)


def test_the_undisturbed_fit_stops_early(whole):
    """So that a resumed one must remember the best parameters and for how long they have been the best."""
    evaluations = {record["step"]: record["held_out"] for record in whole.history_ if "held_out" in record}
    best = min(evaluations, key=evaluations.get)
    assert 0 < best < whole.history_[-1]["step"] < OPTIONS["steps"]
    assert sum(step > best for step in evaluations) == OPTIONS["patience"]
    assert whole.history_[-1]["step"] > LAST


def test_they_go_on_to_the_same_bits(killed, whole):
    folder, ends = killed
    for moment, end in ends.items():
        path = folder / str(moment) / "c"
        assert end["killed"], moment
        assert end["kind"] == KINDS[moment % len(KINDS)]
        assert len(end["left"]) == (end["kind"] in ("half", "before"))  # a piece of a file, under another name
        written = end["at"] // EVERY if end["kind"] == "step" else end["at"] - (end["kind"] != "after")
        assert path.exists() == (written > 0)
        resumed = fit(path, 1000)
        for name, x in whole.parameters_.items():
            assert np.array_equal(resumed.parameters_[name], x), (moment, name)
        assert all(np.array_equal(a, b) for a, b in zip(resumed.moments_, whole.moments_, strict=True))
        assert timeless(resumed.history_) == timeless(whole.history_)
        assert os.listdir(path.parent) == ["c"]  # a fit begins by removing such pieces
