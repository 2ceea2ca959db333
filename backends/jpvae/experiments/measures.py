"""What a two-view model is measured by. All in nats per image unless said otherwise; lower is better.

alone       one sample z_i per image of the posterior given view i alone: how a view is told by its own latents; under a
            factorised posterior the same as "reconstruction", which has the posterior given both views
published   such samples too; an imputation is decoded once from Eq. 12's mean given the sample, with the
            moments of the evaluated split's own samples (that is how the paper's tables were made)
plug-in     decode once, from the posterior mean mu_i: E[z_j | mu_i] under the prior, or (training) by Eq. 12 with the moments
            of training latents
predictive  - sum over pixels of log mean_k p(x_jd | z_j^k): the loss of the averaged probabilities
conditional - log mean_k p(x_j | z_j^k): the joint density of the whole missing view
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import jpvae_core as jc

from ..estimator import JPVAE
from ..inference.blocks import Block
from ..inference.importance import log_mean_exp
from ..inference.predictor import Predictor
from ..inference.regression import regressed_latents, training_moments
from ..views.reading import BLOCK


def measure(model: JPVAE, views: list[np.ndarray], draws: int = 64) -> dict[str, Any]:
    """Every measure on one split. views: two (N, c_i) arrays. Lists read [view 1, view 2]; an imputation [1|2, 2|1]."""
    predictor, moments = model.predictor(), model.training_moments()
    N, dims = len(views[0]), predictor.model.latent_dims
    observed = np.ones((N, 2), dtype=bool)
    names = ("reconstruction", "reconstruction_alone", "plug_in", "plug_in_training", "predictive", "conditional_nll")
    sums = {name: np.zeros(2) for name in names}
    samples = np.empty((N, sum(dims)))
    for block in predictor.blocks(views, observed):
        rng = predictor.noise(block)
        z = [part[0] for part in predictor.draw_latents(block, rng, 1)]
        alone = _alone(predictor, block)
        samples[block.rows] = _side_by_side(predictor, block, alone)
        for j in range(2):
            seen = _only(predictor, block, 1 - j)
            sums["reconstruction"][j] += _loss(predictor, block, j, z[j])
            sums["reconstruction_alone"][j] += _loss(predictor, block, j, alone[j])
            plug_in = jc.conditional_mean(predictor.prior, list(block.means), seen)[j]
            sums["plug_in"][j] += _loss(predictor, block, j, plug_in)
            regressed = regressed_latents(predictor, block, *moments, observed=seen)[j]
            sums["plug_in_training"][j] += _loss(predictor, block, j, regressed)
            drawn = predictor.draw_latents(block, rng, draws, observed=seen)[j]
            entries = predictor.log_prob_entries(j, drawn, block.views[j])
            xp = predictor.xp
            sums["predictive"][j] -= _total(predictor, block, xp.sum(log_mean_exp(xp, entries), axis=-1))
            sums["conditional_nll"][j] -= _total(predictor, block, log_mean_exp(xp, xp.sum(entries, axis=-1)))
    result: dict[str, Any] = {name: (total / N).tolist() for name, total in sums.items()}
    result["published_imputation"] = _published(predictor, views, samples).tolist()
    result["negative_elbo"] = float(-predictor.elbo(views, observed).mean())
    return result


def _published(predictor: Predictor, views: list[np.ndarray], samples: np.ndarray) -> np.ndarray:
    z = eq12(samples, jc.Moments().update(samples), predictor.model.latent_dims[0])
    result = np.zeros(2)
    for block in predictor.blocks(views, np.ones((len(samples), 2), dtype=bool)):
        for j in range(2):
            result[j] += _loss(predictor, block, j, predictor.engine.asarray(_padded(z[j], block)))
    return result / len(samples)


def eq12(samples: np.ndarray, moments: jc.Moments, n1: int) -> list[np.ndarray]:
    """Eq. 12's conditional means [E(z_1 | z_2), E(z_2 | z_1)] of sampled latents (N, n_1 + n_2), given these moments."""
    parts = [np.arange(n1), np.arange(n1, samples.shape[1])]
    pairs = ((moments.mean, moments.covariance, given.tolist(), samples[:, given]) for given in reversed(parts))
    return [jc.condition_gaussian(*pair)[0] for pair in pairs]


def sampled_latents(predictor: Predictor, views: list[np.ndarray]) -> np.ndarray:
    """One posterior sample of each view given that view alone, (N, n_1 + n_2): what Table 1's imputations are made of."""
    observed = np.ones((len(views[0]), 2), dtype=bool)
    parts = []
    for block in predictor.blocks(views, observed):
        parts.append(_side_by_side(predictor, block, _alone(predictor, block)))
    return np.concatenate(parts).astype(np.float64)


def decoder_logits(predictor: Predictor, view: int, z: np.ndarray) -> np.ndarray:
    """What the decoder of a Bernoulli view gives for latents (N, n_i): logits (N, c_i)."""
    blocks = np.array_split(z, max(1, len(z) // BLOCK))
    engine = predictor.engine
    return np.concatenate([engine.numpy(engine.decode(predictor.p, view, engine.asarray(part))) for part in blocks])


def cross_correlation(moments: jc.Moments, n1: int) -> np.ndarray:
    """The correlations of the first view's latents with the second's, (n_1, n_2)."""
    deviation = np.sqrt(np.diag(moments.covariance))
    correlation: np.ndarray = (moments.covariance / np.outer(deviation, deviation))[:n1, n1:]
    return correlation


def _alone(predictor: Predictor, block: Block) -> list[Any]:
    """One sample (R, n_i) of each view's latents given that view alone: they know nothing of the other, which may be hidden."""
    seen = [_only(predictor, block, i) for i in range(2)]
    return [predictor.draw_latents(block, predictor.noise(block), 1, observed=seen[i])[i][0] for i in range(2)]


def _only(predictor: Predictor, block: Block, view: int) -> Any:
    """A mask (R, 2) of the block's rows: they have this view and not the other."""
    return predictor.engine.asarray(np.broadcast_to(np.arange(2) == view, block.observed.shape).copy())


def _side_by_side(predictor: Predictor, block: Block, parts: Sequence[Any]) -> np.ndarray:
    """Both views' latents (R, n_i) of the block's real rows, (size, n_1 + n_2)."""
    joined: np.ndarray = np.concatenate([predictor.engine.numpy(part) for part in parts], axis=-1)[: block.size]
    return joined


def _padded(z: np.ndarray, block: Block) -> np.ndarray:
    """The block's rows of ``z``, filled up with zeros to the block's size."""
    padded = np.zeros((block.observed.shape[0], z.shape[1]))
    padded[: block.size] = z[block.rows]
    return padded


def latent_report(model: JPVAE, views: list[np.ndarray]) -> dict[str, Any]:
    """Active units (variance of the posterior mean over the rows above 0.01; count and per cent) and the Frobenius norm of
    the cross-correlation of sampled latents. Give it the training rows, as the paper does."""
    predictor, observed = model.predictor(), np.ones((len(views[0]), 2), dtype=bool)
    means, samples = jc.Moments(), training_moments(predictor, views, observed)
    for block in predictor.blocks(views, observed):
        means.update(_side_by_side(predictor, block, block.means))
    active = int((np.diag(means.covariance) > 0.01).sum())
    correlation = cross_correlation(samples, predictor.model.latent_dims[0])
    return {
        "active_units": active,
        "active_units_percent": 100.0 * active / sum(predictor.model.latent_dims),
        "cross_correlation_norm": float(np.linalg.norm(correlation)),
    }


def _loss(predictor: Predictor, block: Block, view: int, z: Any) -> float:
    entries = predictor.log_prob_entries(view, z, block.views[view])
    return -_total(predictor, block, predictor.xp.sum(entries, axis=-1))


def _total(predictor: Predictor, block: Block, per_row: Any) -> float:
    return float(predictor.engine.numpy(per_row)[: block.size].sum(dtype=np.float64))
