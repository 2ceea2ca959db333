"""The KL weight beta and the learning rate: values worked out by hand; a beta that never reaches 1 is refused."""

import fractions
import json
import math

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.training.schedules import Constant, Cyclical, LearningRate, Linear, beta_schedule, from_json, to_json

BETAS = {
    "constant": (Constant(), 8, [1, 1, 1, 1, 1, 1, 1, 1]),
    "linear, 4 steps": (Linear(4), 8, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
    "linear, half the training": (Linear(0.5), 8, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
    "linear, 1.0 is a part and 1 a step": (Linear(1), 3, [0, 1, 1]),
    "linear, no ramp": (Linear(0), 2, [1, 1]),
    "two cycles": (Cyclical(2, 0.5), 8, [0, 0.5, 1, 1, 0, 0.5, 1, 1]),
    "two cycles, slow": (Cyclical(2, 0.75), 8, [0, 1 / 3, 2 / 3, 1, 0, 1 / 3, 2 / 3, 1]),
    "three cycles in 8 steps": (Cyclical(3, 0.5), 8, [0, 0.75, 1, 0.25, 1, 1, 0.5, 1]),
    "one cycle": (Cyclical(1, 0.5), 4, [0, 0.5, 1, 1]),
    "cycles without ramp": (Cyclical(2, 0.0), 4, [1, 1, 1, 1]),
}


@pytest.mark.parametrize(("schedule", "steps", "expected"), BETAS.values(), ids=BETAS.keys())
def test_beta(schedule, steps, expected):
    # Two divisions and a product: a few eps of 1.
    assert [schedule.beta(step, steps) for step in range(steps)] == pytest.approx(expected, abs=1e-15)
    assert beta_schedule(schedule, steps) is schedule


def test_names():
    assert [beta_schedule("constant", 10).beta(s, 10) for s in range(3)] == [1, 1, 1]
    assert [beta_schedule("linear", 100).beta(s, 100) for s in (0, 5, 10, 99)] == [0, 0.5, 1, 1]
    assert [beta_schedule("cyclical", 80).beta(s, 80) for s in (0, 5, 10, 19, 20, 79)] == [0, 0.5, 1, 1, 0, 1]


class Always:
    def __init__(self, weight):
        self.weight = weight

    def beta(self, step, steps):
        return self.weight


class Once(Always):
    """1, but for one step in the middle."""

    def beta(self, step, steps):
        return self.weight if step == 3 else 1.0


class OfTheStepAlone:
    def beta(self, step):
        return 1.0


REFUSED = {
    "other arguments": (
        OfTheStepAlone(),
        10,
        r"beta is .*OfTheStepAlone.*, whose beta.step, steps. fails: TypeError: .*takes 2",
    ),
    "ramp longer than the training": (Linear(500), 400, r"Linear\(ramp=500\).* only 0\.798 within the 400 steps"),
    "ramp over the whole training": (Linear(1.0), 10, r"Linear\(ramp=1\.0\).* only 0\.9 within the 10 steps"),
    "a cycle that is all ramp": (Cyclical(4, 1.0), 400, r"Cyclical\(cycles=4, ramp=1\.0\).* only 0\.99 within"),
    "as many cycles as steps": (Cyclical(10, 0.5), 10, r"Cyclical\(cycles=10, ramp=0\.5\).* only 0 within the 10 steps"),
    "no cycle": (Cyclical(0), 10, r"beta is Cyclical\(cycles=0.*expected at least one cycle"),
    "unknown name": ("warm", 10, r"beta is 'warm'; expected one of \['constant', 'cyclical', 'linear'\]"),
    "a ramp below 0": (Linear(-1), 10, r"beta is Linear\(ramp=-1\); expected a ramp of at least 0"),
    "a weight above 1": (Always(1.5), 10, "weights between 0 and 1"),
    "a weight below 0": (Always(-0.5), 10, "weights between 0 and 1"),
    "a weight that is no number": (Always("1"), 10, "weights between 0 and 1"),
    "one weight above 1": (Once(1.5), 10, "weights between 0 and 1"),
    "one weight that is no number": (Once(None), 10, "weights between 0 and 1"),
    "a number": (0.5, 10, r"beta is 0\.5; expected one of \['constant', 'cyclical', 'linear'\]"),
}


@pytest.mark.parametrize(("schedule", "steps", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(schedule, steps, message):
    with pytest.raises(ConfigError, match=message):
        beta_schedule(schedule, steps)


@pytest.mark.parametrize("schedule", ["linear", Constant(), Linear(7), Linear(0.25), Cyclical(3, 0.4)], ids=str)
def test_json_round_trip(schedule):
    back = from_json(json.loads(json.dumps(to_json(schedule))))
    assert back == schedule
    if isinstance(schedule, Linear):  # 7 steps must not come back as 7.0 times the training
        assert type(back.ramp) is type(schedule.ramp)


class Steps:
    """A schedule of the user's own: 0, then 1."""

    def __init__(self, high=1.0):
        self.high = high

    def beta(self, step, steps):
        return self.high if 2 * step >= steps else 0.0


def test_an_object_of_the_user_s_own(tmp_path):
    """It trains, its file loads and predicts, but does not train again without it."""
    assert beta_schedule(Steps(), 10).beta(5, 10) == 1.0
    views, mask = three_views(60, 0)
    model = JPVAE(**OPTIONS | {"steps": 50, "backend": "numpy", "beta": Steps()}).fit(views, mask)
    assert model.history_[-1]["beta"] == 1.0
    model.save(tmp_path / "m")
    loaded = JPVAE.load(tmp_path / "m")
    loaded.save(tmp_path / "again")
    assert all(np.array_equal(x, y) for x, y in zip(model.impute(views, mask), loaded.impute(views, mask), strict=True))
    with pytest.raises(ConfigError, match=r"beta was an object of test_schedules\.Steps, which a file does not store"):
        loaded.fit(views, mask)
    with pytest.raises(ConfigError, match=r"which reaches only 0\.5 within the 10 steps"):
        beta_schedule(Steps(0.5), 10)
    for wrong in (Steps(2.0), Steps("1")):
        with pytest.raises(ConfigError, match="weights between 0 and 1"):
            beta_schedule(wrong, 10)
    with pytest.raises(ConfigError, match=r"beta is <class .*Linear'>; expected one of .* any object with a method beta"):
        beta_schedule(Linear, 10)


def test_an_unknown_schedule_in_a_file():
    with pytest.raises(KeyError):
        from_json(["Quadratic", {}])


def test_constant_rate():
    assert [LearningRate(3e-4, "constant").at(step, 7) for step in range(7)] == [3e-4] * 7


def test_cosine_rate():
    rate = LearningRate(2.0, "cosine", warmup=0.2)
    # 20 steps: 4 of warm-up to the peak, then the cosine's half period over the remaining 16.
    expected = [0.5, 1.0, 1.5, 2.0, 2.0, *(1 + math.cos(math.pi * k / 16) for k in range(1, 16))]
    assert [rate.at(step, 20) for step in range(20)] == pytest.approx(expected, abs=1e-15)
    assert LearningRate(2.0).at(0, 1) == 2.0  # a training of one step has its peak


def test_a_warm_up_shorter_than_a_step_is_one_step():
    rate = LearningRate(2.0, "cosine", warmup=0.01)
    assert [rate.at(step, 10) for step in range(10)] == pytest.approx([2.0, *(1 + math.cos(math.pi * k / 9) for k in range(9))])


@pytest.mark.parametrize("peak", [0, -1e-3, float("nan"), float("inf")])
def test_refused_rates(peak):
    with pytest.raises(ConfigError, match=f"learning_rate is {peak}; expected a positive number"):
        LearningRate(peak)


def test_unknown_rate_shape():
    with pytest.raises(ConfigError, match="learning_rate_schedule is 'step'; expected 'constant' or 'cosine'"):
        LearningRate(1e-3, "step")


class Third:
    """The weight 1, as another kind of number."""

    def __init__(self, kind):
        self.kind = kind

    def beta(self, step, steps):
        return self.kind(1)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("kind", [np.float32, np.float64, fractions.Fraction, bool], ids=lambda kind: kind.__name__)
def test_a_weight_of_any_real_type_is_a_number_in_the_file(kind, backend, tmp_path):
    views, mask = three_views(60, 0)
    model = JPVAE(**OPTIONS | {"steps": 4, "backend": backend, "beta": Third(kind)})
    model.fit(views, mask, checkpoint=tmp_path / "c", checkpoint_every=2).save(tmp_path / "m")
    assert [record["beta"] for record in JPVAE.load(tmp_path / "m").history_] == [1.0]
    assert type(model.history_[0]["beta"]) is float
