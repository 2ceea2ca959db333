"""Several processes train the model that one trains: batches and noise are functions of (seed, step), gradients are added up.

The oracle is the same call in one process. Sums of a batch's gradients in another order differ by 15 eps of their absolute sum;
30 steps of Adam at 1e-2 make of 1e-15 less than 1e-10 here.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import two_processes
from two_processes import STOPS


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder, and what was printed: by name, a list."""
    folder = tmp_path_factory.mktemp("processes")
    return folder, run(folder)


def run(folder, *which):
    command, found = [sys.executable, two_processes.__file__, str(folder), *which], {}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            one = json.loads(line)
            found.setdefault(one.pop("name"), []).append(one)
    return found


def parameters(folder, name):
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def check(folder, name, expected):
    found, own = parameters(folder, name), parameters(folder, expected)
    assert set(found) == set(own)
    for key, x in own.items():
        assert np.abs(found[key] - x).max(initial=0.0) < 1e-10, key


@pytest.mark.parametrize(("name", "count", "expected"), [("two", 2, "one"), ("early-two", 2, "early")])
def test_processes_train_as_one(ended, name, count, expected):
    folder, found = ended
    assert found[name] == [{"codes": [0] * count}]
    check(folder, f"{name}-0", expected)
    first = parameters(folder, f"{name}-0")
    for rank in range(1, count):
        other = parameters(folder, f"{name}-{rank}")
        assert all(np.array_equal(first[key], other[key]) for key in first)


@pytest.mark.thorough  # on two cores four of them wait for each other
def test_four_processes_train_as_one(tmp_path):
    test_processes_train_as_one((tmp_path, run(tmp_path, "four")), "four", 4, "one")


def test_a_process_that_dies_ends_all_with_one_message(ended):
    _, found = ended
    dead, codes = found["dead"][:2]
    assert dead["rank"] == 1
    assert dead["error"].startswith("ProcessLost: another process of this training has ended")
    assert codes["codes"] == [9, 1]


def test_the_training_goes_on_with_any_number(ended):
    """From step 10 of two processes, with three."""
    folder, found = ended
    assert found["dead"][2:] == [{"codes": [0, 0, 0]}]
    check(folder, "dead-0", "short")


def test_a_listener_of_the_first_process_stops_all(ended):
    folder, found = ended
    assert found["stopped"] == [{"codes": [0, 0]}]
    assert [int(parameters(folder, f"stopped-{rank}")["steps"]) for rank in range(2)] == [STOPS, STOPS]


def test_processes_that_were_given_different_options_refuse(ended):
    _, found = ended
    *errors, codes = found["differing"]
    assert codes["codes"] == [1, 1]
    assert len(errors) == 2
    assert all("the processes were given different data or options" in one["error"] for one in errors)
