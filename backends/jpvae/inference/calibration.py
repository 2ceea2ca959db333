"""How far values lie from their imputations, learned on rows that the networks have not memorised.

The likelihoods' own parameters (a Gaussian's variances, say) that are learned together with networks are those of rows that the
networks know: where columns outnumber rows, 95 % intervals of new rows then cover 80 %. So those that predictions use are
learned on held-out rows, of which each view in turn is hidden and drawn from the others. A parameter theta_c of column c
becomes theta_c + d_c:

    d_view = argmax_d  sum_c L_c(d)
    d_c    = argmax_d  L_c(d) - (d - d_view)^2 / (2 TAU^2)       few rows: near the view's; many: the column's own

    normal noise    L_c(d) = sum_r log t_nu(x_rc; m_rc, V_rc + exp(theta_c + d))            m, V: of the decoded draws' means
    other noise     L_c(d) = sum_r log 1/K sum_k p(x_rc | z_r^k, theta_c + d)

Errors have longer tails than a normal distribution, so that no scale mends 50 % and 95 % intervals both: nu, of the whole
view, is the one of DEGREES with the largest sum of maxima, if that is more than a nat above the normal's. Before all this, the
view's slope is learned from m (predictive.py), and taken where it makes held-out numbers likelier. Categories, counts and the
like have a slope of their own: of SLOPES the largest that is within BELIEVED nats of the likeliest, two standard errors. Of
other noise a last step, d_c + e, finds with which e as many held-out cells as there should be lie in their 95 % interval. All
but the first slope are searched on grids: nothing here can diverge.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..streams import Stream, generator
from .blocks import Rows
from .importance import log_mean_exp
from .predictive import DEGREES, Predictive, Sums, log_density, slopes, sums
from .predictor import ENTRIES, Predictor

LEVEL, DRAWS = 0.95, 79  # ranks 2 to 78 of 79 draws and the truth enclose 95 %
TAU = 0.5
SLOPES, BELIEVED = (1.0, 0.9, 0.75, 0.5, 0.25, 0.0), 2.0
SHIFTS = np.arange(-2.0, 6.0 + 1e-9, 0.25)
WIDER = np.arange(-2.0, 2.0 + 1e-9, 0.125)
_LOWEST = round((DRAWS + 1) * (1.0 - LEVEL) / 2.0)  # the lower rank
_PROPOSED = 16  # K
_CELLS, _FEWEST = 40_000, 20  # of a view, about, that are looked at; and rows


class LeftOut(NamedTuple):
    """Rows that a model has not been trained on: views in the model's units, observed (R, M)."""

    predictor: Predictor
    views: Sequence[Rows]
    observed: np.ndarray


def calibrated(folds: Sequence[LeftOut]) -> dict[str, np.ndarray]:
    """The likelihoods' own parameters, by their names in the layout, as these rows show them; {} where they show nothing.

    folds: of models that differ by the rows which they have not seen. What is seen when a view is hidden: what another row has.
    """
    every = hidden_views(folds)
    found: dict[str, np.ndarray] = {}
    for one, b in zip(every, slopes([one.sums() for one in every]), strict=True):
        found |= one.found(b)
    return found


def hidden_views(folds: Sequence[LeftOut], *, by_patterns: bool = True) -> list[_Hidden]:
    """Each view that some of the rows have, hidden in them. by_patterns: seen is what another row has; else all else."""
    hidden: list[list[_Part]] = [[] for _ in range(folds[0].predictor.model.views)]
    for predictor, views, observed in folds:
        patterns = observed[generator(predictor.seed, Stream.CALIBRATION, 0).permutation(len(observed))]
        for j, parts in enumerate(hidden):
            rows = np.flatnonzero(observed[:, j] & (observed.sum(axis=1) > 1))
            others = np.arange(observed.shape[1]) != j
            seen = observed[rows] & (patterns[rows] if by_patterns else True) & others
            seen = np.where(seen.any(axis=1, keepdims=True), seen, observed[rows] & others)
            if rows.size:
                parts.append(_Part(predictor, j, [view[rows] for view in views], observed[rows], seen))
    return [_Hidden(j, parts) for j, parts in enumerate(hidden) if parts]


class _Part(NamedTuple):
    """Rows of a hidden view that one model has not seen, and what is seen of them."""

    predictor: Predictor
    view: int
    views: Sequence[Rows]
    observed: np.ndarray
    seen: np.ndarray

    def decoded(self, draws: int, most: int) -> Iterator[tuple[Any, Any]]:
        """The decoder's outputs (draws, R, c) and the targets of at most so many rows, as many at a time as fit in memory."""
        predictor, j = self.predictor, self.view
        size = max(1, ENTRIES // (draws * predictor.model.features[j]))
        for block in predictor.blocks(self.views, self.observed[:most]):  # which reads no view further
            seen = np.ones(block.observed.shape, dtype=bool)
            seen[: block.size] = self.seen[block.rows]
            there, fresh = predictor.engine.asarray(seen), predictor.fresh(block, j)
            z = predictor.draw_latents(block, predictor.noise(block), draws, there)[j]
            eps = None if fresh is None else predictor.engine.asarray(fresh.normal(*z.shape[::2]))
            for start in range(0, block.size, size):
                rows = slice(start, min(start + size, block.size))
                some = None if eps is None else eps[:, rows, :]
                yield predictor.outputs(j, z[:, rows, :], there[rows, :], some), block.views[j][rows, :]


class _Hidden:
    """A view of some rows, hidden, and drawn from what else is seen of them."""

    def __init__(self, view: int, parts: Sequence[_Part]) -> None:
        first, own = parts[0].predictor, [part.predictor.own[view] for part in parts]
        self.view, self.parts, self.engine, self.xp = view, parts, first.engine, first.xp
        self.features, self.family = first.model.features[view], first.model.likelihoods[view]
        self.learned = {name: self.engine.numpy(x) for name, x in own[0].items()}
        if len(parts) > 1:  # of several models the mean: each has a part of the rows, which are looked at together
            every = {name: [_double(self.engine.numpy(each[name])) for each in own] for name in self.learned}
            self.learned = {name: np.mean(every[name], axis=0).astype(x.dtype) for name, x in self.learned.items()}
        self.columns = self.family.own_columns(self.features)
        self.normal = _places(self.family.normal_noise(self.features))
        self.other = np.setdiff1d(_places(self.columns), self.normal)

    @cached_property
    def predicted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """``predictions``, uncorrected."""
        return self.predictions()

    def sums(self) -> Sums:
        """Of columns with normal noise (predictive.py)."""
        if not self.normal.size:
            return np.zeros(0), np.zeros(0)
        mean, _, truth, known = self.predicted
        return sums(mean, truth, known)

    def found(self, slope: float) -> dict[str, np.ndarray]:
        """The view's own parameters and what corrects its predictions, by their names."""
        shifts, correction = np.zeros(self.features), Predictive()
        if self.normal.size:
            fit, shifts[self.normal], nu = self.tails(*self.predicted)
            if slope < 1.0:
                better, closer, tails = self.tails(*self._corrected(Predictive(slope)).predictions())
                if better > fit:
                    correction, shifts[self.normal], nu = Predictive(slope), closer, tails
            correction = correction._replace(degrees_of_freedom=nu)
        if len(self.normal) < self.features:
            b = self.slope_of_others()
            correction = correction._replace(slope_of_others=b) if self.normal.size else Predictive(b)
        self.parts = self._corrected(correction).parts
        if self.other.size:
            shifts[self.other] = self.shifts()[self.other]
            shifts[self.other] += self.widening(shifts)
        moved = {name: (self.learned[name] + shifts[at]).astype(self.learned[name].dtype) for name, at in self.columns.items()}
        return {f"likelihood.{self.view}.{name}": x for name, x in moved.items()} | correction.arrays(self.view)

    def slope_of_others(self) -> float:
        """Of the columns without normal noise."""
        found = [self._corrected(Predictive(slope_of_others=b)).rest() for b in SLOPES]
        fits = [fit if math.isfinite(fit) else -math.inf for fit in found]  # where a family's numbers overflow
        return next(b for b, fit in zip(SLOPES, fits, strict=True) if fit >= max(fits) - BELIEVED)

    def _corrected(self, by: Predictive) -> _Hidden:
        """These rows, as models with that correction predict them."""
        other = copy.copy(self)
        other.parts = [p._replace(predictor=p.predictor.corrected(self.view, by)) for p in self.parts]
        return other

    def predictions(self, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of columns with normal noise: the decoded draws' means and variances, the truth, whether it is known, (R, c) each."""
        numbers = self.engine.numpy
        parts = []
        for outputs, native in self._decoded(draws, max(_FEWEST, _CELLS // self.features)):
            means = _double(numbers(self.family.mean(self.xp, outputs, native)))[..., self.normal]
            truth, known = (x[:, self.normal] for x in self.family.cells(numbers(native), self.features))
            parts.append((means.mean(axis=0), means.var(axis=0, ddof=1), _double(truth), known))
        mean, variance, truth, known = (np.concatenate(each) for each in zip(*parts, strict=True))
        return mean, variance, truth, known

    def tails(
        self, mean: np.ndarray, variance: np.ndarray, truth: np.ndarray, known: np.ndarray
    ) -> tuple[float, np.ndarray, float]:
        """The sum of maxima, d_c of the columns with normal noise, and nu; from what ``predictions`` gives."""
        if not known.any():
            return 0.0, np.zeros(len(self.normal)), math.inf
        noise, squares = np.zeros(self.features), (truth - mean) ** 2
        for name, at in self.family.normal_noise(self.features).items():
            noise[at] = self.learned[name]
        best, chosen = -math.inf, (0.0, np.zeros(len(self.normal)), math.inf)
        for nu in DEGREES:
            total = np.zeros((len(SHIFTS), len(self.normal)))
            for k, shift in enumerate(SHIFTS):
                density = log_density(squares, variance + np.exp(noise[self.normal] + shift), nu)
                total[k] = np.where(known, density, 0.0).sum(axis=0)
            shifts, fit = _near(total)
            if fit - (nu < math.inf) > best:
                best, chosen = fit - (nu < math.inf), (fit, shifts, nu)
        return chosen

    def rest(self) -> float:
        """sum log 1/K sum_k p(x_rc | z_r^k, theta_c) over the columns without normal noise: categories, counts and the like."""
        columns, total = np.setdiff1d(np.arange(self.features), self.normal), 0.0
        own = {name: self.engine.asarray(x) for name, x in self.learned.items()}
        for outputs, targets in self._decoded(_PROPOSED, max(_FEWEST, _CELLS // self.features)) if columns.size else ():
            entries = self.family.log_prob(self.xp, outputs, targets, own)
            density = _double(self.engine.numpy(log_mean_exp(self.xp, entries)))
            each = density.shape[1] == self.features  # else a family from elsewhere has an entry for each variable
            total += float(density[:, columns if each else np.unique(self.family.variables(self.features)[columns])].sum())
        return total

    def shifts(self) -> np.ndarray:
        """d_c of the columns with other noise, (c,); 0 of the rest."""
        xp, own = self.xp, {name: self.engine.asarray(x) for name, x in self.learned.items()}
        total = np.zeros((len(SHIFTS), self.features))
        for outputs, targets in self._decoded(_PROPOSED, max(_FEWEST, _CELLS // self.features)):
            for k, shift in enumerate(SHIFTS):
                moved = {name: x + float(shift) for name, x in own.items()}
                density = log_mean_exp(xp, self.family.log_prob(xp, outputs, targets, moved))
                total[k] += self.engine.numpy(density).astype(np.float64).sum(axis=0)
        total = np.where(np.isfinite(total), total, -np.inf)  # a shift under which a family's numbers overflow is never taken
        shifts = np.zeros(self.features)
        if total[:, self.other].any():  # else no cell is there of the columns that learn something: all shifts are as good
            shifts[self.other] = _near(total[:, self.other])[0]
        return shifts

    def widening(self, shifts: np.ndarray) -> float:
        """e: by how much more columns with other noise must be shifted for their intervals to cover ``LEVEL`` of the cells."""
        engine, inside, count = self.engine, np.zeros(len(WIDER)), 0
        learned = self.other
        rng = generator(self.parts[0].predictor.seed, Stream.CALIBRATION, 1, self.view)
        for outputs, native in self._decoded(DRAWS, max(1, _CELLS // self.features)):
            targets = engine.numpy(native)
            truth, known = (x[:, learned] for x in self.family.cells(targets, self.features))
            means = engine.numpy(self.family.mean(self.xp, outputs, native)).astype(np.float64)
            count += int(known.sum())
            for k, wider in enumerate(WIDER):
                own = {name: _double(self.learned[name]) + shifts[at] + wider for name, at in self.columns.items()}
                drawn = self.family.draw_many(means, own, rng)[..., learned]
                rank = (drawn < truth).sum(axis=0) + 0.5 * (drawn == truth).sum(axis=0)
                inside[k] += ((rank >= _LOWEST - 0.5) & (rank <= DRAWS - _LOWEST + 0.5) & known).sum()
        return float(WIDER[np.abs(inside / count - LEVEL).argmin()]) if count else 0.0

    def _decoded(self, draws: int, most: int) -> Iterator[tuple[Any, Any]]:
        """``_Part.decoded`` of every part, of at most so many rows together."""
        for part in self.parts:
            if most > 0:
                yield from part.decoded(draws, most)
            most -= len(part.observed)


def _near(total: np.ndarray) -> tuple[np.ndarray, float]:
    """d_c of each column, near d_view, from L_c(d) (shifts, c); and the sum of the maxima."""
    middle = SHIFTS[total.sum(axis=1).argmax()]
    fits = total - ((SHIFTS - middle) ** 2 / (2.0 * TAU**2))[:, None]
    return SHIFTS[fits.argmax(axis=0)], float(fits.max(axis=0).sum())


def _places(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """All of them, as one array of whole numbers."""
    return np.concatenate([np.zeros(0, dtype=np.intp), *columns.values()])


def _double(x: np.ndarray) -> np.ndarray:
    """As float64."""
    return np.asarray(x, dtype=np.float64)
