"""Your own pair of VAEs in PyTorch, tied by a joint prior: what changes is the KL term, and what you gain is imputation.

The two networks below stand for yours. The lines marked (1) to (5) are all that the joint prior needs.
"""

import torch

import jpvae_core as jc

torch.manual_seed(0)
torch.set_num_threads(1)
n, rows = 4, 2048
source = torch.randn(rows, 3)
views = [torch.tanh(source @ torch.randn(3, 10)) + 0.05 * torch.randn(rows, 10) for _ in range(2)]


class VAE(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2 * n))
        self.decoder = torch.nn.Sequential(torch.nn.Linear(n, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


vaes = [VAE(), VAE()]
skew = torch.nn.Parameter(torch.zeros(n * (n - 1) // 2))  # (1) free parameters of the rotation
adam = torch.optim.Adam([*vaes[0].parameters(), *vaes[1].parameters(), skew], lr=3e-3)

for _ in range(400):
    means, log_vars = zip(*(vae.encoder(x).chunk(2, dim=-1) for vae, x in zip(vaes, views, strict=True)), strict=True)
    prior = jc.JointPrior.orthogonal(jc.orthogonal(skew, n), alpha=0.95)  # (2) C = 0.95 * rotation
    kl = jc.kl_divergence(prior, means, log_vars)  # (3) in place of the sum of the two KLs, (rows,)
    z = [jc.reparameterize(m, v, torch.randn_like(m)) for m, v in zip(means, log_vars, strict=True)]
    errors = [(vae.decoder(zi) - x).square().sum(-1) / 0.02 for vae, zi, x in zip(vaes, z, views, strict=True)]
    loss = (0.5 * sum(errors) + kl).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()

with torch.no_grad():
    first_only = torch.tensor([True, False])
    _, z2 = jc.conditional_mean(prior, means, first_only)  # (4) view 2's latents, from view 1 alone
    imputed = vaes[1].decoder(z2)  # (5) the missing view
    error, spread = (imputed - views[1]).square().mean(), views[1].var()
print(f"view 2 imputed from view 1: {100 * (1 - error / spread):.0f} % of its variance explained")
assert error < 0.5 * spread
