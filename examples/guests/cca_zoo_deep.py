"""cca_zoo: a deep model of that library whose views' latents are coupled by a joint prior, beside its deep variational CCA.

A subclass of ``BaseDeep`` with ``loss`` and ``forward``; encoders, data set, logging and checkpoints are cca_zoo's and
Lightning's. One model imputes either half of a digit from the other, where DVCCA encodes the first half only. The numbers:
variance of the halves of unseen digits explained from the other halves; and the canonical correlation of the encodings.
"""

import logging
import warnings

import lightning.pytorch as pl
import torch
from cca_zoo.deep import DVCCA, BaseDeep, MultiviewDataset
from cca_zoo.linear import CCA
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

import jpvae_core as jc
from jpvae_torch import JointPriorModule

n = 8


class JointPriorCCA(BaseDeep):
    """One latent space for each view, coupled by a learned joint prior; the subset objective with the fused posterior.

    Each encoder returns 2 * n_components outputs, as those of DVCCA do, and views have unit variance around what is decoded.
    """

    def __init__(
        self, n_components: int, encoders: list[nn.Module], decoders: list[nn.Module], learning_rate: float = 1e-3
    ) -> None:
        super().__init__(n_components, encoders, learning_rate)
        self.decoders = nn.ModuleList(decoders)
        self.prior = JointPriorModule([n_components] * len(encoders))

    def posterior(self, views, masks):
        """Of all views' latents given those that are observed. A view can only add information: log-variances below 0."""
        means, raw = zip(*(encoder(x).chunk(2, dim=1) for encoder, x in zip(self.encoders, views, strict=True)), strict=True)
        return jc.fuse(self.prior(), means, [-nn.functional.softplus(r) for r in raw], masks)

    def forward(self, views):
        """The encoding of each view: the posterior mean of its latents given that view alone."""
        return [self._checked(self.given(views, i)[i]) for i in range(len(views))]

    def given(self, views, seen):
        """Posterior means of all views' latents from one view."""
        return self.posterior(views, [i == seen for i in range(len(views))]).mean()

    def loss(self, batch):
        views = batch["views"]
        masks = jc.subsets(jc.JointPrior.independent([self.n_components] * len(views)))  # all views, then each alone
        q = self.posterior(views, masks)
        z = q.draw(torch.randn(len(masks), len(views[0]), q.noise_dim))
        log_probs = [
            -(decoder(each) - x).square().sum(-1) / 2 for decoder, each, x in zip(self.decoders, z, views, strict=True)
        ]
        objective = jc.subset_loss(q.prior, log_probs, q.kl(), masks).mean()
        return {"objective": objective, "kl": q.kl()[0].mean(), "reconstruction": -sum(x[0] for x in log_probs).mean()}

    def configure_optimizers(self):
        """cca_zoo's Adam, with the prior's correlations at a tenth of the rate."""
        networks = {"params": [*self.encoders.parameters(), *self.decoders.parameters()]}
        return torch.optim.Adam([networks, *self.prior.parameter_groups(self.learning_rate)], lr=self.learning_rate)


def network(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 128), nn.ReLU(), nn.Linear(128, n_out))


def trained(model):
    options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    pl.Trainer(max_epochs=30, accelerator="cpu", **options).fit(model, DataLoader(train, batch_size=128, shuffle=True))
    return model.eval()


warnings.filterwarnings("ignore", "The .* does not have many workers|You defined a `validation_step`|`isinstance")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)
pixels = torch.tensor(load_digits().data / 16.0, dtype=torch.float32) / 0.2  # so that noise of deviation 0.2 is of variance 1
seen, unseen = (list(x.chunk(2, dim=1)) for x in (pixels[:1400], pixels[1400:]))
train = MultiviewDataset(seen)


def explained(guess, which):
    return float(1 - (guess - unseen[which]).square().sum() / (unseen[which] - seen[which].mean(0)).square().sum())


pl.seed_everything(0, verbose=False)
model = trained(JointPriorCCA(n, [network(32, 2 * n) for _ in "12"], [network(n, 32) for _ in "12"], learning_rate=6e-3))
pl.seed_everything(0, verbose=False)
theirs = trained(DVCCA(n, network(32, 2 * n), [network(n, 32) for _ in "12"], learning_rate=6e-3))
with torch.no_grad():
    lower, upper = (explained(model.decoders[i](model.given(unseen, 1 - i)[i]), i) for i in (1, 0))
    dvcca = explained(theirs.decoders[1](theirs(unseen)[0]), 1)
    codes = [[z.numpy() for z in model(halves)] for halves in (seen, unseen)]
correlation = CCA(n_components=1).fit(codes[0]).score(codes[1])
print(f"lower from upper halves, variance explained: {lower:.2f} (DVCCA {dvcca:.2f}); upper from lower: {upper:.2f}")
print(f"first canonical correlation of the encodings of unseen digits: {correlation:.2f}")
# Seeds 0 and 1: 0.43, 0.43, 0.92 and 0.42, 0.41, 0.91, where DVCCA has 0.43 and 0.42.
assert min(lower, upper, correlation - 0.4) > dvcca - 0.04
