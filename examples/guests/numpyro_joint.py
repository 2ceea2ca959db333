"""NumPyro: the joint prior as a distribution, in SVI with the closed-form KL and in NUTS for the latents of new rows.

Linear decoders of the two halves of digits and linear encoders, so that NUTS has an exact answer to be compared with.
The numbers: variance of the lower halves of unseen digits explained from the upper halves; and how far the NUTS means of
latents are from the exact ones, in Monte Carlo standard errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from multipledispatch import dispatch
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, SVI, TraceMeanField_ELBO
from numpyro.optim import Adam
from sklearn.datasets import load_digits

import jpvae_core as jc

numpyro.enable_x64()
pixels = load_digits().data / 16.0
train, test = jnp.asarray(pixels[:1400]), jnp.asarray(pixels[1400:])
centre = train.mean(0)
train, test, n = train - centre, test - centre, 12


class JointNormal(dist.Distribution):
    """N(0, Sigma) over all views' latents side by side."""

    support = constraints.real_vector

    def __init__(self, prior):
        self.prior = prior
        super().__init__((), (sum(prior.dims),))

    def split(self, z):
        return jnp.split(z, np.cumsum(self.prior.dims)[:-1], axis=-1)

    def sample(self, key, sample_shape=()):
        return jnp.concatenate(jc.sample(self.prior, jax.random.normal(key, (*sample_shape, self.prior.noise_dim))), axis=-1)

    def log_prob(self, z):
        return jc.log_density(self.prior, self.split(z))


@dispatch(dist.MultivariateNormal, JointNormal)  # by its name, kl_divergence, this joins NumPyro's own
def kl_divergence(q, p):
    """E_q[-log p] - entropy, a trace from the columns of L. (For a diagonal q: jc.kl_divergence(prior, means, std=...).)"""
    quadratic = (p.log_prob(jnp.zeros(q.event_shape)) - p.log_prob(q.scale_tril.mT)).sum(-1)
    return quadratic - p.log_prob(q.loc) - q.entropy()


def prior():
    """Linear decoders can turn the latents, so no rotation is needed: loadings alone, learned from a^2 = 0.95."""
    return jc.JointPrior.canonical(None, numpyro.param("loadings", 3.0 * jnp.ones((2, n))))


def decoders():
    W = numpyro.param("W", 0.1 * jax.random.normal(jax.random.key(0), (2, n, 32)))
    return W, numpyro.param("noise", 0.2 * jnp.ones(64), constraint=constraints.positive)


def model(x):
    (W1, W2), noise = decoders()
    with numpyro.plate("rows", len(x)):
        z = numpyro.sample("z", JointNormal(prior()))
        means = jnp.concatenate([z[..., :n] @ W1, z[..., n:] @ W2], axis=-1)
        numpyro.sample("x", dist.Normal(means, noise).to_event(1), obs=x)


def guide(x):
    V = numpyro.param("V", 0.1 * jax.random.normal(jax.random.key(1), (64, 2 * n)))
    root = numpyro.param("root", 0.5 * jnp.eye(2 * n), constraint=constraints.lower_cholesky)  # one for all rows: exact here
    with numpyro.plate("rows", len(x)):
        numpyro.sample("z", dist.MultivariateNormal(x @ V, scale_tril=root))


svi = SVI(model, guide, Adam(0.02), TraceMeanField_ELBO())
fitted = svi.run(jax.random.key(0), 2000, train, progress_bar=False).params

# A new row's upper half alone: the exact posterior of its latents, and NUTS on the same model.
(W1, W2), noise = fitted["W"], fitted["noise"]
joint = jc.JointPrior.canonical(None, fitted["loadings"])
S = joint.covariance()
A = S[:, :n] @ W1  # Cov(z, x_upper)
gain = A @ jnp.linalg.inv(W1.T @ W1 + jnp.diag(noise[:32] ** 2))
exact = test[:, :32] @ gain.T
imputed, lower = exact[:, n:] @ W2, test[:, 32:]
explained = float(1 - ((imputed - lower) ** 2).sum() / (lower**2).sum())


def upper_half_alone(x):
    z = numpyro.sample("z", JointNormal(joint))
    numpyro.sample("x", dist.Normal(z[:n] @ W1, noise[:32]).to_event(1), obs=x)


mcmc = MCMC(NUTS(upper_half_alone), num_warmup=300, num_samples=1000, progress_bar=False)
mcmc.run(jax.random.key(1), test[0, :32])
z = np.asarray(mcmc.get_samples()["z"])
effective = numpyro.diagnostics.effective_sample_size(z[None])
errors = np.abs(z.mean(0) - np.asarray(exact[0])) / (z.std(0) / np.sqrt(effective))
print(f"lower halves from upper halves, variance explained: {explained:.2f}; NUTS within {errors.max():.1f} standard errors")
assert explained > 0.15
assert errors.max() < 4.5
