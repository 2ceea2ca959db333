"""Calls of every function of the core, from free parameters on, and their inputs: what tests of transformations trace."""

import functools

import numpy as np
from strategies import Model, Structure, posterior

import jpvae_core as jc

MODELS, ROWS = 3, 2
STRUCTURES = (
    Structure("independent", (1, 2), 0),
    Structure("orthogonal", (2, 2), 2),
    Structure("svd-sigmoid", (2, 3), 1),
    Structure("svd-tanh", (1, 2), 1),
    Structure("canonical", (2, 1, 3), 1),
)


def everything(structure, parameters, latents, log_vars, mask, noise):
    """Every function of a prior, from the free parameters on."""
    prior = structure.prior(parameters)
    means, covariances = jc.condition(prior, latents, mask, log_vars=log_vars)
    completed = jc.complete(prior, latents, mask, noise)
    outputs = {
        "kl": [jc.kl_divergence(prior, latents, log_vars, mask), jc.log_density(prior, latents, mask)],
        "completed": completed,
        "conditional": [*means, *(block for row in covariances for block in row)],  # (means by conditional_mean)
    }
    if structure.kind != "independent":  # that prior holds no array and answers in NumPy
        outputs["dense"] = [prior.covariance(), prior.log_det()]
    return outputs


def rarely_traced(structure, parameters, latents, log_vars, _, noise):
    """The functions of a prior that training and imputing do not call, and the KL without a mask."""
    prior = structure.prior(parameters)
    outputs = {"kl": [jc.kl_divergence(prior, latents, log_vars)], "sample": jc.sample(prior, noise)}
    if structure.kind != "independent":
        S = prior.covariance()
        outputs["dense"] = [prior.precision(), prior.max_singular_value(), jc.kl_dense(latents, log_vars, S)]
    if structure.kind == "orthogonal":
        C, z = prior.cross_covariance(1, 0), latents
        outputs["paper"] = [jc.kl_eq9(z, log_vars, C), jc.kl_eq16(z, log_vars, prior.frames[1], parameters["alpha"])]
        outputs["eq12"] = jc.condition_gaussian((z[0][0] * C).sum(-1), S[:2, :2] + C * C.mT, (1,), z[1][:, 1:])
    return outputs


@functools.cache
def inputs(structure):
    """Per model of a stack: parameters, latents, log_vars, mask by row, noise. Seeds differ, so do the numbers."""
    rng = np.random.default_rng(0)
    stack = []
    for seed in range(MODELS):
        latents, log_vars = posterior(structure.dims, ROWS, seed)
        mask = np.asarray([[True, False, True], [False, False, True]])[:, -len(structure.dims) :]
        noise = rng.standard_normal((ROWS, structure.noise_dim)).astype(np.float32).astype(float)
        stack.append((Model(structure, seed, reach=2.0).parameters, list(latents), list(log_vars), mask, noise))
    return stack


def maps(_, entries, logits, noise):
    """Every function of free parameters alone."""
    A = jc.skew(entries, 3)
    Q = jc.cayley(A)
    signs = jc.sign_matrix(3, 1, like=entries)
    alpha = jc.tanh_bound(logits).value
    return (
        *(jc.inverse_cayley(Q), jc.orthogonal(entries, 3, signs), jc.frame(entries, 3, 2)),
        *(*jc.sigmoid_bound(logits), *jc.tanh_bound(logits), *jc.number_bound(alpha, entries)),
        jc.reparameterize(logits, entries, noise),
    )
