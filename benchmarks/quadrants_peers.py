"""PEERS, not part of the project: what fills quadrants of images beside JPVAE, written as a typical user of PyTorch would.

Regressors   a network per pattern of seen quadrants O, from them to the hidden ones
CVAE         one conditional VAE for all patterns (Sohn, Lee and Yan 2015; arbitrary patterns: Ivanov, Figurnov and Vetrov
             2019): prior p(z | x_O, O), posterior q(z | x, O), decoder p(x | z, x_O, O), with 0 where pixels are hidden
MoPoE        a VAE per quadrant over one z (Sutter, Daunhawer and Vogt 2021): q(z | x) is the mixture over the 15 subsets O of
             the products of N(0, I) and q(z | x_i), i in O; its KL is bounded by the mean of the products' KLs

Pixels are in [0, 1], the loss is binary cross-entropy, Adam with a cosine schedule and batches of 128.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, pairwise, product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

VIEWS, PIXELS, BATCH = 4, 196, 128
PATTERNS = [seen for seen in product((True, False), repeat=VIEWS) if any(seen) and not all(seen)]  # all 14
SUBSETS = [(True,) * VIEWS, *PATTERNS]


def perceptron(*sizes: int) -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers = chain.from_iterable((nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes))
    return nn.Sequential(*list(layers)[:-1])


def train(network: nn.Module, loss: Callable[[Tensor], Tensor], x: Tensor, *, steps: int, rate: float, seed: int) -> None:
    """``steps`` of Adam on the mean of ``loss`` over batches of the rows of x (N, 4, 196)."""
    rows = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(x[torch.randint(len(x), (BATCH,), generator=rows).to(x.device)]).backward()
        optimiser.step()
        schedule.step()


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Nats of every pixel."""
    return binary_cross_entropy_with_logits(logits, x, reduction="none")


def gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a network's outputs."""
    mean, log_var = outputs.chunk(2, dim=-1)
    return mean, log_var.clamp(-12.0, 12.0)


def drawn(mean: Tensor, log_var: Tensor, draws: Sequence[int] = ()) -> Tensor:
    """Draws (*draws, ...) by reparameterisation."""
    return mean + torch.exp(0.5 * log_var) * torch.randn(*draws, *mean.shape, device=mean.device)


class Regressors(nn.Module):
    """A network per pattern."""

    def __init__(self, hidden: Sequence[int]) -> None:
        super().__init__()
        sizes = [(PIXELS * sum(seen), *hidden, PIXELS * (VIEWS - sum(seen))) for seen in PATTERNS]
        self.networks = nn.ModuleList(perceptron(*each) for each in sizes)

    def fit(self, x: Tensor, *, steps: int, rate: float, seed: int) -> None:
        """Each network on so many steps of its own."""
        for seen, network in zip(PATTERNS, self.networks, strict=True):
            there = torch.tensor(seen)

            def loss(rows: Tensor, there: Tensor = there, network: nn.Module = network) -> Tensor:
                return cross_entropy(network(rows[:, there].flatten(1)), rows[:, ~there].flatten(1)).sum(-1).mean()

            train(network, loss, x, steps=steps, rate=rate, seed=seed)

    @torch.no_grad()
    def probabilities(self, x: Tensor, seen: tuple[bool, ...], draws: int) -> Tensor:
        """Of the hidden pixels, (1, R, hidden): the pixels are independent given those that are seen, so there is one draw."""
        given = x[:, torch.tensor(seen)].flatten(1)
        return torch.sigmoid(self.networks[PATTERNS.index(seen)](given))[None]


class CVAE(nn.Module):
    """One network for all patterns."""

    def __init__(self, latents: int, hidden: Sequence[int]) -> None:
        super().__init__()
        given = VIEWS * PIXELS + VIEWS
        self.prior = perceptron(given, *hidden, 2 * latents)
        self.encoder = perceptron(given, *hidden, 2 * latents)
        self.decoder = perceptron(latents + given, *hidden, VIEWS * PIXELS)

    def fit(self, x: Tensor, *, steps: int, rate: float, seed: int) -> None:
        """A pattern at random for every row of every batch."""
        patterns = torch.tensor(PATTERNS, device=x.device)

        def loss(rows: Tensor) -> Tensor:
            seen = patterns[torch.randint(len(patterns), (len(rows),), device=x.device)]
            given = self.given(rows, seen)
            mean, log_var = gaussian(self.encoder(torch.cat([rows.flatten(1), seen.float()], -1)))
            prior_mean, prior_log_var = gaussian(self.prior(given))
            ratio = torch.exp(log_var - prior_log_var)
            kl = 0.5 * (ratio + (mean - prior_mean) ** 2 * torch.exp(-prior_log_var) - 1.0 - torch.log(ratio)).sum(-1)
            logits = self.decoder(torch.cat([drawn(mean, log_var), given], -1)).reshape(rows.shape)
            return ((cross_entropy(logits, rows).sum(-1) * ~seen).sum(-1) + kl).mean()

        train(self, loss, x, steps=steps, rate=rate, seed=seed)

    @staticmethod
    def given(x: Tensor, seen: Tensor) -> Tensor:
        """Pixels that are seen, zeros elsewhere, and which they are."""
        return torch.cat([(x * seen[..., None]).flatten(1), seen.float()], -1)

    @torch.no_grad()
    def probabilities(self, x: Tensor, seen: tuple[bool, ...], draws: int) -> Tensor:
        """Of the hidden pixels, (draws, R, hidden)."""
        there = torch.tensor(seen, device=x.device)
        given = self.given(x, there.expand(len(x), VIEWS))
        z = drawn(*gaussian(self.prior(given)), [draws])
        logits = self.decoder(torch.cat([z, given.expand(draws, *given.shape)], -1))
        return torch.sigmoid(logits.reshape(draws, *x.shape)[:, :, ~there].flatten(2))


class MoPoE(nn.Module):
    """A VAE per quadrant over one z."""

    def __init__(self, latents: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(perceptron(PIXELS, *hidden, 2 * latents) for _ in range(VIEWS))
        self.decoders = nn.ModuleList(perceptron(latents, *reversed(hidden), PIXELS) for _ in range(VIEWS))

    def experts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (4, R, n) of each quadrant's encoder."""
        parts = [gaussian(encoder(x[:, i])) for i, encoder in enumerate(self.encoders)]
        return torch.stack([mean for mean, _ in parts]), torch.stack([log_var for _, log_var in parts])

    def fit(self, x: Tensor, *, steps: int, rate: float, seed: int) -> None:
        """z of one component of the mixture for every row, all views decoded from it."""
        subsets = torch.tensor(SUBSETS, device=x.device)

        def loss(rows: Tensor) -> Tensor:
            mean, log_var = products(*self.experts(rows), subsets)  # (15, R, n)
            kl = 0.5 * (torch.exp(log_var) + mean**2 - 1.0 - log_var).sum(-1).mean(0)
            every, one = torch.arange(len(rows)), torch.randint(len(subsets), (len(rows),))
            logits = self.decode(drawn(mean[one, every], log_var[one, every]))
            return (cross_entropy(logits, rows).sum((-1, -2)) + kl).mean()

        train(self, loss, x, steps=steps, rate=rate, seed=seed)

    def decode(self, z: Tensor) -> Tensor:
        """Logits (..., 4, 196)."""
        return torch.stack([decoder(z) for decoder in self.decoders], -2)

    @torch.no_grad()
    def probabilities(self, x: Tensor, seen: tuple[bool, ...], draws: int) -> Tensor:
        """Of the hidden pixels, (draws, R, hidden): z from the product of the quadrants that are seen."""
        there = torch.tensor(seen, device=x.device)
        mean, log_var = products(*self.experts(torch.where(there[:, None], x, 0.0)), there[None])
        z = drawn(mean[0], log_var[0], [draws])
        logits = [decoder(z) for decoder, known in zip(self.decoders, seen, strict=True) if not known]
        return torch.sigmoid(torch.cat(logits, -1))


def products(mean: Tensor, log_var: Tensor, subsets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance (K, R, n) of N(0, I) times the experts (M, R, n) in each of the subsets (K, M)."""
    inside = subsets.to(mean.dtype)
    precision = torch.exp(-log_var)
    total = 1.0 + torch.einsum("km,mrn->krn", inside, precision)
    return torch.einsum("km,mrn->krn", inside, precision * mean) / total, -torch.log(total)


MAKE: dict[str, Callable[..., Any]] = {"regressor": Regressors, "cvae": CVAE, "mopoe": MoPoE}
