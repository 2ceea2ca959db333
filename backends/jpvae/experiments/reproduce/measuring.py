"""What is measured on one trained model, piece by piece; each piece is one small JSON object.

    training     the result of `jpvae hvdmnist`: Tables 1 and 2, predictive measures, -ELBO
    latents      the cross-correlation of sampled training latents (Figure 4); imputation with the moments of training latents
    likelihood   importance-weighted log-likelihoods of test images: joint, marginal, conditional
    bounds       the joint one of them with fewer draws: where it still rises, it is still below the log-likelihood
    digits       one test image of each class, its reconstruction and both imputations (Figures 1, 5, 6, 7)

pieces.py keeps them, with the classifiers of classifiers.py.
"""

from __future__ import annotations

import base64
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import jpvae_core as jc

from ..demo import one_of_each
from ..measures import cross_correlation, decoder_logits, eq12, sampled_latents
from .digits import Split
from .runs import fitted
from .settings import Settings

FEWER_DRAWS = (1, 10, 100)
QUANTITIES = ("joint", "view 1", "view 2", "view 1 given 2", "view 2 given 1")


def latents(folder: Path, train: Split, test: Split) -> dict[str, Any]:
    """{"cross_correlation": (n_1, n_2), "imputation_training_moments": [1|2, 2|1] in nats per test image}."""
    predictor = fitted(folder).predictor()
    n1 = predictor.model.latent_dims[0]
    moments = jc.Moments().update(sampled_latents(predictor, train.views))
    imputed = eq12(sampled_latents(predictor, test.views), moments, n1)
    losses = [cross_entropy(decoder_logits(predictor, j, z), test.views[j]) for j, z in enumerate(imputed)]
    correlation = cross_correlation(moments, n1)
    return {"cross_correlation": np.round(correlation, 5).tolist(), "imputation_training_moments": losses}


def cross_entropy(logits: np.ndarray, x: np.ndarray) -> float:
    """- log p(x) of independent Bernoulli pixels, in nats per image: the mean over rows of sum log(1 + e^l) - x l."""
    l = logits.astype(np.float64)  # noqa: E741
    return float((np.logaddexp(0.0, l) - x * l).sum(axis=1).mean())


def likelihood(folder: Path, test: Split, settings: Settings) -> dict[str, Any]:
    """{quantity: {"mean": nats per image, "standard_error": over images}} and how many images and draws that took.

    The importance-weighted bound of Burda et al. (2016); a conditional is the joint less the marginal, image by image.
    """
    model, views = fitted(folder), [v[: settings.likelihood_images] for v in test.views]
    begin = time.perf_counter()
    seen = {"joint": (True, True), "view 1": (True, False), "view 2": (False, True)}
    rows = {
        name: model.score_samples(views, np.tile(pattern, (len(views[0]), 1)), n_draws=settings.likelihood_draws)
        for name, pattern in seen.items()
    }
    rows |= {"view 1 given 2": rows["joint"] - rows["view 2"], "view 2 given 1": rows["joint"] - rows["view 1"]}
    found: dict[str, Any] = {
        name: {"mean": float(x.mean()), "standard_error": float(x.std(ddof=1) / np.sqrt(len(x)))} for name, x in rows.items()
    }
    return {"images": len(views[0]), "draws": settings.likelihood_draws, "seconds": time.perf_counter() - begin} | found


def bounds(folder: Path, test: Split, settings: Settings) -> dict[str, Any]:
    """{"joint": {draws: nats per image}} of the same images and with the first of the same draws as ``likelihood``'s."""
    model, views = fitted(folder), [v[: settings.likelihood_images] for v in test.views]
    counts = [count for count in FEWER_DRAWS if count < settings.likelihood_draws]
    found = {str(count): float(model.score_samples(views, n_draws=count).mean()) for count in counts}
    return {"images": len(views[0]), "joint": found}


def digits(folder: Path, test: Split) -> dict[str, Any]:
    """One test image of each class: ink, and the probabilities of ink that the model gives, packed (``pack``)."""
    chosen = one_of_each(test.labels)
    predictor = fitted(folder).predictor()
    samples = sampled_latents(predictor, test.views)
    n1 = predictor.model.latent_dims[0]
    imputed = eq12(samples, jc.Moments().update(samples), n1)
    found = {"original": np.concatenate([v[chosen] for v in test.views], axis=1)}
    own = np.split(samples, [n1], axis=1)
    for name, z in (("reconstructed", own), ("imputed", imputed)):
        logits = [decoder_logits(predictor, j, part[chosen]) for j, part in enumerate(z)]
        found[name] = 1 / (1 + np.exp(-np.concatenate(logits, axis=1).astype(np.float64)))
    return {"rows": chosen.tolist()} | {name: pack(x) for name, x in found.items()}


def pack(probabilities: np.ndarray) -> str:
    """(10, 784) numbers between 0 and 1 as 256 levels, compressed, in base64."""
    return base64.b64encode(zlib.compress(np.round(255 * probabilities).astype(np.uint8).tobytes(), 9)).decode()


def unpack(text: str) -> np.ndarray:
    """What ``pack`` packed, (10, 28, 28)."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(-1, 28, 28) / 255
