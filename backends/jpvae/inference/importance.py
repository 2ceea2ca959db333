"""Importance weights: how far a proposal is from the posterior, and draws of the posterior made from draws of the proposal.

With K draws z^k ~ q of weights w_k = p(x, z^k) / q(z^k),

    log p(x) ~ log mean w        standard error about  sqrt( (mean w^2 / (mean w)^2 - 1) / K )       (delta method)
    effective draws              (sum w)^2 / sum w^2                                                 (Kish)

The error is the spread of the weights that were drawn, at most sqrt(1 - 1/K): where they are worth less than two draws it
measures nothing, and is infinite.

Resampling takes draw k with probability w_k / sum w. As K grows the result is a draw of p(z | x), whatever q is. Systematic
resampling lays the weights end to end on a circle and takes what S evenly spaced places meet, the first of them anywhere: each
place alone is uniform, so each of the S draws alone has the weighted law, and draw k is taken S w_k / sum w times but for less
than 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jpvae_core._array_api import X, of_kind

from ..errors import ConfigError, JPVAEWarning
from ..option_values import at_least

_MOST_PROPOSALS = 100_000
COLLAPSED, ENOUGH = 1.5, 8  # effective draws in the middle row, of at least so many
# What "auto" takes: twice as many proposals as draws; a row keeps plain draws where they are worth less (docs/experiments.md).
_PER_DRAW, _FEWEST, _MANY, WORTH = 2, 32, 2_000, 8.0
Proposals = int | Literal["auto"] | None
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Evidence(NamedTuple):
    """Of each row: log p(x) in nats, its Monte Carlo standard error, and how many draws the K weighted ones are worth."""

    log_density: Floats
    error: Floats
    effective_draws: Floats


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Of one block after the other."""
    return Evidence(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def log_mean_exp(xp: Any, values: X) -> X:
    """log of the mean of exp(values) over the first axis, without overflow."""
    top = xp.max(values, axis=0)
    return of_kind(values, top + xp.log(xp.mean(xp.exp(values - top), axis=0)))


class Weights:
    """Sums of weights over draws that come in groups; log space throughout, so that nothing overflows."""

    def __init__(self, rows: int) -> None:
        self._count, self._sum, self._squares = 0, np.full(rows, -np.inf), np.full(rows, -np.inf)

    def add(self, log_weights: Floats) -> None:
        """Add draws (S, R)."""
        self._count += len(log_weights)
        self._sum = np.logaddexp(self._sum, np.logaddexp.reduce(log_weights, axis=0))
        self._squares = np.logaddexp(self._squares, np.logaddexp.reduce(2.0 * log_weights, axis=0))

    def evidence(self) -> Evidence:
        """What they come to."""
        effective = np.exp(2.0 * self._sum - self._squares)
        spread = np.maximum(self._count / effective - 1.0, 0.0)
        error = np.where(effective < 2.0 - 1e-9, np.inf, np.sqrt(spread / self._count))
        return Evidence(self._sum - np.log(self._count), error, effective)


class Resampling:
    """Draws of the posterior out of weighted ones, and what these were worth in every row that was asked for.

    proposals: how many; None for "auto": as many as pay, of rows that lack cells of a view that is there.
    """

    def __init__(self, proposals: int | None) -> None:
        self._proposals, self._most = proposals, 0
        self._effective: list[Floats] = []

    def rows(self, lacking: np.ndarray) -> np.ndarray:
        """Which rows may be resampled. lacking: (R,), whether cells are missing of an observed view."""
        return lacking if self._proposals is None else np.ones_like(lacking)

    def proposals(self, draws: int) -> int:
        """How many for so many draws."""
        return max(_FEWEST, min(_PER_DRAW * draws, _MANY)) if self._proposals is None else self._proposals

    def take(self, log_weights: Floats, uniform: Floats, draws: int, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``resample``, and which rows' weights are worth it (R,). asked: which of the real rows may be resampled."""
        weights = Weights(log_weights.shape[1])
        weights.add(log_weights)
        effective = weights.evidence().effective_draws
        self._effective.append(effective[: len(asked)][asked])
        self._most = max(self._most, len(log_weights))
        return resample(log_weights, uniform, draws), effective >= (WORTH if self._proposals is None else 0.0)

    def warn(self) -> None:
        """Warn where the weights collapsed, of all rows or, by default, of those that lack cells."""
        if self._effective:
            alone = "the rows that lack single cells keep the encoders' own draws. Take proposals by the thousand"
            asked = "the imputations hang on single draws. Take more proposals"
            consequence = alone if self._proposals is None else asked
            warn_of_collapse(np.concatenate(self._effective), self._most, consequence)


def resample(log_weights: Floats, uniform: Floats, draws: int) -> np.ndarray:
    """Which of K draws to take, (draws, R), each draw k about draws * w_k / sum w times (systematic resampling).

    log_weights: (K, R); uniform: (R,), a number in [0, 1) for each row.
    """
    w = np.exp(log_weights - log_weights.max(axis=0))
    reached = np.cumsum(w, axis=0)
    reached /= reached[-1]
    places = (np.arange(draws)[:, None] / draws + uniform) % 1.0
    return np.stack([np.searchsorted(reached[:, r], places[:, r], side="right") for r in range(w.shape[1])], axis=1)


def warn_of_collapse(effective: Floats, draws: int, consequence: str) -> None:
    """Warn where in most rows one weight stands for nearly all: the result is then the proposal's own."""
    low = float(np.median(effective))
    if draws >= ENOUGH and low < COLLAPSED:
        warnings.warn(
            f"importance weights have collapsed: in the middle row {draws} draws are worth {low:.1f}. The encoders' "
            f"posterior is far from the model's own here, so {consequence}, or train longer.",
            JPVAEWarning,
            stacklevel=4,
        )


def resampling_of(proposals: Proposals, method: str = "predictive") -> Resampling | None:
    """Of the option ``proposals``. Raises ConfigError."""
    if isinstance(proposals, str) and proposals == "auto":
        return None if method == "plug-in" else Resampling(None)
    if proposals is None:
        return None
    if method == "plug-in":
        raise ConfigError("proposals needs method='predictive': a plug-in imputation draws nothing")
    if isinstance(proposals, str):
        raise ConfigError(f"proposals is {proposals!r}; expected 'auto', a whole number or None")
    if at_least("proposals", proposals, 2) > _MOST_PROPOSALS:
        raise ConfigError(
            f"proposals is {proposals}; expected at most {_MOST_PROPOSALS:,}: their weights are kept for every row"
        )
    return Resampling(int(proposals))


def warn(resampling: Resampling | None) -> None:
    """``Resampling.warn``, where there is resampling."""
    if resampling is not None:
        resampling.warn()
