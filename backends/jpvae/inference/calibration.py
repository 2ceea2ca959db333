"""How far values lie from their imputations, learned on rows that the networks have not memorised.

The likelihoods' own parameters (a Gaussian's variances, say) that are learned together with networks are those of rows that the
networks know: where columns outnumber rows, 95 % intervals of new rows then cover 80 %. So those that predictions use are
learned on held-out rows, of which each view in turn is hidden and drawn from the others. A parameter theta_c of column c
becomes theta_c + d_c:

    d_view = argmax_d  sum_c L_c(d)                              L_c(d) = sum_r log 1/K sum_k p(x_rc | z_r^k, theta_c + d)
    d_c    = argmax_d  L_c(d) - (d - d_view)^2 / (2 TAU^2)       few rows: near the view's; many: the column's own
    d_c   += e         of the view, with which as many held-out cells as there should be lie in their 95 % interval

The last step is for columns whose residuals have longer tails than the family: there the likelihood chooses intervals that are
too wide. All three are searched on grids: nothing here can diverge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..streams import Stream, generator
from .blocks import Rows
from .predictor import ENTRIES, Predictor, log_mean_exp

LEVEL, DRAWS = 0.95, 79  # ranks 2 to 78 of 79 draws and the truth enclose 95 %
TAU = 0.5
SHIFTS = np.arange(-1.0, 6.0 + 1e-9, 0.25)
WIDER = np.arange(-2.0, 2.0 + 1e-9, 0.125)
_LOWEST = round((DRAWS + 1) * (1.0 - LEVEL) / 2.0)  # the lower rank
_PROPOSED = 16  # K
_CELLS, _FEWEST = 40_000, 20  # of a view, about, that are looked at; and rows


def calibrated(predictor: Predictor, views: Sequence[Rows], observed: np.ndarray) -> dict[str, np.ndarray]:
    """The likelihoods' own parameters, by their names in the layout, as these rows show them; {} where they show nothing.

    views: held-out rows in the model's units; observed (R, M). What is seen when a view is hidden: what another row has.
    """
    found: dict[str, np.ndarray] = {}
    patterns = observed[generator(predictor.seed, Stream.CALIBRATION, 0).permutation(len(observed))]
    for j, family in enumerate(predictor.model.likelihoods):
        columns = family.own_columns(predictor.model.features[j])
        rows = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
        if not columns or not rows.size:
            continue
        others = np.arange(observed.shape[1]) != j
        seen = observed[rows] & patterns[rows] & others
        seen = np.where(seen.any(axis=1, keepdims=True), seen, observed[rows] & others)
        hidden = _Hidden(predictor, j, [view[rows] for view in views], observed[rows], seen)
        shifts = hidden.shifts()
        shifts = shifts + hidden.widening(shifts)
        for name, at in columns.items():
            key = f"likelihood.{j}.{name}"
            learned = predictor.engine.numpy(predictor.p[key])
            found[key] = (learned + shifts[at]).astype(learned.dtype)
    return found


class _Hidden:
    """A view of some rows, hidden, and drawn from what else is seen of them."""

    def __init__(self, predictor: Predictor, view: int, views: Sequence[Rows], observed: np.ndarray, seen: np.ndarray) -> None:
        self.predictor, self.view, self.views, self.observed, self.seen = predictor, view, views, observed, seen
        self.features, self.family = predictor.model.features[view], predictor.model.likelihoods[view]
        self.own = {name: predictor.engine.numpy(x).astype(np.float64) for name, x in predictor.own[view].items()}
        self.columns = self.family.own_columns(self.features)

    def shifts(self) -> np.ndarray:
        """d_c of every column, (c,)."""
        xp, own = self.predictor.xp, self.predictor.own[self.view]
        total, learned = np.zeros((len(SHIFTS), self.features)), np.concatenate(list(self.columns.values()))
        for outputs, targets in self._decoded(_PROPOSED, max(_FEWEST, _CELLS // self.features)):
            for k, shift in enumerate(SHIFTS):
                moved = {name: x + float(shift) for name, x in own.items()}
                density = log_mean_exp(xp, self.family.log_prob(xp, outputs, targets, moved))
                total[k] += self.predictor.engine.numpy(density).astype(np.float64).sum(axis=0)
        total = np.where(np.isfinite(total), total, -np.inf)  # a shift under which a family's numbers overflow is none
        if not total[:, learned].any():  # of the columns that learn something no cell is there: all shifts are as good
            return np.zeros(self.features)
        middle = SHIFTS[total.sum(axis=1).argmax()]
        penalty = (SHIFTS - middle) ** 2 / (2.0 * TAU**2)
        chosen: np.ndarray = SHIFTS[(total - penalty[:, None]).argmax(axis=0)]
        return chosen

    def widening(self, shifts: np.ndarray) -> float:
        """e: by how much more the whole view must be shifted for its intervals to cover ``LEVEL`` of the cells."""
        engine, inside, count = self.predictor.engine, np.zeros(len(WIDER)), 0
        learned = np.concatenate(list(self.columns.values()))
        rng = generator(self.predictor.seed, Stream.CALIBRATION, 1, self.view)
        for outputs, native in self._decoded(DRAWS, max(1, _CELLS // self.features)):
            targets = engine.numpy(native)
            truth, known = (x[:, learned] for x in self.family.cells(targets, self.features))
            means = engine.numpy(self.family.mean(self.predictor.xp, outputs, native)).astype(np.float64)
            count += int(known.sum())
            for k, wider in enumerate(WIDER):
                own = {name: self.own[name] + shifts[at] + wider for name, at in self.columns.items()}
                drawn = self.family.draw_many(means, own, rng)[..., learned]
                rank = (drawn < truth).sum(axis=0) + 0.5 * (drawn == truth).sum(axis=0)
                inside[k] += ((rank >= _LOWEST - 0.5) & (rank <= DRAWS - _LOWEST + 0.5) & known).sum()
        return float(WIDER[np.abs(inside / count - LEVEL).argmin()]) if count else 0.0

    def _decoded(self, draws: int, most: int) -> Iterator[tuple[Any, Any]]:
        """The decoder's outputs (draws, R, c) and the targets of at most so many rows, as many at a time as fit in memory."""
        predictor, j = self.predictor, self.view
        size = max(1, ENTRIES // (draws * self.features))
        for block in predictor.blocks(self.views, self.observed[:most]):  # which reads no view further
            seen = np.ones(block.observed.shape, dtype=bool)
            seen[: block.size] = self.seen[block.rows]
            z = predictor.draw_latents(block, predictor.noise(block), draws, predictor.engine.asarray(seen))[j]
            for start in range(0, block.size, size):
                rows = slice(start, min(start + size, block.size))
                yield predictor.engine.decode(predictor.p, j, z[:, rows, :]), block.views[j][rows, :]
