"""The report on latents: activity and KL against sums over rows written out here, collapse, and advice."""

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE
from jpvae.inference.latent_report import ROWS, diagnose
from jpvae.inference.predictor import Predictor
from jpvae.testing import dense

NAMES = ("rna", "protein", "clinic")
SHORT = OPTIONS | {"steps": 60, "backend": "numpy"}
VIEWS, MASK = three_views(600, 0)


@pytest.fixture(scope="module")
def model():
    return JPVAE(**SHORT).fit(dict(zip(NAMES, VIEWS, strict=True)), MASK)


def report(model, views, mask, **changed):
    """Of the model with some of its parameters changed."""
    native = model.parameters_ | changed
    scaled = [np.where(m[:, None], (v - a) / s, 0.0) for v, m, (a, s) in zip(views, mask.T, model.scaling_, strict=True)]
    return diagnose(Predictor(model.predictor().engine, model.model_, native, 0), scaled, mask, NAMES)


def test_it_is_what_the_definitions_say(model):
    for i, (name, (location, scale)) in enumerate(zip(NAMES, model.scaling_, strict=True)):
        seen = MASK[:, i]
        mean, log_var = dense.encode(model.parameters_, i, (VIEWS[i][seen] - location) / scale)
        found = model.report_.views[name]
        assert found["latents"] == model.model_.latent_dims[i]
        # Sums of some hundred rows in float64, of terms below 1e2.
        assert found["variance"] == pytest.approx(np.var(mean, axis=0), rel=1e-10)
        kl = sum((m**2 + np.exp(v) - 1 - v) / 2 for m, v in zip(mean, log_var, strict=True)) / seen.sum()
        assert found["kl"] == pytest.approx(kl, rel=1e-10, abs=1e-12)
        assert found["active"] == sum(np.var(mean[:, k]) > 0.01 for k in range(mean.shape[1]))
        assert found["collapsed"] is False


def still(model, view):
    """Parameters of an encoder that says the same of every row."""
    name = f"encoder.{view}.1.weight"
    return {name: 0.0 * model.parameters_[name]}


def test_a_view_that_says_nothing_has_collapsed(model):
    found = report(model, VIEWS, MASK, **still(model, 1))
    assert {name: view["collapsed"] for name, view in found.views.items()} == {"rna": False, "protein": True, "clinic": False}
    assert found.views["protein"]["active"] == 0
    assert "The latents of protein carry no information" in found.advice
    assert "beta='linear'" in found.advice
    text = str(found)
    assert "protein  0 of 2 (collapsed)" in text
    assert text.endswith(found.advice)
    assert text.splitlines()[1].startswith(f"rna      {found.views['rna']['active']} of 3")


def test_advice_follows_what_is_active(model):
    """One latent of each view is active and the others are kept still; then all are."""
    few = {}
    for i, n in enumerate(model.model_.latent_dims):
        name = f"encoder.{i}.1.weight"
        few[name] = model.parameters_[name].copy()
        few[name][:, 1:n] = 0.0
        few[name][:, 0] += 1.0
    assert [view["active"] for view in report(model, VIEWS, MASK, **few).views.values()] == [1, 1, 1]
    assert report(model, VIEWS, MASK, **few).advice.startswith("Only 3 of 7 latents are used; the others cost time")
    many = {name: x + np.arange(x.size).reshape(x.shape) % 5 for name, x in model.parameters_.items() if ".1.weight" in name}
    advice = report(model, VIEWS, MASK, **many).advice
    assert advice.startswith("All latents are used")
    assert "held-out rows" in advice


def test_it_looks_at_some_rows_of_many(model, monkeypatch):
    """Spread over all the data, where there are more of them than it looks at."""
    seen = []
    original = Predictor.blocks

    def counted(self, views, observed, **options):
        seen.append((len(observed), [np.asarray(v[:]) for v in views]))
        return original(self, views, observed, **options)

    monkeypatch.setattr(Predictor, "blocks", counted)
    many = [np.repeat(v, 10, axis=0) for v in VIEWS]
    found = report(model, many, np.repeat(MASK, 10, axis=0))
    assert seen[0][0] == ROWS < 6000
    assert len(np.unique(seen[0][1][0], axis=0)) > 0.6 * 600  # of nearly every one of the 600 rows that has the view
    assert found.views.keys() == set(NAMES)


def test_it_is_kept_in_the_file(model, tmp_path):
    model.save(tmp_path / "m")
    assert JPVAE.load(tmp_path / "m").report_ == model.report_
