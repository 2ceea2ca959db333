"""MultiVae: the joint prior as a model class in that library's own idiom, trained by its trainer on an incomplete data set.

A config, ``forward`` with the loss, ``encode`` with ``cond_mod``: everything else (predict, save, samplers) is MultiVae's.
Halves of digits, a quarter of them missing; MoPoE and MVTCAE with the same networks, data and trainer beside it. The number:
variance of the lower halves of unseen digits explained from the upper halves.
"""

import logging
import os
import tempfile

os.environ["TQDM_DISABLE"] = "1"  # before tqdm is imported

import numpy as np
import torch
from multivae.data.datasets.base import IncompleteDataset, MultimodalBaseDataset
from multivae.models import MVTCAE, MoPoE, MoPoEConfig, MVTCAEConfig
from multivae.models.base import BaseMultiVAE, BaseMultiVAEConfig
from multivae.trainers import BaseTrainer, BaseTrainerConfig
from pydantic.dataclasses import dataclass
from pythae.models.base.base_utils import ModelOutput
from sklearn.datasets import load_digits

import jpvae_core as jc
from jpvae_torch import JointPriorModule


@dataclass
class JointPriorConfig(BaseMultiVAEConfig):
    prior: str = "canonical"
    alpha: float = 0.95


class JointPriorVAE(BaseMultiVAE):
    """One latent space per modality, coupled by a learned joint prior; the subset objective with the fused posterior."""

    def __init__(self, config, encoders=None, decoders=None):
        super().__init__(config, encoders, decoders)
        self.model_name = "JointPriorVAE"
        self.joint = JointPriorModule(dict.fromkeys(self.encoders, config.latent_dim), config.prior, config.alpha)

    def posterior(self, data, prior, masks):
        """Fused from the modalities that data holds; the others are missing."""
        like = next(iter(data.values()))
        means, log_vars = {}, {}
        for name, encoder in self.encoders.items():
            if name in data:
                found = encoder(data[name])
                means[name], log_vars[name] = found.embedding, -torch.nn.functional.softplus(found.log_covariance)
            else:
                means[name] = log_vars[name] = like.new_zeros(len(like), self.latent_dim)
        return jc.fuse(prior, means, log_vars, masks)

    def forward(self, inputs, **kwargs):
        prior = self.joint()
        masks = jc.subsets(prior, getattr(inputs, "masks", None))
        q = self.posterior(inputs.data, prior, masks)
        z, rows = q.draw(torch.randn(*masks.shape[:1], len(next(iter(inputs.data.values()))), q.noise_dim)), {}
        for name, x in inputs.data.items():
            decoded = self.decoders[name](z[name].reshape(-1, self.latent_dim)).reconstruction.reshape(
                *z[name].shape[:2], *x.shape[1:]
            )
            rows[name] = self.recon_log_probs[name](decoded, x.expand_as(decoded)).flatten(2).sum(-1)
        loss = jc.subset_loss(prior, rows, q.kl(), masks)
        return ModelOutput(loss=loss.mean(), loss_sum=loss.sum(), metrics={"joint_divergence": q.kl()[0].sum()})

    def encode(self, inputs, cond_mod="all", N=1, return_mean=False, **kwargs):
        given = super().encode(inputs, cond_mod, N, **kwargs).cond_mod
        q = self.posterior(
            {name: inputs.data[name] for name in given}, self.joint(), {name: name in given for name in self.encoders}
        )
        rows = len(inputs.data[given[0]])
        z = q.mean() if return_mean else q.draw(torch.randn(N, rows, q.noise_dim))
        z = {name: x.reshape(-1, self.latent_dim) for name, x in z.items()}
        return ModelOutput(z=z[given[0]], one_latent_space=False, modalities_z=z)

    def decode(self, embedding, modalities="all"):
        names = list(self.decoders) if modalities == "all" else [modalities] if isinstance(modalities, str) else modalities
        return ModelOutput({name: self.decoders[name](embedding.modalities_z[name]).reconstruction for name in names})


def dataset(pixels, masks=None):
    halves = dict(zip(("upper", "lower"), torch.split(pixels, 32, dim=1), strict=True))
    if masks is None:
        return MultimodalBaseDataset(halves)
    return IncompleteDataset({k: x * masks[k][:, None] for k, x in halves.items()}, masks)


def explained(model, test, centre):
    lower = test.data["lower"]
    with torch.no_grad():
        guess = model.predict(test, cond_mod="upper", gen_mod="lower", return_mean=True).lower
    return float(1 - (guess - lower).square().sum() / (lower - centre).square().sum())


logging.disable(logging.WARNING)  # of every epoch
torch.set_num_threads(1)
pixels = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
train, test = pixels[:1400], dataset(pixels[1400:])
missing = np.random.default_rng(0).choice(3, size=1400, p=(0.75, 0.125, 0.125))
masks = {"upper": torch.tensor(missing != 1), "lower": torch.tensor(missing != 2)}
kinds = {JointPriorVAE: JointPriorConfig, MoPoE: MoPoEConfig, MVTCAE: MVTCAEConfig}
shared = {
    "n_modalities": 2,
    "latent_dim": 8,
    "input_dims": {"upper": (32,), "lower": (32,)},
    "decoders_dist": dict.fromkeys(("upper", "lower"), "normal"),
    "decoder_dist_params": {name: {"scale": 0.2} for name in ("upper", "lower")},
}
found = {}
for kind, config in kinds.items():
    torch.manual_seed(0)
    model = kind(config(**shared))
    with tempfile.TemporaryDirectory() as folder:
        options = {"per_device_train_batch_size": 128, "num_epochs": 30, "learning_rate": 3e-3, "no_cuda": True, "seed": 0}
        BaseTrainer(model, dataset(train, masks), training_config=BaseTrainerConfig(output_dir=folder, **options)).train()
    found[model.model_name] = explained(model, test, train[masks["lower"], 32:].mean(0))
print("lower halves from upper halves, variance explained:", {name: round(x, 2) for name, x in found.items()})
assert found["JointPriorVAE"] > max(0.25, found["MoPoE"] - 0.02, found["MVTCAE"] - 0.02)
