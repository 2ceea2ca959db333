"""KL forward + backward in torch: the canonical form against the paper's Eq. 9 and a dense torch.distributions KL.

Each case first shows that its answer agrees with a dense float64 evaluation, then is timed (one thread, so that the numbers
are about work, not about a thread pool).
"""

import pytest
import torch

import jpvae_core as jc

SIZES = [(20, 32), (128, 256)]
ALPHA = 0.9


def canonical(means, log_vars, rotation):
    return jc.kl_divergence(means, log_vars, jc.JointPrior.orthogonal(rotation, ALPHA))


def eq9(means, log_vars, rotation):
    return jc.kl_eq9(means, log_vars, ALPHA * rotation)


def distributions(means, log_vars, rotation):
    C, identity = ALPHA * rotation, torch.eye(len(rotation), dtype=rotation.dtype)
    covariance = torch.cat([torch.cat([identity, C.mT], 1), torch.cat([C, identity], 1)])
    q = torch.distributions.MultivariateNormal(torch.cat(means, 1), torch.diag_embed(torch.cat(log_vars, 1).exp()))
    p = torch.distributions.MultivariateNormal(torch.zeros_like(covariance[0]), covariance)
    return torch.distributions.kl_divergence(q, p)


@pytest.mark.parametrize(("n", "rows"), SIZES, ids=lambda x: str(x))
@pytest.mark.parametrize("form", [canonical, eq9, distributions], ids=lambda f: f.__name__)
def test_kl_forward_and_backward(benchmark, form, n, rows):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rotation = jc.orthogonal(torch.randn(n * (n - 1) // 2, generator=generator), n).requires_grad_()
    means = [torch.randn(rows, n, generator=generator).requires_grad_() for _ in range(2)]
    log_vars = [torch.randn(rows, n, generator=generator).requires_grad_() for _ in range(2)]
    wide = jc.kl_dense(
        [m.double() for m in means],
        [v.double() for v in log_vars],
        jc.JointPrior.orthogonal(rotation.double(), ALPHA).covariance(),
    )
    # Sums of 2n terms and the inputs' own rounding, amplified by (1 + alpha)/(1 - alpha): a bound of n eps times that for each.
    bound = 2 * 2 * n * torch.finfo(torch.float32).eps * (1 + ALPHA) / (1 - ALPHA)
    assert ((form(means, log_vars, rotation) - wide) / wide).detach().abs().max() < bound

    def step():
        form(means, log_vars, rotation).sum().backward()

    rounds = 3 if form is distributions and n > 100 else 50
    benchmark.pedantic(step, rounds=rounds, warmup_rounds=1)
    torch.set_num_threads(threads)
