"""What `inspect` says of a prior, against dense matrices: singular values of every block, the smallest eigenvalue."""

import itertools
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from synthetic import PRIORS

from jpvae.figures.axes import draw_correlations
from jpvae.figures.correlations import correlations
from jpvae.figures.saving import save
from jpvae.inference import inspection
from jpvae.model.model import Model
from jpvae.testing import dense

EPS = np.finfo(np.float64).eps


def random_model(name, seed):
    """A model with parameters as a training may leave them; what `inspection` reads of an estimator."""
    options = {"alpha": 0.9, "rank": None} | PRIORS[name]
    dims = options.pop("latent_dims")
    M = {"three views": 3, "rank 1": 3 if "canonical" in name else 2, "one view": 1}.get(name.split(", ")[-1], 2)
    sizes = dims if isinstance(dims, tuple) else (dims,) * M
    model = Model(features=(2,) * M, latent_dims=sizes, likelihood_names=("gaussian",) * M, hidden=(), **options)
    rng = np.random.default_rng(seed)
    p = {k: x + rng.standard_normal(x.shape) for k, x in model.initial_parameters(seed).items()}
    return SimpleNamespace(model_=model, parameters_=p)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PRIORS)
def test_against_dense_matrices(name, seed):
    model = random_model(name, seed)
    prior, S, at = (
        inspection.prior_of(model.model_, model.parameters_),
        dense.covariance(model.model_, model.parameters_),
        dense.blocks(model.model_),
    )
    found = inspection.singular_values(prior)
    assert len(found) == (0 if not prior.coupling.rank else len(at) * (len(at) - 1) // 2)
    for (i, j), values in found.items():
        expected = np.linalg.svd(S[np.ix_(at[i], at[j])], compute_uv=False)
        # Rotations through an inverse, then an SVD of at most 4 x 4 entries below 1: 100 eps between them; zeros follow.
        assert values == pytest.approx(expected[: len(values)], abs=100 * EPS)
        assert np.abs(expected[len(values) :]).max(initial=0.0) <= 100 * EPS
    lower, upper = inspection.smallest_eigenvalue(prior)
    smallest = np.linalg.eigvalsh(S)[0]
    assert 0 < lower <= smallest + 100 * EPS
    assert smallest <= upper + 100 * EPS
    if len(at) < 3 and "canonical" not in name:
        assert lower == upper == pytest.approx(smallest, abs=100 * EPS)


@pytest.mark.parametrize("logit", [-30.0, 0.0, 20.0, 60.0])
def test_strong_couplings_keep_their_digits(logit):
    """1 - s and the two smallest 1 - a^2 to 10 eps where 1.0 - s is long 0 in floating point; 50 digits of mpmath."""
    prior = {"latent_dims": (1, 1), "hidden": (), "features": (1, 1), "likelihood_names": ("gaussian",) * 2}
    with mpmath.workdps(50):
        s = 1 / (1 + mpmath.exp(-logit))
        pair = Model(prior="svd", **prior)
        p = pair.initial_parameters(0) | {"prior.logits": np.array([logit])}
        lower, upper = inspection.smallest_eigenvalue(pair.joint_prior(p))
        assert lower == upper == pytest.approx(float(1 - s), rel=10 * EPS)
        shared = Model(prior="canonical", **prior)
        p = shared.initial_parameters(0) | {"prior.logits": np.array([[logit], [logit - 3.0]])}
        lower, upper = inspection.smallest_eigenvalue(shared.joint_prior(p))
        next_one = 1 - 1 / (1 + mpmath.exp(-(logit - 3)))
        assert (lower, upper) == pytest.approx((float(1 - s), float(next_one)), rel=10 * EPS)
        true = 1 - mpmath.sqrt(s * (1 - next_one))  # the 2 x 2 matrix has eigenvalues 1 -+ a_1 a_2
        assert lower <= true * (1 + 10 * EPS)
        assert true <= upper * (1 + 10 * EPS)


def test_the_figure_shows_the_covariance_without_its_diagonal_blocks(tmp_path, monkeypatch):
    """What is drawn is what the dense matrix says, blocks in the views' order; the file is a PNG of some size."""
    import matplotlib.axes

    drawn = []
    original = matplotlib.axes.Axes.imshow
    monkeypatch.setattr(matplotlib.axes.Axes, "imshow", lambda axis, x, **o: (drawn.append((x, o)), original(axis, x, **o))[1])
    model = random_model("canonical, three views", 0)
    shown = correlations(inspection.prior_of(model.model_, model.parameters_), ("scan", "genes", "clinic"))
    save(lambda axis: draw_correlations(shown, axis), tmp_path / "map.png", (7.6, 6.4))
    (values, options), S = drawn[0], dense.covariance(model.model_, model.parameters_)
    at = dense.blocks(model.model_)
    for i, j in itertools.product(range(3), repeat=2):
        block, expected = values[np.ix_(at[i], at[j])], S[np.ix_(at[i], at[j])]
        assert np.isnan(block).all() if i == j else block == pytest.approx(expected, abs=100 * EPS)
    assert -options["vmin"] == options["vmax"] == np.nanmax(np.abs(values))
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
