"""``make thorough`` gives every hypothesis test a budget of processor time: it ends the examples, and hides no failing one."""

import itertools

import pytest
import thorough
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Every example takes a second."""
    ticks = itertools.count()
    monkeypatch.setattr(thorough.time, "process_time", lambda: float(next(ticks)))


def outcome(test, allowed):
    """How a hypothesis test ends on a budget of so many seconds, and the budget after it."""
    budget = thorough.Budget(allowed)
    test.hypothesis.inner_test = budget.limited(test.hypothesis.inner_test)
    try:
        test()
    except pytest.skip.Exception:
        return "out of time", budget
    except AssertionError:
        return "failed", budget
    return "passed", budget


def law(most):
    """A test that draws once more inside, as many numbers as it has drawn before; their sum is at most ``most``."""

    @settings(max_examples=150)
    @given(data=st.data(), count=st.integers(0, 3))
    def test(data, count):
        assert sum(data.draw(st.integers(0, 9)) for _ in range(count)) <= most

    return test


@pytest.mark.parametrize("allowed", [0.5, 1.5, 20.5, 60.5])
def test_a_spent_budget_ends_the_examples(allowed):
    found, budget = outcome(law(27), allowed)
    assert (found, budget.examples, budget.failed) == ("out of time", int(allowed) + 1, False)


def test_a_budget_that_lasts_changes_nothing():
    found, budget = outcome(law(27), 1e6)
    assert (found, budget.spent) == ("passed", False)
    assert budget.examples >= 150


@pytest.mark.parametrize(("most", "allowed"), [(-1, 0.5), (20, 100.5), (20, 1e6)])
def test_an_example_that_fails_is_shrunk_and_reported_on_any_budget(most, allowed):
    found, budget = outcome(law(most), allowed)
    assert (found, budget.failed, budget.spent) == ("failed", True, False)
