"""What a codebase asks of a prior: a part of it, one from a given C, another dtype or library, equality, JAX's pytrees."""

import itertools
import sys
import types

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch

import jpvae_core as jc

RNG = np.random.default_rng(0)


def rotation(n, d):
    return np.linalg.qr(RNG.normal(size=(n, n)))[0][:, :d]


PRIORS = {
    "independent": jc.JointPrior.independent([3, 3]),
    "orthogonal": jc.JointPrior.orthogonal(rotation(3, 3), -0.7),
    "svd": jc.JointPrior.svd(rotation(4, 2), np.asarray([1.0, -2.0]), rotation(3, 2), "tanh"),
    "canonical": jc.JointPrior.canonical([rotation(n, 2) for n in (3, 2, 4)], RNG.normal(size=(3, 2))),
}
every_prior = pytest.mark.parametrize("kind", PRIORS)


@every_prior
def test_a_marginal_is_the_sub_block_in_any_order(kind):
    """Sub-blocks of the dense Sigma; the same sums of products, in another order at most."""
    prior = PRIORS[kind]
    S, ends = prior.covariance(), np.cumsum((0, *prior.dims))
    for views in ([0], [1], [1, 0], list(range(len(prior.dims)))[::-1]):
        at = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in views])
        np.testing.assert_allclose(prior.marginal(views).covariance(), S[np.ix_(at, at)], rtol=0, atol=1e-15)
        marginal, noise = prior.marginal(views), np.random.default_rng(0).normal(size=(20_000, prior.noise_dim))
        assert marginal.covariance().shape == (len(at), len(at))
        drawn = np.concatenate(jc.sample(marginal, noise[:, : marginal.noise_dim]), axis=1)
        # An entry of the second moments of n draws, of variances 1, is off by at most sqrt(2/n) per standard error
        assert np.abs(drawn.T @ drawn / len(noise) - S[np.ix_(at, at)]).max() < 5 * np.sqrt(2 / len(noise))
    names = [f"v{i}" for i in range(len(prior.dims))]
    assert prior.named(*names).marginal([names[1]]).names == ("v1",)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (1, 3)])
def test_from_a_covariance(shape):
    """Stated error 4 (1 + n) eps |C|; a lower rank is the truncated decomposition (Eckart and Young)."""
    C = RNG.normal(size=shape)
    C *= 0.9 / np.linalg.norm(C, 2)
    prior = jc.JointPrior.from_covariance(C).check()
    np.testing.assert_allclose(prior.cross_covariance(1, 0), C, rtol=0, atol=4 * 5 * 2.0**-52)
    found = jc.JointPrior.from_covariance(C, rank=1)
    left = np.sort(np.linalg.svd(C)[1])[:-1]
    assert found.rank == 1
    assert abs(np.linalg.norm(found.cross_covariance(1, 0) - C) - np.linalg.norm(left)) < 1e-14
    with pytest.raises(jc.NotAContraction, match="singular value 1"):
        jc.JointPrior.from_covariance(C / 0.9 * (1 + 1e-15))
    with pytest.raises(jc.NotAContraction, match="singular value 1"):
        jc.JointPrior.from_covariance(np.eye(*shape))
    for odd in (np.nan, np.inf):
        C[0, -1] = odd
        with pytest.raises(jc.NotAContraction, match="singular value nan"):
            jc.JointPrior.from_covariance(C)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("t", [-3.0, 17.5, 60.0])
def test_a_learned_alpha_keeps_the_digits_of_its_distance_from_1(t, dtype):
    """Eq. 7 of one direction in 60 digits; at t = 60 alpha is 1 in both dtypes. c eps K: only log|Sigma| is negative."""
    (m, v), one = RNG.normal(size=(2, 2)).astype(dtype), np.ones((1, 1), dtype)
    prior = jc.JointPrior.orthogonal(one, jc.tanh_bound(dtype(t)))
    found = jc.kl_divergence(prior, [m[:1], m[1:]], [v[:1], v[1:]])
    with mpmath.workdps(60):
        s = mpmath.tanh(mpmath.mpf(t) / 2)
        S = mpmath.matrix([[1, s], [s, 1]])
        mu, var = mpmath.matrix(m.tolist()), [mpmath.exp(mpmath.mpf(float(x))) for x in v]
        inverse = S**-1
        quad = (mu.T * inverse * mu)[0] + sum(inverse[i, i] * var[i] for i in range(2))
        want = (quad - 2 + mpmath.log(mpmath.det(S)) - mpmath.log(var[0] * var[1])) / 2
        assert abs(mpmath.mpf(float(found)) - want) < 30 * np.finfo(dtype).eps * (abs(want) + 2 * abs(t))


@every_prior
def test_equality_dtype_and_library(kind):
    prior = PRIORS[kind]
    assert prior == prior.to(dtype="float64") == PRIORS[kind]
    narrow = prior.to(np.zeros(1, np.float32))
    assert narrow.dtype == np.float32
    assert narrow.device == "cpu"
    assert narrow != prior
    assert prior.to(torch.zeros(1)).dtype == torch.float32
    assert all(prior != other for name, other in PRIORS.items() if name != kind)


@every_prior
def test_the_smallest_eigenvalue_is_enclosed(kind):
    """By eigvalsh of the dense Sigma, whose entries are at most 1; two coupled views' is known, and not only enclosed."""
    prior = PRIORS[kind]
    least = np.linalg.eigvalsh(prior.covariance()).min()
    low, high = (float(np.asarray(x)) for x in prior.coupling.eigenvalue_bounds(np))
    if kind == "canonical":  # per direction diag(1 - a^2) + a a^T, whose eigenvalues interlace with 1 - a^2
        rest = np.sort(1.0 / (1.0 + np.exp(prior.coupling.logits)), axis=0)
        assert (low, high) == pytest.approx((rest[0].min(), rest[1].min()), rel=1e-14)
    assert 0 < low <= least + 1e-14
    assert least - 1e-14 <= high <= 1
    assert kind == "canonical" or low == pytest.approx(high, abs=1e-15)


@pytest.mark.parametrize("views", [2, 3])
def test_a_source_s_bounds_are_the_residual_variances_of_its_loadings(views):
    """1 - a^2 = 1/(1 + e^logit): the least of all, and the least of every direction's second; a view alone has Sigma = 1."""
    logits = np.asarray([[1.0, -2.0], [0.5, 3.0], [2.0, 0.0]])[:views]
    prior = jc.JointPrior.canonical([rotation(n, 2) for n in (3, 2, 4)[:views]], logits)
    rest = np.sort(1.0 / (1.0 + np.exp(logits)), axis=0)
    np.testing.assert_allclose(prior.coupling.eigenvalue_bounds(np), [rest[0].min(), rest[1].min()], rtol=1e-14)
    low, high = jc.JointPrior.canonical([rotation(3, 2)], logits[:1]).coupling.eigenvalue_bounds(np)
    assert (float(low), float(high)) == (pytest.approx(1.0 / (1.0 + np.e), rel=1e-14), 1.0)


@pytest.mark.parametrize("logit", [80.0, 500.0])
def test_another_dtype_keeps_what_it_can_hold(logit):
    """Each number is rounded; what float32 cannot hold is that of a logit of 88.72, to three digits."""
    wide = jc.JointPrior.canonical([torch.tensor(rotation(3, 1))] * 2, torch.tensor([[logit], [-1.0]], dtype=torch.float64))
    narrow = wide.to(dtype="float32")
    assert (wide.dtype, narrow.dtype) == (torch.float64, torch.float32)
    for x, y in zip(wide.arrays, narrow.arrays, strict=True):
        want = np.clip(x.numpy(), -np.exp(88.72), np.exp(88.72))
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-3 if x.abs().max() > 1e38 else 2.0**-23)
    assert torch.isfinite(narrow.covariance()).all()


def test_another_device():
    prior = PRIORS["canonical"].to(torch.zeros(1, dtype=torch.float64))
    assert {x.device.type for x in prior.to(device="meta").arrays} == {"meta"}
    assert prior.to(device="cpu") == prior
    independent = jc.JointPrior.independent([2, 1], like=torch.zeros(1)).to(dtype="float64")
    assert {x.dtype for x in independent.arrays} == {torch.float64}
    away = prior.to(device="meta")
    data = [torch.zeros(4, n, dtype=torch.float64, device="meta") for n in prior.dims]
    mask = torch.ones(4, len(prior.dims), dtype=torch.bool)  # on the processor: it is brought to the data
    assert jc.kl_divergence(away, data, data, mask).device.type == "meta"
    with pytest.raises(
        jc.LibraryError, match=r"means\[0\] is on the device meta but .*; expected one: \.to\(device\)|on the device cpu but"
    ):
        jc.kl_divergence(prior, data, data)


@pytest.mark.parametrize(
    "kind", ["orthogonal", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("svd", "canonical"))]
)
def test_a_jax_prior_is_an_argument_a_result_a_carry_and_a_vmap_axis(kind):
    """In float64 to 1e-13: the same formulas compiled in another order."""
    numbers = [RNG.normal(size=(5, n)) for n in PRIORS[kind].dims]
    want = jc.kl_divergence(PRIORS[kind], numbers, numbers)
    plain = jc.fuse(PRIORS[kind], numbers, [-np.abs(x) for x in numbers])
    prior = PRIORS[kind].to(jnp.zeros(1))
    rows = [jnp.asarray(x) for x in numbers]
    run = jax.jit(lambda p, z: (p, jc.kl_divergence(p, z, z), jc.fuse(p, z, [-jnp.abs(x) for x in z])))
    back, found, q = run(prior, rows)
    np.testing.assert_allclose(found, want, rtol=1e-13)
    assert back == prior
    np.testing.assert_allclose(q.kl(), plain.kl(), rtol=1e-12)
    carried, many = jax.lax.scan(lambda p, _: (p, jc.kl_divergence(p, rows, rows)), prior, None, length=2)
    assert carried == prior
    np.testing.assert_allclose(many, [want, want], rtol=1e-13)
    stack = jax.tree.map(lambda x: jnp.stack([x, x]), prior)
    np.testing.assert_allclose(jax.vmap(lambda p: jc.kl_divergence(p, rows, rows))(stack), [want, want], rtol=1e-13)
    jc.register_jax()  # once more does nothing


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 2), (3, 2), (6, 6), (6, 1)])
def test_entries_and_signs_of_a_given_frame(n, d, dtype):
    """det -1, the eigenvalue -1 and zeros on the diagonal included. Pivots of at least 1: entries of A of order 1 here, 3n^2
    eps with room."""
    mirror = np.diag(np.where(np.arange(n) % 2, 1.0, -1.0))
    given = [rotation(n, d), mirror[:, :d], -np.eye(n)[:, :d], np.eye(n)[::-1, :d]]
    Q = np.stack(given).astype(dtype)
    params, signs = jc.inverse_frame(Q)
    assert params.dtype == signs.dtype == dtype
    assert np.abs(params).max(initial=0.0) < 3
    for k in range(4):
        np.testing.assert_allclose(jc.frame(params[k], n, d, signs[k]), Q[k], rtol=0, atol=3 * n * n * np.finfo(dtype).eps)
    back = jc.skew_entries(jc.skew(torch.asarray(params), n))
    assert bool((back == torch.asarray(params)).all())


def test_what_is_no_frame_has_no_entries():
    with pytest.raises(jc.NotOrthogonal, match="Q has columns that are not orthonormal"):
        jc.inverse_frame(np.ones((2, 2)))
    with pytest.raises(jc.NotOrthogonal, match=r"is 0\.75; expected a frame"):
        jc.inverse_frame(0.5 * np.eye(2))


@pytest.mark.parametrize("n", [3, 4])
def test_every_signed_permutation_has_entries_and_signs(n):
    """Exact zeros, ones and eigenvalues of -1, where a wrong sign is a division by 0: 2^n n! matrices in one stack. Elimination
    with the signs of its pivots has none below 1, so entries are of order 2^n at most."""
    signs = np.asarray(list(itertools.product([1.0, -1.0], repeat=n)))
    orders = np.asarray([np.eye(n)[list(p)] for p in itertools.permutations(range(n))])
    Q = (signs[:, None, :, None] * orders).reshape(-1, n, n)
    params, found = jc.inverse_frame(Q)
    assert np.abs(params).max() <= 2.0**n
    for q, p, s in zip(Q, params, found, strict=True):
        np.testing.assert_allclose(jc.orthogonal(p, n, s), q, rtol=0, atol=1e-13)


def test_a_frame_is_taken_up_to_the_root_of_eps():
    """|Q^T Q - I| = 2^-26 is the root of eps; twice that is refused."""
    assert len(jc.inverse_frame(np.asarray([[1.0 + 2.0**-27]]))) == 2
    with pytest.raises(jc.NotOrthogonal):
        jc.inverse_frame(np.asarray([[1.0 + 2.0**-26]]))


def test_a_prior_is_equal_to_no_number():
    prior, other = (jc.JointPrior.orthogonal(np.eye(2), alpha) for alpha in (0.5, 0.25))
    assert (prior == 3, prior != 3, prior == other) == (False, True, False)
    assert jc.JointPrior.canonical(None, np.zeros((2, 2))) != jc.JointPrior.canonical(None, np.eye(2))


@pytest.mark.parametrize("directions", [1, 2])
def test_one_view_alone_has_the_eigenvalue_1(directions):
    prior = jc.JointPrior.canonical([np.eye(3)[:, :directions]], 2.0)
    assert prior.coupling.logits.shape == (1, directions)
    assert np.asarray(prior.coupling.eigenvalue_bounds(np)[1]) == 1.0


def test_a_wrapper_of_jax_s_is_its_value_also_beside_tracers(monkeypatch):
    """As flax's nnx.Param: an object that is no array, but has one to give."""

    class Param:
        def __init__(self, value):
            self.value = value

        def __jax_array__(self):
            return self.value

    monkeypatch.setitem(sys.modules, "flax", types.ModuleType("flax"))
    entries = jnp.ones(3)

    def divergence(x):
        prior = jc.JointPrior.orthogonal(jc.orthogonal(Param(entries), 3), 0.5)
        return jc.kl_divergence(prior, [Param(x), x], [x, Param(x)])

    rows = jnp.ones((2, 3))
    np.testing.assert_allclose(jax.jit(divergence)(rows), divergence(rows), rtol=1e-6)


@pytest.mark.parametrize("asarray", [np.asarray, torch.asarray])
def test_priors_of_equal_arrays_are_equal_and_of_another_dtype_are_not(asarray):
    R = rotation(3, 3)
    one, twin = (jc.JointPrior.orthogonal(asarray(x), asarray(np.asarray(0.5))) for x in (R, R.copy()))
    assert one == twin
    assert one != R.tolist()
    changed = R.copy()
    changed[0, 0] += 0.5
    assert one != jc.JointPrior.orthogonal(asarray(changed), asarray(np.asarray(0.5)))
    assert one != jc.JointPrior.orthogonal(asarray(rotation(3, 3) * 0.5), asarray(np.asarray(0.5)))
    flat = np.eye(3)  # the same numbers in either dtype
    assert jc.JointPrior.orthogonal(flat, 0.5) != jc.JointPrior.orthogonal(flat.astype(np.float32), 0.5)


def test_one_bad_prior_of_a_stack_is_found():
    logits = np.zeros((2, 2, 3))
    jc.JointPrior.canonical(None, logits).check()
    logits[1, 0, 0] = np.nan
    with np.errstate(invalid="ignore"), pytest.raises(jc.NotAContraction, match="expected a finite number"):
        jc.JointPrior.canonical(None, logits).check()


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_a_rank_beyond_the_smaller_size_is_refused(shape):
    for rank in (0, 3):
        with pytest.raises(jc.ShapeError, match=f"rank is {rank}; expected 1 <= rank <= 2"):
            jc.JointPrior.from_covariance(np.full(shape, 0.1), rank=rank)


def test_loadings_alone_need_a_dtype_that_the_core_has():
    for dtype in (np.float16, np.int64):
        with pytest.raises(jc.DtypeError, match="logits"):
            jc.JointPrior.canonical(None, np.zeros((2, 3), dtype))


TO = {
    "an integer array": ((np.zeros(2, int),), {}, jc.DtypeError, "like has dtype int64"),
    "half precision": ((), {"dtype": torch.float16}, jc.DtypeError, "dtype is torch.float16; expected 'float32' or 'float64'"),
    "a dtype by place": ((torch.float32,), {}, jc.LibraryError, r"like is torch.float32; expected an array.* to\(dtype="),
    "a device by place": (("cpu",), {}, jc.LibraryError, r"like is 'cpu'; expected an array.* to\(dtype="),
    "no dtype": ((), {"dtype": "floaty"}, jc.DtypeError, "dtype is 'floaty'"),
    "no device": ((), {"device": "nowhere"}, jc.ArgumentError, "device is 'nowhere'"),
}


@pytest.mark.parametrize("case", TO)
@pytest.mark.parametrize("asarray", [np.asarray, torch.asarray])
def test_where_a_prior_cannot_go(asarray, case):
    given, more, error, message = TO[case]
    for prior in (jc.JointPrior.orthogonal(asarray(np.eye(2)), 0.5), jc.JointPrior.canonical(None, asarray(np.zeros((2, 2))))):
        with pytest.raises(error, match=message):
            prior.to(*given, **more)
        assert str(prior.to(dtype=np.float32).dtype).endswith("float32")  # by any library's name


@pytest.mark.parametrize("asarray", [np.asarray, torch.asarray])
def test_a_half_turn_has_no_skew_matrix(asarray):
    """Its two eigenvalues are -1; entries and signs it has all the same."""
    turn = asarray(np.diag([1.0, -1.0, -1.0]))
    with pytest.raises(jc.ArgumentError, match="Q has the eigenvalue -1"):
        jc.inverse_cayley(turn)
    params, signs = jc.inverse_frame(turn)
    np.testing.assert_allclose(jc.orthogonal(params, 3, signs), turn, rtol=0, atol=1e-15)


def test_priors_on_two_devices_are_not_equal():
    prior = jc.JointPrior.orthogonal(torch.eye(2), torch.tensor(0.5))
    assert prior != prior.to(device="meta")


@pytest.mark.parametrize("dims", [3, [2.7], "23", [True, 2], np.asarray(2), {2, 3}, None])
def test_sizes_are_positive_integers(dims):
    with pytest.raises(jc.ShapeError, match=r"dims is .*; expected one positive latent size per view"):
        jc.JointPrior.independent(dims)


@pytest.mark.parametrize("rank", [1.5, "1", True, None, np.int64(1)])
def test_a_rank_is_an_integer(rank):
    C = np.diag([0.5, -0.2])
    if rank is None or isinstance(rank, np.int64):
        assert jc.JointPrior.from_covariance(C, rank=rank).rank == (rank or 2)
    else:
        with pytest.raises(jc.ArgumentError, match=r"rank is .*; expected an integer"):
            jc.JointPrior.from_covariance(C, rank=rank)
    with pytest.raises(jc.ShapeError, match=r"C has shape \(0, 2\)"):
        jc.JointPrior.from_covariance(C[:0], rank=rank)
