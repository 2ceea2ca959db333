"""JointNormal is torch's MultivariateNormal of the dense Sigma: densities, KLs, marginals, conditionals, draws."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

import jpvae_core as jc
from jpvae_torch.distributions import JointNormal

RNG = np.random.default_rng(0)


def tensor(*shape):
    return torch.asarray(RNG.normal(size=shape))


def frame(n, d):
    return torch.asarray(np.linalg.qr(RNG.normal(size=(n, n)))[0][:, :d])


PRIORS = {
    "orthogonal": jc.JointPrior.orthogonal(frame(3, 3), 0.7),
    "svd": jc.JointPrior.svd(frame(4, 2), tensor(2), frame(2, 2), "tanh"),
    "canonical": jc.JointPrior.canonical([frame(n, 2) for n in (3, 2, 4)], tensor(3, 2)).named("a", "b", "c"),
    "independent": jc.JointPrior.independent([2, 3], like=tensor(1)),
}
every_prior = pytest.mark.parametrize("kind", PRIORS)


def pair(kind, dtype=torch.float64):
    joint = JointNormal(PRIORS[kind].to(tensor(1).to(dtype)), validate_args=True)
    return joint, MultivariateNormal(joint.mean, PRIORS[kind].covariance().to(dtype))


@every_prior
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 4e-6)])
def test_densities_and_divergences_are_the_dense_ones(kind, dtype, tolerance):
    """Relative to sums of some ten terms of order 1 to 10, conditions below 30."""
    joint, dense = pair(kind, dtype)
    N = joint.event_shape[0]
    loc, root = tensor(5, N).to(dtype), torch.eye(N, dtype=dtype) + 0.1 * tensor(5, N, N).to(dtype).tril()
    close = {"rtol": tolerance, "atol": 10 * tolerance}
    torch.testing.assert_close(joint.log_prob(loc), dense.log_prob(loc), **close)
    torch.testing.assert_close(joint.log_prob(loc.reshape(5, 1, N)), dense.log_prob(loc)[:, None], **close)
    torch.testing.assert_close(joint.entropy(), dense.entropy(), **close)
    scale = loc.abs() + 0.1
    diagonal = kl_divergence(MultivariateNormal(loc, torch.diag_embed(scale**2)), dense)
    for q in (Normal(loc, scale), Independent(Normal(loc, scale), 1)):
        torch.testing.assert_close(kl_divergence(q, joint), diagonal, **close)
    full = MultivariateNormal(loc, scale_tril=root)
    torch.testing.assert_close(kl_divergence(full, joint), kl_divergence(full, dense), **close)
    torch.testing.assert_close(kl_divergence(full, joint.expand((5,))), kl_divergence(full, dense), **close)


@every_prior
def test_marginals_and_conditionals_are_blocks_and_schur_complements(kind):
    joint, dense = pair(kind)
    S, dims = dense.covariance_matrix, joint.prior.dims
    n, z = dims[0], tensor(2, 3, dims[0])
    torch.testing.assert_close(joint.marginal([1, 0]).covariance_matrix[dims[1] :, dims[1] :], S[:n, :n])
    for key in {0, (joint.prior.names or [0])[0]}:
        given = joint.condition({key: z})
        gain = torch.linalg.solve(S[:n, :n], S[:n, n:])
        torch.testing.assert_close(given.mean, z @ gain, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(given.covariance_matrix[0, 0], S[n:, n:] - S[n:, :n] @ gain, rtol=1e-12, atol=1e-12)
    with pytest.raises(jc.ArgumentError, match="not all"):
        joint.condition({})


@every_prior
def test_draws_have_the_law_and_a_gradient(kind):
    """20,000 draws: an entry of the covariance has standard error at most 0.01; five of them."""
    torch.manual_seed(0)
    joint, dense = pair(kind)
    z = joint.rsample((100, 200))
    assert z.shape == (100, 200, *joint.event_shape)
    assert joint.expand((3,)).rsample((2,)).shape == (2, 3, *joint.event_shape)
    assert (torch.cov(z.reshape(-1, z.shape[-1]).T) - dense.covariance_matrix).abs().max() < 0.05
    alpha = torch.tensor(0.5, requires_grad=True)
    JointNormal(jc.JointPrior.orthogonal(torch.eye(2), alpha)).rsample((4,)).square().sum().backward()
    assert alpha.grad != 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(jc.LibraryError, match="holds no torch tensor"):
        JointNormal(jc.JointPrior.independent([2]))
    with pytest.raises(jc.ShapeError, match="a stack of priors"):
        JointNormal(jc.JointPrior.canonical([torch.eye(2).expand(3, 2, 2)] * 2, torch.zeros(3, 2, 2)))
    joint, _ = pair("orthogonal")
    with pytest.raises(NotImplementedError, match="event shape"):
        kl_divergence(Independent(Normal(torch.zeros(5), torch.ones(5)), 1), joint)
    for few in (Normal(torch.zeros(7, 3), torch.ones(7, 3)), MultivariateNormal(torch.zeros(3), torch.eye(3))):
        with pytest.raises(jc.ShapeError, match=r"q.loc has shape \(.*3,?\); expected last axis 6"):
            kl_divergence(few, joint)
    with pytest.raises(jc.ShapeError, match=r"value has shape \(5,\); expected last axis 6"):
        JointNormal(joint.prior, validate_args=False).log_prob(torch.zeros(5))  # otherwise torch looks itself
    with pytest.raises(ValueError, match="support"):
        joint.log_prob(torch.full((6,), torch.nan, dtype=torch.float64))


SHAPES = {  # of the batch, and of values or samples beside it
    "nothing": ((), ()),
    "a batch": ((4,), ()),
    "values beside a batch": ((4,), (4,)),
    "an axis more": ((4,), (3, 1)),
    "a stretched batch": ((1,), (5,)),
    "two axes": ((2, 3), (2, 3)),
    "no rows": ((), (0,)),
    "samples of no rows": ((4,), (2, 0, 4)),
    "a batch of none": ((0,), ()),
}


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("kind", ["svd", "canonical"])
def test_shapes_are_those_of_a_multivariate_normal(kind, case):
    """Values to 1e-12, as above; torch's own checks, and ``Independent``, fail on tensors without entries."""
    batch, lead = SHAPES[case]
    joint, dense = pair(kind)
    joint, dense = (
        joint.expand(batch),
        MultivariateNormal(dense.loc, dense.covariance_matrix, validate_args=False).expand(batch),
    )
    assert (joint.batch_shape, joint.event_shape) == (dense.batch_shape, dense.event_shape)
    value = tensor(*lead, *dense.event_shape)
    close = {"rtol": 1e-12, "atol": 1e-11}
    torch.testing.assert_close(joint.log_prob(value), dense.log_prob(value), **close)
    names = ("mean", "mode", "variance", "stddev", "covariance_matrix", "precision_matrix")
    for name in names:
        torch.testing.assert_close(getattr(joint, name), getattr(dense, name), **close)
    torch.testing.assert_close(joint.entropy(), dense.entropy(), **close)
    for draw in ("sample", "rsample"):
        assert getattr(joint, draw)(lead).shape == getattr(dense, draw)(lead).shape
    assert joint.has_rsample is dense.has_rsample is True
    for k in range(1, 1 + len(batch)):
        ours, theirs = (Independent(p, k, validate_args=False) for p in (joint, dense))
        if value.numel():
            torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value), **close)
        torch.testing.assert_close(ours.entropy(), theirs.entropy(), **close)
        assert ours.rsample((2,)).shape == theirs.rsample((2,)).shape
    q = MultivariateNormal(value, torch.eye(value.shape[-1], dtype=value.dtype), validate_args=False)
    if value.numel():
        torch.testing.assert_close(
            kl_divergence(q, joint), kl_divergence(q, dense).expand(joint.log_prob(value).shape), **close
        )
    if len(joint.prior.dims) > 2:
        assert joint.marginal([2, 0]).batch_shape == joint.batch_shape
        assert joint.marginal([2, 0]).log_prob(tensor(*lead, 7)).shape == dense.log_prob(value).shape
    given = joint.condition({0: tensor(*lead, joint.prior.dims[0])})
    assert given.batch_shape == torch.broadcast_shapes(lead, batch)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (), (4, 3)])
def test_a_batch_expands_where_torch_s_does(shape):
    joint, dense = (p.expand((4,)) for p in pair("svd"))
    with pytest.raises(RuntimeError):
        dense.expand(shape)
    with pytest.raises(jc.ShapeError, match=r"batch_shape is .*; expected one that \(4,\) broadcasts to"):
        joint.expand(shape)
    for more in ((4,), (7, 4)):
        assert joint.expand(more).batch_shape == dense.expand(more).batch_shape


@pytest.mark.parametrize("shape", [(-1,), 3, "ab", (2.5,), (True,)])
def test_a_shape_is_a_tuple_of_sizes(shape):
    joint, _ = pair("svd")
    with pytest.raises(jc.ShapeError, match=r"batch_shape is .*; expected a tuple of sizes"):
        joint.expand(shape)
    with pytest.raises(jc.ShapeError, match=r"sample_shape is .*; expected a tuple of sizes"):
        joint.rsample(shape)


def z(*shape):
    return torch.zeros(*shape, dtype=torch.float64)


CONDITIONS = {
    "no dict": ([z(3), None, None], "latents is a list; expected a dict"),
    "two shapes": (
        {0: z(2, 3, 3), 1: z(3, 2, 2)},
        r"latents\[1\] has shape \(3, 2, 2\); expected the other's leading axes, \(2, 3\)",
    ),
    "a row for several": ({"a": z(5, 3), "b": z(2)}, r"latents\['b'\] has shape \(2,\)"),
    "one view twice": ({0: z(3), "a": z(3)}, "expected distinct views"),
    "a boolean": ({True: z(2)}, "has the keys"),
    "another size": ({0: z(5, 2)}, r"latents\[0\] has shape \(5, 2\); expected last axis 3"),
    "NumPy": ({0: np.zeros(3)}, r"latents\[0\] is a ndarray; expected a torch.Tensor"),
    "float32": ({0: z(3).float()}, r"latents\[0\] has dtype torch.float32 but prior has torch.float64"),
    "another batch": ({0: z(5, 3)}, r"latents has leading axes \(5,\); expected ones that broadcast with the batch, \(4,\)"),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions_that_do_not_fit_are_refused(case):
    latents, message = CONDITIONS[case]
    with pytest.raises(jc.JPVAEError, match=message):
        pair("canonical")[0].expand((4,)).condition(latents)


@pytest.mark.parametrize(
    ("value", "message"), [(np.zeros(9), "value is a ndarray"), (z(3, 9), r"value has leading axes \(3,\)")]
)
def test_values_that_do_not_fit_are_refused(value, message):
    with pytest.raises(jc.JPVAEError, match=message):
        pair("canonical")[0].expand((4,)).log_prob(value)


@pytest.mark.parametrize("prior", [None, torch.eye(2), PRIORS["svd"].dims])
def test_a_prior_is_a_joint_prior(prior):
    with pytest.raises(jc.ArgumentError, match=r"prior is a .*; expected a JointPrior"):
        JointNormal(prior)
