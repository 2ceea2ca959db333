"""The textbook PyTorch VAE (pytorch/examples, vae/main.py), twice, tied by a joint prior: the upper and lower halves of digits.

The nine lines marked (+) are all that joins the two and teaches each to be filled in from the other; the lines that they
replace stand beside them, marked (-). The number at the end: how much of the lower halves' variance on unseen digits is
explained from the upper halves alone, beside ridge regression.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from torch import nn
from torch.nn import functional as F

import jpvae_core as jc
from jpvae_torch import JointPriorModule

torch.manual_seed(0)
torch.set_num_threads(1)
pixels = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
train, test = pixels[:1400], pixels[1400:]
n = 8


class VAE(nn.Module):
    """As in the textbook, in small."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(32, 128)
        self.fc21 = nn.Linear(128, n)
        self.fc22 = nn.Linear(128, n)
        self.fc3 = nn.Linear(n, 128)
        self.fc4 = nn.Linear(128, 32)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = F.relu(self.fc1(x))
        return self.fc21(h), -F.softplus(self.fc22(h))  # (+) a view alone can only add information: log_var <= 0

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))


def log_prob(x: torch.Tensor, recon: torch.Tensor) -> torch.Tensor:
    return -F.binary_cross_entropy(recon, x.expand_as(recon), reduction="none").sum(-1)


vaes, joint = [VAE(), VAE()], JointPriorModule((n, n))  # (+)
optimizer = torch.optim.Adam([{"params": nn.ModuleList(vaes).parameters()}, *joint.parameter_groups(4e-3)], lr=4e-3)  # (+)
for _ in range(700):
    x = train[torch.randint(len(train), (128,))].chunk(2, dim=1)
    mu, logvar = zip(*(vae.encode(half) for vae, half in zip(vaes, x, strict=True)), strict=True)
    prior = joint()  # (+)
    masks = jc.subsets(prior)  # (+) both halves, the upper alone, the lower alone
    q = jc.fuse(prior, mu, logvar, masks)  # (+)
    z = q.draw(torch.randn(len(masks), 128, q.noise_dim))  # (+)     (-) z = mu + torch.exp(0.5 * logvar) * randn
    log_probs = [log_prob(half, vae.decode(each)) for vae, half, each in zip(vaes, x, z, strict=True)]
    loss = jc.subset_loss(prior, log_probs, q.kl(), masks).mean()  # (+)     (-) loss = BCE + KLD
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    upper, lower = test.chunk(2, dim=1)
    mu, logvar = zip(*(vae.encode(half) for vae, half in zip(vaes, (upper, lower), strict=True)), strict=True)
    imputed = vaes[1].decode(jc.fuse(joint(), mu, logvar, [True, False]).mean()[1])  # (+) the lower halves are not looked at


def explained(guess: torch.Tensor) -> float:
    return float(1 - (guess - lower).square().sum() / (lower - train[:, 32:].mean(0)).square().sum())


ridge = Ridge(10.0).fit(train[:, :32].numpy(), train[:, 32:].numpy()).predict(upper.numpy())
ours, linear = explained(imputed), explained(torch.as_tensor(ridge))
print(f"lower halves from upper halves, variance explained on unseen digits: {ours:.2f} (ridge regression {linear:.2f})")
assert ours > linear + 0.03
