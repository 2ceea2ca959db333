"""Every prior under both objectives trains, stays a valid prior, and couples the views (or, for C = 0, does not)."""

import itertools

import numpy as np
import pytest
from synthetic import OPTIONS, PRIORS, three_views

from jpvae import JPVAE
from jpvae.model.model import Model
from jpvae.testing import dense

VIEWS, MASK = three_views(200, 41)
LEARNED = {"prior.logits", "prior.alpha"}


@pytest.mark.parametrize("objective", ["elbo", "subset"])
@pytest.mark.parametrize("name", PRIORS)
def test_trains_and_imputes(name, objective):
    M = {"three views": 3, "rank 1": 3 if "canonical" in name else 2, "one view": 1}.get(name.split(", ")[-1], 2)
    mask = MASK[:, :M] | ~MASK[:, :M].any(axis=1, keepdims=True)
    options = OPTIONS | {"objective": objective, "steps": 50, "hidden": (), "learning_rate": 5e-2} | PRIORS[name]
    model = JPVAE(**options).fit(VIEWS[:M], mask)
    before, after = model.model_.initial_parameters(0), model.parameters_
    assert before.keys() == after.keys()
    for key in after:  # every parameter moves (one that is a rotation of a single axis has no entries)
        assert after[key].size == 0 or not np.array_equal(before[key], after[key]), key
    S = dense.covariance(model.model_, after)
    # Symmetric by construction; eigenvalues of a unit-diagonal matrix of this size carry errors of 1e-15.
    assert np.linalg.eigvalsh(S)[0] > 1e-12
    for i, j in itertools.combinations(range(M), 2):
        block = S[np.ix_(dense.blocks(model.model_)[j], dense.blocks(model.model_)[i])]
        assert np.asarray(model.predictor().prior.cross_covariance(j, i)) == pytest.approx(block, abs=1e-12)
    untrained = JPVAE(**options | {"steps": 1, "learning_rate": 1e-12}).fit(VIEWS[:M], mask)
    # Standardised cells of noise 0.1: from at least 1.4 nats per cell down; 3 to 12 cells per row.
    assert model.score(VIEWS[:M], mask) > untrained.score(VIEWS[:M], mask) + 1.0
    for j in range(M if M > 1 else 0):
        given = [None if k == j else v[:9] for k, v in enumerate(VIEWS[:M])]
        filled = model.impute(given, method="plug-in")[j]
        # Independent views tell nothing of each other: every row gets the prior mean's view, to the last bit.
        assert (np.ptp(filled, axis=0).max() == 0) == (model.prior == "independent")


SIZES = [
    ("independent", (3, 2), None),
    ("svd", (3, 2), None),
    ("svd", (3, 4), 2),
    ("orthogonal", (3, 3), None),
    ("orthogonal", (2, 2, 2), None),
    ("canonical", (3, 2), None),
    ("canonical", (3, 2, 4), None),
    ("canonical", (3, 2, 4), 1),
]


@pytest.mark.parametrize(("prior", "dims", "rank"), SIZES)
def test_noise_that_the_plan_makes_is_the_noise_that_the_prior_takes(prior, dims, rank):
    model = Model((2,) * len(dims), dims, ("gaussian",) * len(dims), hidden=(), prior=prior, rank=rank)
    assert model.noise_dim == model.joint_prior(model.initial_parameters(0)).noise_dim


def test_correlations_start_at_alpha():
    for name, options in PRIORS.items():
        dims = options["latent_dims"]
        M = 3 if "three" in name else 1 if "one" in name else 2 if isinstance(dims, int) else len(dims)
        dims = (dims,) * M if isinstance(dims, int) else dims
        chosen = {k: v for k, v in options.items() if k != "latent_dims"}
        model = Model((2,) * M, dims, ("gaussian",) * M, hidden=(), **{"alpha": 0.7} | chosen)
        S, at = dense.covariance(model, model.initial_parameters(0)), dense.blocks(model)
        for i, j in itertools.combinations(range(M), 2):
            found = np.linalg.svd(S[np.ix_(at[i], at[j])], compute_uv=False)[: model.directions]
            expected = 0.0 if model.prior == "independent" else abs(model.alpha)
            assert found == pytest.approx(np.full(model.directions, expected), abs=1e-14), name


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_learned_correlations_move_at_their_own_rate(rate):
    """Adam's first step is learning_rate * sign(gradient) for every number whose gradient is far above 1e-8."""
    options = OPTIONS | {"steps": 1, "learning_rate_schedule": "constant", "coupling_rate": rate}
    model = JPVAE(**options).fit(VIEWS, MASK)
    before = model.model_.initial_parameters(0)
    for name, after in model.parameters_.items():
        step = 2e-2 * (rate if name in LEARNED else 1.0)
        moved = np.abs(after - before[name]).ravel()
        assert moved.size == 0 or moved.max() == pytest.approx(step, rel=1e-3, abs=1e-15), name
