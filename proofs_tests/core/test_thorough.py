"""``make thorough`` gives every hypothesis test a budget of processor time: it ends the examples, and hides no failing one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import Budget


def outcome(test, allowed):
    """How a hypothesis test ends on a budget of so many seconds, and the budget after it."""
    budget = Budget(allowed)
    test.hypothesis.inner_test = budget.limited(test.hypothesis.inner_test)
    try:
        test()
    except pytest.skip.Exception:
        return "out of time", budget
    except AssertionError:
        return "failed", budget
    return "passed", budget


def law(fails_at):
    """A test that draws a second time inside, and fails for some examples."""

    @settings(max_examples=150)
    @given(data=st.data(), first=st.integers(0, 9))
    def test(data, first):
        assert first + data.draw(st.integers(0, 9)) < fails_at

    return test


@pytest.mark.parametrize(("allowed", "result"), [(0.0, "out of time"), (60.0, "passed")])
def test_a_spent_budget_ends_the_examples(allowed, result):
    found, budget = outcome(law(19), allowed)
    assert found == result
    assert (budget.examples == 1) == (allowed == 0)
    assert not budget.failed


@pytest.mark.parametrize("allowed", [0.0, 60.0])
def test_an_example_that_fails_is_reported_on_any_budget(allowed):
    """With a budget of nothing the first example ends it; it fails, is shrunk and reported."""
    found, budget = outcome(law(0 if allowed == 0 else 12), allowed)
    assert found == "failed"
    assert budget.failed
