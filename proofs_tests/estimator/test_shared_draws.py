"""Who draws how many, and how many at a time: an ensemble's members, groups of draws, rows that are resampled.

Nothing is computed here but means and deviations of numbers that stand for draws.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import fitted, three_views

from jpvae import JPVAE
from jpvae.errors import ConfigError, NotFitted
from jpvae.inference import filling, predictor
from jpvae.inference.predictive import Predictive
from jpvae.inference.predictor import Predictor
from jpvae.inference.threads import with_its_threads
from jpvae.option_values import member_seed
from jpvae.views.reading import BLOCK

VIEWS, MASK = three_views(30, 1)
SEEN = filling.Seen([], np.asarray([[True, False]] * 3), np.asarray([[True, False]] * 3))


class Member:
    """A model whose draws of the second view's two columns are its number, then as much more each time; noise of variance 4."""

    def __init__(self, number, others=()):
        self.number, self.members, self.asked = number, (self, *others), []
        self.model, self.predictive = SimpleNamespace(features=(1, 2)), (Predictive(), Predictive())

    def blocks(self, views, observed, *, drawing=True):
        assert drawing
        yield SimpleNamespace(rows=slice(0, 3), size=3)

    def decoded_draws(self, block, views, draws, resampling, lacking, *, mirrored=False):
        assert list(views) == [1]
        assert not lacking.any()
        self.asked.append(draws)
        self.mirrored = mirrored
        for start in range(0, draws, 2):  # two at a time
            which = slice(start, min(start + 2, draws))
            made = self.number + 0.1 * np.arange(draws)[which]
            yield 1, which, np.broadcast_to(made[:, None, None], (len(made), BLOCK, 2))

    def noise_variance(self, view, means):
        return np.full_like(means, 4.0)

    def noise(self, block, stream, part):
        return self

    def observations(self, view, means, noise):
        return means + 100.0

    def each(self, draw, means):
        return draw(means, np.random.default_rng(int(self.number)))


def ensemble(size):
    others = [Member(10.0 * k) for k in range(1, size)]
    return Member(0.0, others)


@pytest.mark.parametrize(
    ("size", "draws", "each"),
    [(1, 5, [5]), (1, 1, [1]), (1, 6, [6]), (2, 5, [4, 4]), (3, 6, [2, 2, 2]), (3, 7, [4, 4, 4]), (4, 3, [2] * 4)],
)
def test_means_are_shared_out_among_an_ensemble_s_models(size, draws, each):
    """Rounded up to pairs, of whose means the error is told. The law of total variance by hand."""
    one = ensemble(size)
    ((view, rows, mean, std, _),) = filling.predictive(one, SEEN, draws, observation_noise=True)
    assert [member.asked for member in one.members] == [[count] for count in each]
    made = [member.number + 0.1 * np.arange(count) for member, count in zip(one.members, each, strict=True)]
    paired = each[0] in (4, 6)
    assert all(member.mirrored == paired for member in one.members)
    around = np.mean([np.var(x) for x in made])
    units = [x.reshape(-1, 2).mean(axis=1) if paired else x for x in made]  # that are independent
    of_mean = [np.var(x, ddof=1) / len(x) if len(x) > 1 else 0.0 for x in units]
    inside = around + 4.0 + (of_mean[0] if size == 1 else 0.0)
    between = np.var([x.mean() for x in made], ddof=1) if size > 1 else 0.0
    assert (view, rows.tolist(), mean.shape) == (1, [0, 1, 2], (3, 2))
    assert mean == pytest.approx(np.full((3, 2), np.mean([x.mean() for x in made])))
    assert std == pytest.approx(np.full((3, 2), np.sqrt(inside + between)))


def test_a_mixture_s_variance_is_right_on_average_however_few_the_draws():
    """Means of variance 1, draws around them of variance 9, noise of variance 4: 14. Over 4,000 columns the average of 3 models
    with 2 draws each is known to 4 hundredths of it: a variance of 2 degrees of freedom has its own size for a deviation."""
    rng, columns = np.random.default_rng(0), 4000
    found = []
    for _ in range(3):
        statistics = filling.DrawStatistics((1, columns))
        draws = rng.standard_normal((1, 1, columns)) + 3.0 * rng.standard_normal((2, 1, columns))
        statistics.update(draws, np.full_like(draws, 4.0))
        found.append(filling.Filling(0, np.arange(1), statistics.mean, statistics.std, statistics.sampling))
    assert np.mean(filling._mixed(found).std ** 2) == pytest.approx(14.0, rel=0.06)


@pytest.mark.parametrize(("size", "draws", "each"), [(1, 3, [3]), (2, 5, [3, 2]), (3, 5, [2, 2, 1]), (4, 2, [1, 1, 0, 0])])
@pytest.mark.parametrize("noisy", [True, False])
def test_draws_are_shared_out_one_model_after_the_other(size, draws, each, noisy):
    one = ensemble(size)
    found = list(filling.completed_draws(one, SEEN, draws, observation_noise=noisy))
    assert [member.asked for member in one.members] == [[count] if count else [] for count in each]
    expected = np.concatenate([member.number + 0.1 * np.arange(count) for member, count in zip(one.members, each, strict=True)])
    result = np.full(draws, np.nan)
    for part in found:
        assert (part.view, part.rows.tolist()) == (1, [0, 1, 2])
        assert part.values.shape == part.means.shape == (part.which.stop - part.which.start, 3, 2)
        assert part.chance is None
        assert np.ptp(part.values, axis=(1, 2)).max() == 0.0
        assert part.values == pytest.approx(part.means + 100.0 * noisy)
        result[part.which] = part.means[:, 0, 0]
    assert result == pytest.approx(expected)


def test_uniform_numbers_for_donors_are_those_of_the_holes():
    for part in filling.completed_draws(ensemble(1), SEEN, 3, observation_noise=False, matching=True):
        assert part.chance.shape == part.means.shape
        assert ((part.chance >= 0) & (part.chance < 1)).all()
        assert np.unique(part.chance).size == part.chance.size


def test_an_ensemble_s_models_have_seeds_of_their_own():
    """Those that they were trained with (``member_seed``), or that follow from the seed of a call."""
    one = fitted().predictor()
    together = Predictor(one.engine, one.model, one.p, 5, [one.p, one.p])
    assert [each.seed for each in together.members] == [5, member_seed(5, 1), member_seed(5, 2)]
    again = together.for_rows(["a", "b"], 7)
    assert [each.seed for each in again.members] == [7, member_seed(7, 1), member_seed(7, 2)]
    assert [each.index for each in again.members] == [["a", "b"]] * 3
    same = together.for_rows(None, None)
    assert [each.seed for each in same.members] == [each.seed for each in together.members]
    assert len({5, member_seed(5, 1), member_seed(5, 2)}) == 3


def test_how_many_draws_are_decoded_at_once():
    """Two million numbers of a block's rows, but one draw at least."""
    assert predictor.ENTRIES == 2_000_000
    sizes = {features: Predictor.group(features) for features in (1, 10, 31, 1_000, 10**9)}
    assert sizes == {1: 3_906, 10: 390, 31: 126, 1_000: 3, 10**9: 1}


def test_a_view_that_no_row_has_is_not_decoded_for_a_score(monkeypatch):
    """Of 3 views and one pass the first alone is decoded where the first alone is seen, whatever pads the block."""
    model, decoded = fitted(), []
    inner = Predictor.log_prob_entries
    monkeypatch.setattr(Predictor, "log_prob_entries", lambda self, j, *rest: decoded.append(j) or inner(self, j, *rest))
    alone = np.tile([True, False, False], (len(MASK), 1))
    model.score(VIEWS, alone, n_draws=2)
    model.elbo(VIEWS, alone)
    assert decoded == [0, 0]


WORK = {
    "impute": lambda model: model.impute(VIEWS, MASK, n_draws=3, proposals=None),
    "sample_imputations": lambda model: model.sample_imputations(VIEWS, MASK, n_draws=3, proposals=None),
    "impute, resampled": lambda model: model.impute(VIEWS, MASK, n_draws=3, proposals=4),
    "elbo": lambda model: model.elbo(VIEWS, MASK, n_draws=3),
    "score": lambda model: model.score(VIEWS, MASK, n_draws=3),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_the_widest_view_decides_it(work, monkeypatch):
    """The views have 5, 4 and 3 columns."""
    model, asked = fitted(), set()
    monkeypatch.setattr(Predictor, "group", staticmethod(lambda features: asked.add(features) or 2))
    work(model)
    assert asked == {5}


def test_where_all_rows_are_resampled_none_is_drawn_for_besides(monkeypatch):
    model = fitted()
    monkeypatch.setattr(Predictor, "draw_latents", lambda *_: pytest.fail("drawn from the encoders alone"))
    assert model.sample_imputations(VIEWS, MASK, n_draws=3, proposals=4)[0].shape == (3, 30, 5)


@pytest.mark.parametrize("method", ["predictive", "plug-in"])
def test_training_moments_are_asked_for_where_they_are_used(method, monkeypatch):
    model = fitted()

    def refuse(_):
        raise ConfigError("no row has every view")

    monkeypatch.setattr(JPVAE, "training_moments", refuse)
    if method == "predictive":
        assert len(model.impute(VIEWS, MASK, moments="training", n_draws=2)) == 3
        return
    monkeypatch.setattr(JPVAE, "_read", lambda *_, **__: pytest.fail("the views were read first"))
    with pytest.raises(ConfigError, match="no row has every view"):
        model.impute(VIEWS, MASK, method="plug-in", moments="training")


def test_a_method_computes_on_its_engine_s_threads(monkeypatch):
    """And is the method: its arguments, its result, its name; before a fit it is refused."""
    inside = []

    class Limited:
        def __init__(self, engine, rows):
            self.about = (engine, rows)

        def __enter__(self):
            inside.append(self.about)

        def __exit__(self, *_):
            inside.append("left")

    monkeypatch.setattr("jpvae.inference.threads.limited", Limited)

    def work(model, x, *, y):
        """Work."""
        return model.name, inside[-1], x, y

    made = with_its_threads(work)
    model = SimpleNamespace(name="model", predictor=lambda: SimpleNamespace(engine="engine"))
    assert made(model, 1, y=2) == ("model", ("engine", 512 * 64), 1, 2)
    assert inside[-1] == "left"
    assert (made.__name__, made.__doc__) == ("work", "Work.")
    for method in (JPVAE.impute, JPVAE.sample_imputations, JPVAE.score_samples, JPVAE.transform):
        with pytest.raises(NotFitted, match="no parameters yet"):
            method(JPVAE(), VIEWS, MASK)


@pytest.mark.parametrize("more", [{}, {"return_std": True}, {"return_std": "mean"}])
def test_a_mean_may_be_of_one_draw_and_a_deviation_of_two(more):
    model = fitted()
    assert len(model.impute(VIEWS, MASK, n_draws=2 if more else 1, **more)) == (2 if more else 3)
    for few in (0, 1) if more else (0,):
        with pytest.raises(ConfigError, match=f"n_draws is {few}; expected at least"):
            model.impute(VIEWS, MASK, n_draws=few, **more)
