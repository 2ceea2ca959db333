"""The forms in which data may come, each held to the plain one: lists of arrays (B, n_i) and a boolean mask (B, M)."""

import numpy as np
import pytest
import torch
from plain_views import DIMS, LOG_VARS, MASK, MEANS, NAMED, PRIOR, RNG

import jpvae_core as jc

NOISE = RNG.normal(size=(5, PRIOR.noise_dim))
KL = jc.kl_divergence(PRIOR, MEANS, LOG_VARS, MASK)
MASKS = {
    "integers": MASK.astype(int),
    "floats": MASK.astype(np.float32),
    "rows of a list": MASK.tolist(),
    "columns": list(MASK.T),
    "columns in a tuple": tuple(MASK.astype(float).T),
    "a dict": dict(zip("cab", MASK.T, strict=True)),
}


@pytest.mark.parametrize("form", MASKS)
def test_every_form_of_a_mask(form):
    np.testing.assert_array_equal(jc.kl_divergence(NAMED, MEANS, LOG_VARS, MASKS[form]), KL)


def test_columns_of_a_mask_may_have_leading_axes():
    """(2, 5) per view: two patterns for each row."""
    masks = np.stack([MASK, ~MASK])
    want = jc.kl_divergence(PRIOR, [np.stack([x, x]) for x in MEANS], [np.stack([x, x]) for x in LOG_VARS], masks)
    columns = [masks[..., i] for i in range(3)]
    got = jc.kl_divergence(PRIOR, [np.stack([x, x]) for x in MEANS], [np.stack([x, x]) for x in LOG_VARS], columns)
    np.testing.assert_array_equal(got, want)


def test_a_numpy_mask_beside_torch():
    prior, means = PRIOR.to(torch.zeros(1, dtype=torch.float64)), [torch.tensor(x) for x in MEANS]
    got = jc.kl_divergence(prior, means, [torch.tensor(x) for x in LOG_VARS], MASK)
    np.testing.assert_allclose(got.numpy(), KL, rtol=1e-13)


def test_dicts_are_read_by_name_in_any_order():
    means, log_vars = ({name: x[i] for i, name in ((2, "b"), (0, "c"), (1, "a"))} for x in (MEANS, LOG_VARS))
    np.testing.assert_array_equal(jc.kl_divergence(NAMED, means, log_vars, MASK), KL)
    assert (PRIOR.names, NAMED.names) == (None, ("c", "a", "b"))
    drawn = jc.complete(NAMED, means, MASK, NOISE)
    for name, want in zip("cab", jc.complete(PRIOR, MEANS, MASK, NOISE), strict=True):
        np.testing.assert_array_equal(drawn[name], want)
    assert set(jc.fuse(NAMED, means, log_vars).mean()) == {"a", "b", "c"}


def test_a_single_row_is_the_batch_without_its_axis():
    """Sums of one row may be taken in another order: a few eps of numbers of order 10."""
    q = jc.fuse(PRIOR, MEANS, LOG_VARS, MASK)
    wide = RNG.normal(size=(5, q.noise_dim))
    for k in range(5):
        means, log_vars = [x[k] for x in MEANS], [x[k] for x in LOG_VARS]
        one = jc.fuse(PRIOR, means, log_vars, MASK[k])
        pairs = [(one.kl(), q.kl()[k]), (jc.kl_divergence(PRIOR, means, log_vars, MASK[k]), KL[k])]
        pairs += zip(one.draw(wide[k]), (x[k] for x in q.draw(wide)), strict=True)
        pairs += zip(jc.sample(PRIOR, NOISE[k]), (x[k] for x in jc.sample(PRIOR, NOISE)), strict=True)
        means_of = jc.conditional_mean(PRIOR, means, MASK[k])
        pairs += zip(means_of, (x[k] for x in jc.conditional_mean(PRIOR, MEANS, MASK)), strict=True)
        for got, want in pairs:
            assert np.shape(got) == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_all_blocks_of_a_single_row_s_conditional_by_name():
    whole = jc.condition(PRIOR, MEANS, MASK)
    for k in range(5):
        one = jc.condition(NAMED, dict(zip("cab", (x[k] for x in MEANS), strict=True)), dict(zip("cab", MASK[k], strict=True)))
        assert set(one.means) == set(one.covariances) == set("abc")
        for i, row in enumerate("cab"):
            np.testing.assert_allclose(one.means[row], whole.means[i][k], rtol=0, atol=1e-12)
            for j, column in enumerate("cab"):
                np.testing.assert_allclose(one.covariances[row][column], whole.covariances[i][j][k], rtol=0, atol=1e-12)


INDEPENDENT = jc.JointPrior.independent(DIMS)
SQUARE = jc.JointPrior.canonical(None, np.asarray([[0.5, -1.0], [1.5, 0.3]]))
FUSED = {  # prior, means, log-variances, mask, coordinates
    "latent": (PRIOR, MEANS, LOG_VARS, MASK | (np.arange(5) == 0)[:, None], "latent"),
    "frame": (SQUARE, *([x[:, :2] for x in part[:2]] for part in (MEANS, LOG_VARS)), MASK[:, :2], "frame"),
}


@pytest.mark.parametrize("form", FUSED)
def test_a_single_row_of_the_fused_posterior(form):
    prior, means, log_vars, mask, coordinates = FUSED[form]
    q = jc.fuse(prior, means, log_vars, mask, coordinates)
    noise = RNG.normal(size=(5, q.noise_dim))
    drawn = q.draw(noise)
    for k in range(5):
        one = jc.fuse(prior, [x[k] for x in means], [x[k] for x in log_vars], mask[k], coordinates)
        latents = [x[k] for x in drawn]
        pairs = [
            (one.kl(), q.kl()[k]),
            (one.log_density(latents), q.log_density(drawn)[k]),
            (one.covariance(), q.covariance()[k]),
        ]
        pairs += [*zip(one.mean(), (x[k] for x in q.mean()), strict=True), *zip(one.draw(noise[k]), latents, strict=True)]
        for got, want in pairs:
            assert np.shape(got) == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("coordinates", ["latent", "frame"])
def test_a_single_row_under_a_stack_of_models(coordinates):
    """Noise of a row for each model."""
    logits = RNG.normal(size=(3, 2, 2))
    means, log_vars = [x[0, :2] for x in MEANS[:2]], [x[0, :2] for x in LOG_VARS[:2]]
    stack = jc.fuse(jc.JointPrior.canonical(None, logits), means, log_vars, None, coordinates)
    noise = RNG.normal(size=(3, stack.noise_dim))
    prior_noise = RNG.normal(size=(3, 6))
    sampled = jc.sample(jc.JointPrior.canonical(None, logits), prior_noise[:, None])
    for k in range(3):
        prior = jc.JointPrior.canonical(None, logits[k])
        one = jc.fuse(prior, means, log_vars, None, coordinates)
        pairs = [*zip(stack.draw(noise), one.draw(noise[k]), strict=True), (stack.kl(), one.kl())]
        pairs += zip((x[:, 0] for x in sampled), jc.sample(prior, prior_noise[k]), strict=True)
        for got, want in pairs:
            np.testing.assert_allclose(got[k], want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FUSED)
def test_what_a_missing_view_holds_is_ignored_by_a_density(form):
    prior, means, log_vars, mask, coordinates = FUSED[form]
    q = jc.fuse(prior, means, log_vars, mask, coordinates)
    drawn = q.draw(RNG.normal(size=(5, q.noise_dim)))
    holes = [np.where(seen[:, None], x, np.nan) for x, seen in zip(drawn, mask.T, strict=True)]
    np.testing.assert_array_equal(q.log_density(holes), q.log_density(drawn))


@pytest.mark.parametrize("form", FUSED)
def test_what_a_fused_posterior_refuses(form):
    q = jc.fuse(*FUSED[form])
    noise = np.zeros((5, q.noise_dim))
    with pytest.raises(jc.ShapeError, match=f"noise .*expected .*{q.noise_dim}"):
        q.draw(noise[:, 1:])
    with pytest.raises(jc.DtypeError, match="float32"):
        q.draw(noise.astype(np.float32))
    with pytest.raises(jc.ShapeError, match="latents"):
        q.log_density([x[:, 1:] for x in q.draw(noise)])


def test_standard_deviations_in_place_of_log_variances():
    """2 log(exp(l/2)) is l but for a few eps."""
    std = [np.exp(0.5 * x) for x in LOG_VARS]
    np.testing.assert_allclose(jc.kl_divergence(PRIOR, MEANS, std=std, mask=MASK), KL, rtol=1e-13)
    np.testing.assert_allclose(jc.fuse(PRIOR, MEANS, std=std).kl(), jc.fuse(PRIOR, MEANS, LOG_VARS).kl(), rtol=1e-12)
    blocks = zip(
        jc.condition(PRIOR, MEANS, MASK, std=std)[1], jc.condition(PRIOR, MEANS, MASK, log_vars=LOG_VARS)[1], strict=True
    )
    for found, expected in blocks:
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-13)


FORMER = {
    "positions": lambda: jc.kl_divergence(MEANS, LOG_VARS, PRIOR, MASK),
    "a mask by name": lambda: jc.kl_divergence(MEANS, LOG_VARS, PRIOR, mask=MASK),
    "a prior by name": lambda: jc.kl_divergence(MEANS, LOG_VARS, prior=PRIOR, mask=MASK),
    "means alone": lambda: jc.kl_divergence(MEANS, log_vars=LOG_VARS, prior=PRIOR, mask=MASK),
}


@pytest.mark.parametrize("form", FORMER)
def test_the_former_order_is_accepted_with_a_warning(form):
    with pytest.warns(DeprecationWarning, match=r"is now kl_divergence\(prior") as caught:
        former = FORMER[form]()
    np.testing.assert_array_equal(former, KL)
    assert caught[0].filename == __file__


def test_names_for_every_argument_need_no_order():
    np.testing.assert_array_equal(jc.kl_divergence(means=MEANS, log_vars=LOG_VARS, prior=PRIOR, mask=MASK), KL)


REFUSED = {
    "half": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, 0.5 * MASK), "mask holds 0.5; expected True or 1"),
    "minus one": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, -MASK.astype(int)), "mask holds -1"),
    "NaN": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, np.full(3, np.nan)), "mask holds nan"),
    "a list of halves": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, [0.5, 1, 1]), "mask holds 0.5"),
    "ragged rows": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, [[1, 1, 1]] * 4 + [[1, 1]]), "rows of different lengths"),
    "a row beside values": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, [[1], 1, 1]), "rows of different lengths"),
    "text": (lambda: jc.log_density(PRIOR, "abc"), "latents is a str; expected a list or tuple"),
    "a set": (lambda: jc.log_density(PRIOR, {1, 2, 3}), "latents is a set; expected a list or tuple"),
    "one array of deviations": (lambda: jc.kl_divergence(PRIOR, MEANS, std=LOG_VARS[0]), "is one array of shape"),
    "no sequence of deviations": (lambda: jc.kl_divergence(PRIOR, MEANS, std=1.0), "is a float; expected a list or tuple"),
    "torch": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, [MASK[:, 0], 0.5, 1]), r"mask\[1\] holds 0.5"),
    "a generator": (lambda: jc.kl_divergence(PRIOR, (x for x in MEANS), LOG_VARS), "means is a generator"),
    "one array": (lambda: jc.kl_divergence(PRIOR, MEANS[0], LOG_VARS), r"means is one array of shape \(5, 3\)"),
    "no names": (lambda: jc.kl_divergence(PRIOR, dict(zip("abc", MEANS, strict=True)), LOG_VARS), "have no names"),
    "other names": (lambda: jc.kl_divergence(NAMED, dict(zip("abd", MEANS, strict=True)), LOG_VARS), "has the keys"),
    "frames by name": (
        lambda: jc.JointPrior.canonical({"a": np.eye(2), "b": np.eye(2)}, 1.0),
        "frames is a dict; expected a list",
    ),
    "frames of a generator": (lambda: jc.JointPrior.canonical((np.eye(2) for _ in "ab"), 1.0), "frames is a generator"),
    "one array of frames": (
        lambda: jc.JointPrior.canonical(np.ones((2, 2, 1)), 1.0),
        r"frames is one array of shape \(2, 2, 1\)",
    ),
    "no prior": (lambda: jc.kl_divergence(MEANS, LOG_VARS, MASK), "prior is a builtins.list; expected a JointPrior"),
    "a prior for means": (lambda: jc.log_density(PRIOR, PRIOR), "latents is a JointPrior"),
    "both spreads": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, std=LOG_VARS), "both log_vars and std given"),
    "no spread": (lambda: jc.kl_divergence(PRIOR, MEANS), "neither log_vars nor std given"),
    "columns with an axis more": (
        lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, [MASK[:, :1]] * 3),
        r"mask\[0\] has shape \(5, 1\); expected \(\.\.\., 5\)",
    ),
    "columns of other rows": (
        lambda: jc.log_density(PRIOR, MEANS, [MASK[:, 0], MASK[:2, 1], 1]),
        r"mask\[1\] has shape \(2,\); expected \(\.\.\., 5\)",
    ),
    "columns of two shapes": (
        lambda: jc.kl_divergence(NAMED, MEANS, LOG_VARS, {"a": MASK.T[:2], "b": MASK[:, 0], "c": 1}),
        r"mask\['b'\] has shape \(5,\) but mask\['a'\] has \(2, 5\)",
    ),
    "a mask of text": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, MASK.astype(str)), "mask holds '"),
    "deviations below 0": (
        lambda: jc.kl_divergence(PRIOR, MEANS, std=[-np.exp(x) for x in MEANS], mask=MASK),
        r"std\[0\] holds -.*; expected finite standard deviations above 0",
    ),
    "one wrong value": (lambda: jc.kl_divergence(PRIOR, MEANS, LOG_VARS, 1 + (np.arange(3) == 1)), "mask holds 2; expected"),
    "a number among names": (lambda: PRIOR.named("a", "b", 0), r"names is \('a', 'b', 0\)"),
    "booleans among indices": (lambda: PRIOR.marginal([True, 1, 0]), r"views is \[True, 1, 0\]; expected distinct views"),
    "a fraction": (lambda: PRIOR.marginal([1.5, 1]), r"views is \[1.5, 1\]; expected distinct views"),
    "no view of several": (lambda: PRIOR.marginal([None, 0]), r"views is \[None, 0\]; expected distinct views"),
    "a tolerance of True": (lambda: PRIOR.check(tolerance=True), "tolerance is True; expected a finite number"),
    "no prior of a loss": (
        lambda: jc.subset_loss(MEANS, [KL[None]] * 3, KL[None], np.ones((1, 5, 3))),
        "prior is a builtins.list; expected a JointPrior",
    ),
    "a logit that is no number": (
        lambda: jc.JointPrior.canonical(None, np.full((2, 2), np.nan), validate=True),
        "expected a finite number",
    ),
    "names of numbers": (lambda: PRIOR.named(2, 1, 0), r"names is \(2, 1, 0\)"),
    "a mask for an index": (lambda: PRIOR.marginal([0, True]), r"views is \[0, True\]; expected distinct views"),
    "a mask of no view": (lambda: PRIOR.marginal([False] * 3), "or 3 booleans"),
    "one name for several": (lambda: NAMED.marginal("ab"), "views is 'ab'; expected distinct views, .* in a list"),
    "a view that is no index": (lambda: PRIOR.cross_covariance(True, 0), "i is True; expected one view's index from 0 to 2"),
    "names": (lambda: PRIOR.named("a", "a", "b"), "expected 3 different names"),
    "views": (lambda: PRIOR.marginal([0, 3]), "expected distinct views.* indices from 0 to 2"),
    "a mapping of views": (lambda: PRIOR.marginal({0: True, 1: False}), "views is a dict; expected distinct views"),
    "a table of views": (lambda: PRIOR.marginal(np.asarray([[0, 1]])), "views is a ndarray; expected distinct views"),
    "sparse views": (lambda: PRIOR.marginal(torch.tensor([0, 1]).to_sparse()), "views is a Tensor; expected distinct views"),
    "arrays for indices": (lambda: PRIOR.marginal([torch.tensor([1]), 0]), "expected distinct views"),
    "a view beyond": (lambda: PRIOR.cross_covariance(0, 3), "j is 3; expected one view's index from 0 to 2"),
    "a view by no name": (lambda: NAMED.cross_covariance("d", 0), "i is 'd'; .* or a name among"),
    "a huge alpha": (lambda: jc.JointPrior.orthogonal(np.eye(2), 10**400), r"alpha is 1000.*; expected a number that a float"),
    "an infinite beta": (
        lambda: jc.subset_loss(PRIOR, [KL[None]] * 3, KL[None], np.ones((1, 5, 3)), beta=float("inf")),
        "beta is inf; expected a finite number",
    ),
    "a weight that is none": (
        lambda: jc.subset_loss(PRIOR, [KL[None]] * 3, KL[None], np.ones((1, 5, 3)), weights=[None]),
        "weights is a list; expected 1 numbers",
    ),
    "no prior of a sample": (lambda: jc.sample(MEANS, NOISE), "prior is a builtins.list; expected a JointPrior"),
    "a size of 3.0": (lambda: jc.skew(np.ones(3), 3.0), "n is 3.0; expected an integer"),
    "noise that is a number": (
        lambda: jc.fuse(PRIOR, [x[0] for x in MEANS], [x[0] for x in LOG_VARS]).draw(np.asarray(1.0)),
        r"noise has shape \(\); expected last axis",
    ),
    "noise without a row for one row": (
        lambda: jc.fuse(PRIOR, [x[:1] for x in MEANS], [x[:1] for x in LOG_VARS]).draw(np.zeros(2 * 4 + 9)),
        r"noise has shape \(17,\); expected \(\.\.\., 1, k\)",
    ),
    "a frame without an axis": (lambda: jc.JointPrior.canonical([np.asarray(1.0)], 0.0), r"frames\[0\] has shape \(\)"),
    "a vector for C": (lambda: jc.JointPrior.from_covariance(np.zeros(3)), r"C has shape \(3,\); expected"),
    "a rank of 0": (lambda: jc.JointPrior.from_covariance(np.zeros((2, 3)), rank=0), "rank is 0; expected 1 <= rank <= 2"),
    "signs beside one with a gradient": (
        lambda: jc.orthogonal(np.zeros(1), 2, [1.0, torch.tensor(-1.0)]),
        r"expected \+1 and -1 only",
    ),
    "ragged signs": (lambda: jc.orthogonal(np.zeros(1), 2, [[1.0], [1.0, 1.0]]), r"expected \+1 and -1 only"),
    "one stack of V": (
        lambda: jc.JointPrior.svd(np.ones((2, 1, 1)), np.zeros(1), np.ones((3, 1, 1))),
        "U and logits and V have leading axes",
    ),
    "one stack of U": (
        lambda: jc.JointPrior.svd(np.ones((2, 1, 1)), np.zeros((3, 1)), np.ones((1, 1))),
        "U and logits and V have leading axes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case):
    call, message = REFUSED[case]
    with np.errstate(invalid="ignore"), pytest.raises((jc.ArgumentError, jc.ShapeError, jc.NotAContraction), match=message):
        call()


def loss_of(kl, **options):
    return jc.subset_loss(PRIOR, [kl] * 3, kl, np.ones((1, 5, 3)), **options)


def kl_of(means, **options):
    return jc.kl_divergence(INDEPENDENT, means, [-torch.ones_like(x.to_dense()) for x in means], **options)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        (
            r"log_vars\[0\] is a numpy.ndarray but means\[0\] is a torch.Tensor",
            lambda z: jc.kl_divergence(INDEPENDENT, z, MEANS),
        ),
        (r"means\[1\] is None; .* zeros will do", lambda z: jc.kl_divergence(INDEPENDENT, [z[0], None, z[2]], z)),
        (r"log_vars\[2\] is 0.0; expected an array", lambda z: jc.fuse(INDEPENDENT, z, [*z[:2], 0.0])),
        (r"noise is a numpy.ndarray but latents is a torch.Tensor", lambda z: jc.complete(INDEPENDENT, z, [1, 0, 1], NOISE)),
        (r"mask is a torch.Tensor but the data is a numpy", lambda z: jc.log_density(PRIOR, MEANS, z[0] != 0)),
        (r"V is a torch.Tensor but U is a numpy", lambda z: jc.JointPrior.svd(np.eye(3), np.zeros(3), z[0])),
        ("alpha is 'a'; expected a number or an array", lambda _: jc.JointPrior.orthogonal(np.eye(3), "a")),
        (r"noise is a torch.Tensor but means is a numpy", lambda z: jc.fuse(PRIOR, MEANS, LOG_VARS).draw(z[0])),
        (r"beta is a torch.Tensor but kl is a numpy", lambda z: loss_of(KL[None], beta=z[0][0, 0])),
        (r"means\[0\] is sparse .*; expected a dense tensor", lambda z: kl_of([z[0].to_sparse(), *z[1:]])),
        (r"means\[1\] is sparse .*; expected a dense tensor", lambda z: kl_of([z[0], z[1].to_sparse(), z[2]])),
        (r"log_vars\[0\] is on the device meta but", lambda z: jc.kl_divergence(INDEPENDENT, z, [x.to("meta") for x in z])),
        (r"mask is sparse .*; expected a dense tensor", lambda z: kl_of(z, mask=torch.tensor(MASK).to_sparse())),
    ],
)
def test_what_is_no_array_of_the_library_is_named(argument, call):
    with pytest.raises(jc.LibraryError, match=argument):
        call([torch.asarray(x) for x in MEANS])


@pytest.mark.parametrize(
    ("views", "same"),
    [([True, False, True], [0, 2]), (np.asarray([False, True, True]), [1, 2]), (torch.tensor([2, 0]), [2, 0])],
)
def test_booleans_for_views_are_a_mask(views, same):
    S, ends = NAMED.covariance(), np.cumsum([0, *DIMS])
    rows = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in same])
    found = NAMED.marginal(views)
    assert found.names == tuple("cab"[i] for i in same)
    np.testing.assert_allclose(found.covariance(), S[np.ix_(rows, rows)], rtol=0, atol=1e-15)
    if same != [2, 0]:
        table = [[i in same for i in range(3)]]
        assert jc.subsets(NAMED, None, [views]).tolist()[1] == jc.subsets(NAMED, None, np.asarray(table)).tolist()[1] == table


@pytest.mark.parametrize("held", [0.0, -1.0, np.nan])
def test_a_missing_view_s_deviations_may_hold_anything_and_get_gradient_0(held):
    """Against log-variances: 2 log(std) of what is observed, whose gradient in std is 2/std of the log-variance's."""
    bits = torch.asarray(MASK)
    prior, means = PRIOR.to(torch.zeros(1).double()), [torch.asarray(x) for x in MEANS]
    log_vars = [torch.asarray(x).requires_grad_() for x in LOG_VARS]
    std = [torch.where(b[:, None], torch.exp(0.5 * x), held).detach() for b, x in zip(bits.T, log_vars, strict=True)]
    std = [x.requires_grad_() for x in std]
    for function in (jc.kl_divergence, lambda *a, **b: jc.fuse(*a, **b).kl()):
        want = torch.autograd.grad(function(prior, means, log_vars, bits).sum(), log_vars)
        found = torch.autograd.grad(function(prior, means, std=std, mask=bits).sum(), std)
        for b, s, g, w in zip(bits.T, std, found, want, strict=True):
            torch.testing.assert_close(g, torch.where(b[:, None], 2.0 * w / s, 0.0), rtol=1e-9, atol=1e-9)


def test_deviations_that_are_trained_are_looked_at_too():
    """A value below 0, one alone, in a tensor that requires its gradient."""
    std = [torch.ones(2, 2, requires_grad=True) for _ in "12"]
    with torch.no_grad():
        std[1][1, 0] = -0.5
    with pytest.raises(jc.ArgumentError, match=r"std\[1\] holds -0.5; expected finite standard deviations above 0"):
        jc.kl_divergence(jc.JointPrior.independent([2, 2]), [torch.zeros(2, 2)] * 2, std=std)


def test_a_column_for_each_view_of_a_single_row():
    means, log_vars = [x[0] for x in MEANS], [x[0] for x in LOG_VARS]
    columns = [np.asarray([bit]) for bit in (True, False, True)]
    found = jc.kl_divergence(PRIOR, means, log_vars, columns)
    assert found == jc.kl_divergence(PRIOR, means, log_vars, np.asarray([True, False, True]))


def test_blocks_of_a_covariance_by_name():
    for i, row in enumerate("cab"):
        for j, column in enumerate("cab"):
            np.testing.assert_array_equal(NAMED.cross_covariance(row, column), PRIOR.cross_covariance(i, j))


def test_a_conditional_by_name_has_the_uncertainty_of_what_was_observed():
    latents, spread = (dict(zip("cab", x, strict=True)) for x in (MEANS, LOG_VARS))
    found = jc.condition(NAMED, latents, MASK, log_vars=spread)
    want = jc.condition(PRIOR, MEANS, MASK, log_vars=LOG_VARS)
    for i, row in enumerate("cab"):
        np.testing.assert_array_equal(found.means[row], want.means[i])
        for j, column in enumerate("cab"):
            np.testing.assert_array_equal(found.covariances[row][column], want.covariances[i][j])


def test_an_alpha_for_each_direction_is_refused():
    with pytest.raises(jc.ShapeError, match=r"alpha has shape \(3,\) and rotation \(3, 3\); expected one alpha"):
        jc.JointPrior.orthogonal(np.eye(3), np.full(3, 0.5))


def test_a_list_in_a_dict_of_masks_is_its_view_s_column():
    """As many rows as views, so that columns could be taken for rows."""
    rng = np.random.default_rng(0)
    prior = jc.JointPrior.orthogonal(np.eye(2), 0.9).named("a", "b")
    means, log_vars = [{name: rng.standard_normal((2, 2)) for name in "ab"} for _ in "12"]
    columns = {"a": [1, 0], "b": [1, 1]}
    found = jc.kl_divergence(prior, means, log_vars, columns)
    assert np.array_equal(found, jc.kl_divergence(prior, means, log_vars, np.asarray([[1, 1], [0, 1]], dtype=bool)))
    assert np.array_equal(found, jc.kl_divergence(prior, means, log_vars, {"b": [True, True], "a": np.asarray([1, 0])}))
    assert not np.array_equal(found, jc.kl_divergence(prior, means, log_vars, np.asarray([[1, 0], [1, 1]], dtype=bool)))
    with pytest.raises(jc.JPVAEError, match=r"mask\['a'\]"):
        jc.kl_divergence(prior, means, log_vars, {"a": [1, 0.5], "b": [1, 1]})


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_a_loss_of_subsets_takes_floats(dtype):
    prior = jc.JointPrior.orthogonal(np.eye(2), 0.9)
    masks, terms = jc.subsets(prior), [np.ones((3, 1))] * 2
    with pytest.raises(jc.DtypeError, match=r"^kl "):
        jc.subset_loss(prior, terms, np.ones((3, 1), dtype), masks)
    with pytest.raises(jc.DtypeError):
        jc.subset_loss(prior, [terms[0], terms[1].astype(np.float32)], np.ones((3, 1)), masks)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("mask", lambda x: jc.log_density(PRIOR.to(torch.zeros(1).double()), [torch.asarray(z) for z in MEANS], x)),
        ("Q", jc.inverse_frame),
        ("C", jc.JointPrior.from_covariance),
        ("rows", lambda x: jc.Moments().update(x)),
    ],
)
def test_values_that_are_nowhere_are_not_read(name, call):
    with pytest.raises(jc.LibraryError, match=f"{name} is on the device meta"):
        call(torch.zeros(5, 3, dtype=torch.float64, device="meta"))
