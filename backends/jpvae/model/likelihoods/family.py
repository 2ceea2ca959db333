"""What a family of distributions p(x | z) is to the model, the engines and the estimator; a family changes what differs.

    outputs (..., B, c)    what the decoder gives for a view of c model columns
    x (B, w)               the target: the c columns, then ``extra`` more, what the family needs of a row (counts: size factor)
    location, scale (c,)   how the encoder's input is standardised; for measurements the target too

``targets`` and ``inputs`` are made once, in NumPy, before training. ``log_prob``, ``log_prob_vjp`` and ``mean`` are written
over the array API, so that every engine shares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ViewError

Array = Any
Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Likelihood:
    """A family. Five methods, ``log_prob`` to ``draw``, have no default; the others suit entries without units."""

    name: str
    width: int | None = None  # c, where the family has a fixed number of columns
    expects = "a finite number"  # what ``valid`` asks for, and how to get it

    def extra(self, features: int) -> int:
        """How many columns the target has beyond the ``features`` model columns."""
        return 0

    def variables(self, features: int) -> np.ndarray:
        """Which variable each of the ``features`` model columns belongs to, (c,): cells of one variable are empty together."""
        return np.arange(features)

    def parameters(self, features: int) -> dict[str, Floats]:
        """Initial values of the likelihood's own parameters, by name."""
        return {}

    def own_columns(self, features: int) -> dict[str, np.ndarray]:
        """Which of the model columns each of the own parameters belongs to, by its name: one number for each."""
        return {name: np.arange(features) for name in self.parameters(features)}

    def cells(self, targets: Floats, features: int) -> tuple[Floats, np.ndarray]:
        """The values in a target (R, w), (R, c), and which of them were observed."""
        return targets[:, :features], np.ones((len(targets), features), dtype=bool)

    def valid(self, values: Floats) -> np.ndarray:
        """Which values (R, c) can have this likelihood; of NaN, a cell left out, the answer has no effect."""
        return np.ones(values.shape, dtype=bool)

    def expected(self, column: int) -> str:
        """What ``valid`` asks of a column's values, and how to get it."""
        return self.expects

    def check(
        self,
        values: Floats,
        observed: np.ndarray,
        view: str,
        rows: Sequence[Any] | None = None,
        labels: Sequence[Any] | None = None,
        advice: str = "",
    ) -> None:
        """Raise ViewError, naming the view, row and column of the first value that cannot have this likelihood.

        values (R, c); observed (R,) bool; rows, labels: what the rows and the columns are called (else: by position); advice:
        the message's last words.
        """
        bad = ~self.valid(values) & observed[:, None] & ~np.isnan(values)
        if bad.any():
            row, column = (int(k) for k in np.argwhere(bad)[0])
            called, title = row if rows is None else rows[row], column if labels is None else labels[column]
            found = f"view {view!r}, row {called}, column {title!r} is {values[row, column]:g}"
            raise ViewError(f"{found}; {self.expected(column)}{advice}")

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Location and scale (c,) from the observed rows of values (N, c), NaN where a cell is left out."""
        return np.zeros(values.shape[1]), np.ones(values.shape[1])

    def targets(self, values: Floats, location: Floats, scale: Floats) -> Floats:
        """The target (R, w) of data values (R, c), NaN where nothing was observed: (data - location) / scale."""
        return (values - location) / scale if location.any() or (scale != 1).any() else values

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """What the encoder reads, (R, c), of the targets (R, w): the same."""
        return targets

    def to_data(self, mean: Floats, location: Floats, scale: Floats) -> Floats:
        """A mean or a draw (..., c) in the data's units."""
        return mean * scale + location

    def std_to_data(self, std: Floats, scale: Floats) -> Floats:
        """A standard deviation (..., c) in the data's units."""
        return std * scale

    def log_units(self, scale: Floats) -> Floats:
        """log |d data / d target| (c,), in nats: a density in the data's units is less than the target's by this."""
        return np.log(scale)

    def initial_outputs(self, location: Floats, scale: Floats) -> Floats:
        """The decoder's last bias (c,) when training starts."""
        return np.zeros(len(location))

    def log_prob(self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array]) -> Array:
        """log p(x | z) of every entry, in nats of the target's units: outputs (..., B, c), x (B, w) -> (..., B, c)."""
        raise NotImplementedError

    def log_prob_vjp(
        self, xp: Any, outputs: Array, x: Array, own: Mapping[str, Array], cotangent: Array
    ) -> tuple[Array, dict[str, Array]]:
        """For engines without autograd: sum of cotangent * log_prob, differentiated in ``outputs`` and in each of ``own``.

        outputs (..., B, c), x (B, w), cotangent (..., B, c) or (..., B, 1) -> outputs_bar (..., B, c), own_bar, shaped as own.
        """
        raise NotImplementedError

    def mean(self, xp: Any, outputs: Array, x: Array | None = None) -> Array:
        """E[x | z] in the target's units: (..., B, c) -> (..., B, c). Given x (B, w), rows keep their own size factors."""
        raise NotImplementedError

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """Var[x | z] given the mean: (..., B, c) -> (..., B, c), in the target's units squared. A column that is one of a
        category's levels has p (1 - p)."""
        raise NotImplementedError

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """One draw of x given its mean: (..., B, c) -> (..., B, c), in the target's units."""
        raise NotImplementedError

    def draw_many(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """As ``draw``, all from one stream of random numbers, for statistics of many draws."""
        return self.draw(mean, own, rng)


def over_rows(xp: Any, entries: Array) -> Array:
    """(..., B, c) -> (c,): a feature's own parameter serves all rows."""
    return xp.sum(entries, axis=tuple(range(entries.ndim - 1)))


def observed_moments(values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
    """Mean and standard deviation (c,) of the observed cells of values (N, c), float64; a constant column keeps scale 1."""
    rows = values[observed].astype(np.float64)
    seen = ~np.isnan(rows)
    where: Any = True if seen.all() else seen  # NumPy adds in another order where there is something to leave out
    scale = rows.std(axis=0, where=where)
    # Where nothing varies, the deviation may be a rounding error instead of 0.
    varies = rows.max(axis=0, where=where, initial=-np.inf) != rows.min(axis=0, where=where, initial=np.inf)
    return rows.mean(axis=0, where=where), np.where(varies & (scale > 0), scale, 1.0)
