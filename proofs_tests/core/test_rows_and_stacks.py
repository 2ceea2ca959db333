"""Rows and stacks are never stretched in silence: what has another number of them is refused by name."""

import numpy as np
import pytest
import torch

import jpvae_core as jc

B, N = 4, 2
PRIOR = jc.JointPrior.orthogonal(np.eye(N), 0.5)
MEANS = [np.ones((B, N))] * 2
LOG_VARS = [-x for x in MEANS]
KL = np.ones((3, B))
MASKS = jc.subsets(PRIOR, np.ones((B, 2)))
STACK = np.stack([np.eye(N)] * 3)


@pytest.mark.parametrize("coordinates", ["latent", "frame"])
def test_a_fused_posterior_s_noise_and_latents_have_its_rows(coordinates):
    q = jc.fuse(PRIOR, MEANS, LOG_VARS, coordinates=coordinates)
    for shape in [(1,), (), (3,), (5, 1)]:
        with pytest.raises(jc.ShapeError, match=rf"noise has shape .*; expected \(\.\.\., {B}, k\), one row for each"):
            q.draw(np.ones((*shape, q.noise_dim)))
        with pytest.raises(jc.ShapeError, match=rf"latents\[0\] has shape .*; expected \(\.\.\., {B}, k\), one row for each"):
            q.log_density([np.ones((*shape, N))] * 2)
    many = q.draw(np.ones((5, B, q.noise_dim)))
    assert many[0].shape == (5, B, N)
    one = jc.fuse(PRIOR, [x[:1] for x in MEANS], [x[:1] for x in LOG_VARS], coordinates=coordinates)
    assert np.array_equal(one.draw(np.ones((B, one.noise_dim)))[0], many[0][0])  # one row of data, and a draw for each of noise


@pytest.mark.parametrize("name", ["beta", "cross"])
def test_a_weight_of_the_loss_does_not_widen_it(name):
    terms = [-0.5 * KL] * 2
    with pytest.raises(jc.ShapeError, match=rf"{name} has shape \(2, 1, 1\); expected one that broadcasts to kl's, \(3, 4\)"):
        jc.subset_loss(PRIOR, terms, KL, MASKS, **{name: np.ones((2, 1, 1))})
    with pytest.raises(jc.ShapeError, match=rf"{name} has shape \(3, 4\); expected one that broadcasts to kl's, \(3, 1\)"):
        jc.subset_loss(PRIOR, [x[:, :1] for x in terms], KL[:, :1], MASKS[:, :1], **{name: np.ones((3, 4))})
    expected = jc.subset_loss(PRIOR, terms, KL, MASKS, **{name: 0.25})
    for shape in [(3, 1), (B,), (1, B), ()]:
        assert np.array_equal(jc.subset_loss(PRIOR, terms, KL, MASKS, **{name: np.full(shape, 0.25)}), expected)


STACKS = {
    "rotation and alpha": lambda: jc.JointPrior.orthogonal(STACK, np.array([0.1, 0.2])),
    "U and logits and V": lambda: jc.JointPrior.svd(STACK, np.zeros((2, 2)), STACK),
    r"logits and frames\[0\] and frames\[1\]": lambda: jc.JointPrior.canonical([STACK, STACK[:2]], np.zeros((2, 2))),
}


@pytest.mark.parametrize("names", STACKS)
def test_the_parts_of_a_stack_of_priors_have_one_size(names):
    with pytest.raises(jc.ShapeError, match=f"^{names} have leading axes .*; expected leading axes that broadcast to one"):
        STACKS[names]()


STACK_OF_DATA, NEGATIVE = [np.ones((4, B, N))] * 2, [-np.ones((4, B, N))] * 2
OF_STACK = jc.JointPrior.canonical([STACK, STACK], np.zeros((3, 2, N)))
FIRST = np.asarray([True, False])
FOUR_STACKS = {
    r"prior and means\[0\] and log_vars\[0\]": lambda: jc.kl_divergence(OF_STACK, STACK_OF_DATA, NEGATIVE),
    r"prior and means\[0\] and std\[0\]": lambda: jc.fuse(OF_STACK, STACK_OF_DATA, std=STACK_OF_DATA),
    r"prior and means\[0\] and log_vars\[0\] and mask": lambda: jc.fuse(
        PRIOR, STACK_OF_DATA, NEGATIVE, np.ones((3, B, 2), dtype=bool)
    ),
    r"prior and mask": lambda: jc.kl_divergence(OF_STACK, MEANS, LOG_VARS, np.ones((4, 1, 2), dtype=bool)),
    r"prior and latents\[0\]": lambda: jc.conditional_mean(
        jc.JointPrior.orthogonal(STACK, 0.5), [np.ones((1, 4, B, N))] * 2, FIRST
    ),
    "prior and noise": lambda: jc.sample(OF_STACK, np.ones((4, B, OF_STACK.noise_dim))),
    r"C and means\[0\]": lambda: jc.kl_eq9(STACK_OF_DATA, NEGATIVE, 0.5 * STACK),
    r"rotation and means\[0\]": lambda: jc.kl_eq16(STACK_OF_DATA, NEGATIVE, STACK, 0.5),
    r"covariance and means\[0\]": lambda: jc.kl_dense(STACK_OF_DATA[:1], NEGATIVE[:1], STACK),
    "mean and cov and values": lambda: jc.condition_gaussian(np.ones((4, N)), STACK, [0], np.ones((B, 1))),
}


@pytest.mark.parametrize("names", FOUR_STACKS)
def test_stacks_of_data_and_of_priors_have_one_size(names):
    with pytest.raises(jc.ShapeError, match=f"^{names} have leading axes .*; expected leading axes that broadcast to one"):
        FOUR_STACKS[names]()


def test_stacks_that_broadcast():
    """An axis of 1 in the data, or more leading axes than the stack has: what each prior of it gives alone."""
    singles = [jc.JointPrior.canonical([np.eye(N)] * 2, np.full((2, N), t)) for t in (-1.0, 0.0, 1.0)]
    stack = jc.JointPrior.canonical([STACK, STACK], np.reshape([-1.0, 0.0, 1.0], (3, 1, 1)) + np.zeros((2, N)))
    alone = np.stack([jc.kl_divergence(one, MEANS, LOG_VARS) for one in singles])
    for lead in [(1,), (3,), (5, 3), (5, 1)]:
        rows = [[np.broadcast_to(x, (*lead, B, N)) for x in group] for group in (MEANS, LOG_VARS)]
        found = jc.kl_divergence(stack, *rows, np.ones((1, B, 2), dtype=bool))
        assert np.array_equal(found, np.broadcast_to(alone, (*lead[:-1], 3, B)))


def each_of(stack, k):
    """One prior of a stack, by its arrays."""
    frames = [None if q is None else q[k] for q in stack.frames]
    bounded = getattr(stack.coupling, "bounded", None)
    if bounded is None:
        return jc.JointPrior.canonical(frames, stack.coupling.logits[k])
    if frames[0] is None:
        return jc.JointPrior.orthogonal(frames[1], bounded.value[k, 0])
    return jc.JointPrior.svd(frames[1], 2.0 * np.arctanh(bounded.value[k]), frames[0], "tanh")


RNG = np.random.default_rng(0)
TURNS = np.linalg.qr(RNG.standard_normal((3, 2, N, N)))[0]
COVARIANCES = 0.3 * RNG.standard_normal((3, N, 3))
PRIORS = {  # made in the test
    "orthogonal": lambda: jc.JointPrior.orthogonal(np.linalg.qr(np.arange(27.0).reshape(3, 3, 3) ** 0.5)[0], 0.5),
    "svd": lambda: jc.JointPrior.svd(TURNS[:, 0], RNG.standard_normal((3, N)), TURNS[:, 1], "tanh"),
    "canonical": lambda: jc.JointPrior.canonical([TURNS[:, 0], TURNS[:, 1]], RNG.standard_normal((3, 2, N))),
    "of covariances": lambda: jc.JointPrior.from_covariance(COVARIANCES),
}


@pytest.mark.parametrize("kind", PRIORS)
def test_a_stack_is_its_priors_side_by_side(kind):
    """Every array has the stack's axis, and what one prior has, the stack has for each: to rounding of numbers up to 1."""
    stack = PRIORS[kind]()
    assert all(x.shape[0] == 3 for x in stack.arrays)
    bounds = stack.coupling.eigenvalue_bounds(np)
    alone = stack.marginal([1])
    for k in range(3):
        one = each_of(stack, k)
        pairs = [(stack.covariance()[k], one.covariance()), (stack.precision()[k], one.precision())]
        pairs += [(x[k], y) for x, y in zip(bounds, one.coupling.eigenvalue_bounds(np), strict=True)]
        for found, expected in pairs:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
        np.testing.assert_array_equal(alone.covariance()[k], np.eye(alone.dims[0]))
    if kind == "of covariances":
        np.testing.assert_allclose(stack.cross_covariance(1, 0), COVARIANCES, rtol=0, atol=1e-14)


@pytest.mark.parametrize("at", range(3))
def test_the_frame_of_a_stack_that_is_none_is_found(at):
    frames = np.stack([np.eye(3, N)] * 3)
    frames[at, 0] *= 2.0
    defect = jc.JointPrior.canonical([frames, STACK], 0.5).orthogonality_defect()
    assert np.array_equal(defect, 3.0 * (np.arange(3) == at))


@pytest.mark.parametrize("library", [np.asarray, torch.asarray])
@pytest.mark.parametrize("lead", [(1,), (3,)])
@pytest.mark.parametrize("kind", ["orthogonal", "svd"])
def test_a_stack_of_one_has_its_own_correlations(kind, lead, library):
    """Each direction's own, also where the stack's one axis could be taken for one correlation; and a view of it alone."""
    turns, logits = np.broadcast_to(TURNS[0, 0], (*lead, N, N)), np.broadcast_to([0.3, -1.5], (*lead, N))
    means, log_vars = ([library(x) for x in group] for group in (MEANS, LOG_VARS))
    means[1], log_vars[1] = (library(x) for x in np.arange(4.0 * B).reshape(2, B, N) * [[[0.5]], [[-0.2]]])

    def made(array):
        if kind == "orthogonal":
            return jc.JointPrior.orthogonal(array(np.array(turns)), 0.7)
        return jc.JointPrior.svd(*(array(np.array(x)) for x in (turns, logits, turns)), "tanh")

    stack, one = made(library), each_of(made(np.asarray), 0)
    dense = jc.kl_dense(*([np.asarray(x) for x in group] for group in (means, log_vars)), one.covariance())
    found = np.asarray(jc.kl_divergence(stack, means, log_vars))
    np.testing.assert_allclose(found, np.broadcast_to(dense, (*lead, B)), rtol=1e-13)
    for view in (0, 1):
        alone = jc.kl_divergence(stack.marginal([view]), means[view : view + 1], log_vars[view : view + 1])
        mean, log_var = np.asarray(means[view]), np.asarray(log_vars[view])
        own = 0.5 * np.sum(mean**2 + np.expm1(log_var) - log_var, axis=-1)
        np.testing.assert_allclose(np.asarray(alone), np.broadcast_to(own, (*lead, B)), rtol=1e-13)


def test_the_defect_of_frames_is_that_of_the_farthest_from_orthonormal():
    """Columns too short as well as too long; of a stack of frames that are not square, each one's."""
    for size in (0.5, 1.5):
        prior = jc.JointPrior.canonical([size * np.eye(3, N), np.eye(N)], 0.0)
        assert prior.orthogonality_defect() == abs(size**2 - 1.0)
    frames = np.asarray([1.0, 0.5, 2.0])[:, None, None] * np.eye(4, N)
    defect = jc.JointPrior.canonical([frames, STACK], 0.0).orthogonality_defect()
    assert np.array_equal(defect, [0.0, 0.75, 3.0])


def test_masks_and_parts_of_one_row_or_of_each():
    per_row = np.ones((1, 4, 2), dtype=bool)
    one, each = jc.subsets(PRIOR, np.ones((1, 2)), per_row), jc.subsets(PRIOR, np.ones((4, 2)), per_row)
    assert np.array_equal(one, each)
    single = jc.JointPrior.independent([N])
    with pytest.raises(jc.ShapeError, match=r"mask has shape \(3, 1\) and parts \(1, 4, 1\); expected \(B, M\)"):
        jc.subsets(single, np.ones((3, 1)), np.ones((1, 4, 1)))
    for name, mask, parts in [("parts", np.ones((4, 2)), np.ones((1, 3))), ("mask", np.ones((1, 3)), np.ones((1, 2)))]:
        with pytest.raises(jc.ShapeError, match=rf"{name} has shape \(1, 3\); expected last axis 2 \(one entry per view\)"):
            jc.subsets(PRIOR, mask, parts)
    alone = jc.subset_loss(PRIOR, [-0.5 * KL[:1]] * 2, KL[:1], MASKS[:1])  # one subset: its weight is 1 whatever is shared
    assert np.array_equal(alone, 2.0 * KL[0])
    two = jc.subset_loss(PRIOR, [np.zeros((2, B))] * 2, np.stack([KL[0], 4.0 * KL[0]]), MASKS[:2])
    np.testing.assert_allclose(two, (1.0 + 0.5 * 4.0) / 1.5 * KL[0], rtol=1e-15)  # all, and half as much for the only part
    assert jc.subsets(PRIOR, np.ones((3, 2)), np.ones((1, 3, 2))).shape == (2, 3, 2)  # as many rows, not as views
    with pytest.raises(jc.ShapeError, match=r"mask has shape \(3, 2\) and parts \(1, 2, 2\)"):
        jc.subsets(PRIOR, np.ones((3, 2)), np.ones((1, 2, 2)))
    with pytest.raises(jc.ShapeError, match=r"beta has shape \(2, 4\); expected one that broadcasts to kl's, \(3, 4\)"):
        jc.subset_loss(PRIOR, [-0.5 * KL] * 2, KL, MASKS, beta=np.ones((2, B)))


def test_how_far_rounding_reaches_is_bounded_for_the_largest_view_row_by_row():
    """8 n^2 eps / (r^2 + (1 - r^2) min sigma^2), the largest n and the smallest r^2 = 1 - a^2 of a direction."""
    logits = np.asarray([[0.3, -1.0], [0.5, 2.0]])
    prior = jc.JointPrior.canonical([np.eye(3, 2), np.eye(2)], logits)
    means, log_vars = [np.zeros((B, n)) for n in (3, 2)], [-np.exp(RNG.standard_normal((B, n))) for n in (3, 2)]
    masks = np.asarray([[[True, True]], [[True, False]]])
    least = 1.0 / (1.0 + np.exp(logits.max(axis=1)))
    each = [1.0 / (r + (1.0 - r) * np.exp(v.min(axis=1))) for r, v in zip(least, log_vars, strict=True)]
    expected = 72 * np.finfo(float).eps * np.maximum(*each)  # of several subsets the most of any
    np.testing.assert_allclose(jc.fuse(prior, means, log_vars, masks).error_bound(), expected, rtol=1e-13)
    rows = [[x[:, None] for x in group] for group in (means, log_vars)]  # a stack of rows
    np.testing.assert_allclose(jc.fuse(prior, *rows).error_bound()[:, 0], expected, rtol=1e-13)
    stack = jc.JointPrior.canonical([np.eye(3, 2), np.eye(2)], np.stack([logits, logits - 3.0, logits[:, ::-1] + 1.0]))
    for one, found in zip((0.0, -3.0, 1.0), jc.fuse(stack, means, log_vars).error_bound(), strict=True):
        of_one = jc.JointPrior.canonical([np.eye(3, 2), np.eye(2)], logits + one)  # whose bound no order of directions changes
        np.testing.assert_allclose(found, jc.fuse(of_one, means, log_vars).error_bound(), rtol=1e-13)


@pytest.mark.parametrize("turn", [np.eye(2), np.asarray([[0.6, 0.8], [-0.8, 0.6]])])
@pytest.mark.parametrize("library", [np.asarray, torch.asarray])
def test_the_dense_forms_refuse_an_indefinite_covariance(library, turn):
    """Both eigenvalues of I - C^T C below 0 leave its determinant, and that of Sigma, positive; at 1 rounding decides."""
    means, log_vars = ([library(x) for x in group] for group in (MEANS, LOG_VARS))
    S = np.block([[np.eye(2), 2.0 * turn], [2.0 * turn.T, np.eye(2)]])
    assert np.linalg.det(S) > 0
    with pytest.raises(jc.NotAContraction, match=r"^covariance has the eigenvalue -1; expected all above 0"):
        jc.kl_dense(means, log_vars, library(S))
    with pytest.raises(jc.NotAContraction, match=r"^I - C\^T C has the eigenvalue -3; expected .* every singular value"):
        jc.kl_eq9(means, log_vars, library(2.0 * turn.T))
    close = library((1.0 - 2.0**-50) * np.ones((1, 1)))
    one = [x[:, :1] for x in means], [x[:, :1] for x in log_vars]
    assert bool((jc.kl_eq9(*one, close) > 0).all())


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_a_standard_deviation_is_finite_and_above_0(value):
    std = [np.full((B, N), value), np.ones((B, N))]
    with pytest.raises(jc.ArgumentError, match=r"std\[0\] holds .*; expected finite standard deviations above 0"):
        jc.kl_divergence(PRIOR, MEANS, std=std)
    assert np.isfinite(jc.kl_divergence(PRIOR, MEANS, std=std, mask=[False, True])).all()  # of a view that is not there


@pytest.mark.parametrize("weights", [{1: 0.0, 2: 0.0, 3: 0.0}, {1.0, 2.0, 3.0}, ["1", "1", "1"], iter([1.0, 1.0, 1.0]), "111"])
def test_weights_are_a_sequence_of_numbers(weights):
    with pytest.raises(jc.ArgumentError, match=r"^weights is .*; expected 3 numbers of at least 0, one per subset, not all 0"):
        jc.subset_loss(PRIOR, [-0.5 * KL] * 2, KL, MASKS, weights=weights)


def test_a_numpy_integer_is_a_view_s_index():
    assert np.array_equal(jc.subsets(PRIOR, None, [np.int64(1), [np.int32(0)]]), jc.subsets(PRIOR, None, [1, [0]]))


def test_the_dtype_of_a_prior_without_arrays_is_checked_all_the_same():
    with pytest.raises(jc.DtypeError, match=r"^dtype is 'rubbish'; expected 'float32' or 'float64'"):
        jc.JointPrior.independent([2, 2]).to(dtype="rubbish")


def test_a_prior_without_arrays_takes_the_dtype_that_is_asked_for():
    prior = jc.JointPrior.independent({"a": 2, "b": 3})
    narrow = prior.to(dtype="float32")
    assert narrow.dtype == narrow.covariance().dtype == np.float32
    assert narrow.names == ("a", "b")
    assert prior.to(dtype="float64") is prior
    assert narrow.to(dtype="float64").dtype == np.float64
