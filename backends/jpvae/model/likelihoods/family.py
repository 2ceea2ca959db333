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

from jpvae_core._array_api import X

from ...errors import ViewError

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Likelihood:
    """A family. Five methods, ``log_prob`` to ``draw``, have no default; the others suit entries without units.

    In the shapes below c is the number of a view's model columns, w that of its target's, N and R numbers of rows, B a batch's.

    Attributes
    ----------
    name : str
    width : int, or None
        c, where the family has a fixed number of columns.
    expects : str
        What ``valid`` asks for, and how to get it.

    Examples
    --------
    The built-in Gaussian, from two rows of data to the likelihood and back:

    >>> import numpy as np
    >>> from jpvae.model.likelihoods import Gaussian
    >>> family, data, observed = Gaussian(), np.asarray([[1.0, 5.0], [3.0, 9.0]]), np.asarray([True, True])
    >>> family.check(data, observed, "clinic")  # family.valid(data), and family.expected(column) for the message
    >>> location, scale = family.scaling(data, observed)
    >>> x = family.targets(data, location, scale)
    >>> x, family.extra(2), family.variables(2)
    (array([[-1., -1.],
           [ 1.,  1.]]), 0, array([0, 1]))
    >>> values, observed = family.cells(x, 2)
    >>> bool((family.inputs(x, location, scale) == x).all()), family.initial_outputs(location, scale)
    (True, array([0., 0.]))
    >>> own, outputs = family.parameters(2), np.zeros((2, 2))  # of a decoder; own belong to family.own_columns(2)
    >>> family.log_prob(np, outputs, x, own).round(4)
    array([[-1.4189, -1.4189],
           [-1.4189, -1.4189]])
    >>> family.log_prob_vjp(np, outputs, x, own, np.ones((2, 1)))[0]
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> mean = family.mean(np, outputs)
    >>> family.to_data(mean, location, scale)[0], family.std_to_data(np.sqrt(family.variance(mean, own)), scale)[0]
    (array([2., 7.]), array([1., 2.]))
    >>> family.draw(mean, own, np.random.default_rng(0)).shape, family.draw_many(mean, own, np.random.default_rng(0)).shape
    ((2, 2), (2, 2))
    >>> family.log_units(scale).round(4), family.normal_noise(2), family.of_levels(2)
    (array([0.    , 0.6931]), {'log_var': array([0, 1])}, array([False, False]))
    """

    name: str
    width: int | None = None  # c, where the family has a fixed number of columns
    expects = "a finite number"  # what ``valid`` asks for, and how to get it

    def extra(self, features: int) -> int:
        """How many columns the target has beyond the model columns: w - c.

        Parameters
        ----------
        features : int

        Returns
        -------
        int
        """
        return 0

    def variables(self, features: int) -> np.ndarray:
        """Which variable each of the model columns belongs to: cells of one variable are empty together.

        Parameters
        ----------
        features : int

        Returns
        -------
        int array (c,)
        """
        return np.arange(features)

    def parameters(self, features: int) -> dict[str, Floats]:
        """Initial values of the likelihood's own parameters, by name.

        Parameters
        ----------
        features : int

        Returns
        -------
        dict of arrays
        """
        return {}

    def own_columns(self, features: int) -> dict[str, np.ndarray]:
        """Which of the model columns each of the own parameters belongs to, by its name: one number for each.

        Parameters
        ----------
        features : int

        Returns
        -------
        dict of int arrays
        """
        return {name: np.arange(features) for name in self.parameters(features)}

    def normal_noise(self, features: int) -> dict[str, np.ndarray]:
        """Those of ``own_columns`` that are the log-variances of normal noise around the mean.

        Parameters
        ----------
        features : int

        Returns
        -------
        dict of int arrays
        """
        return {}

    def of_levels(self, features: int) -> np.ndarray:
        """Which columns have a few levels each, as zeros and ones and categories have: such a cell tells few nats at most.

        Parameters
        ----------
        features : int

        Returns
        -------
        bool array (features,)
        """
        return np.zeros(features, dtype=np.bool_)

    def cells(self, targets: Floats, features: int) -> tuple[Floats, np.ndarray]:
        """The values in a target, and which of them were observed.

        Parameters
        ----------
        targets : array (R, w)
        features : int

        Returns
        -------
        values : array (R, c)
        observed : bool array (R, c)
        """
        return targets[:, :features], np.ones((len(targets), features), dtype=bool)

    def valid(self, values: Floats) -> np.ndarray:
        """Which values can have this likelihood; of NaN, a cell left out, the answer has no effect.

        Parameters
        ----------
        values : array (R, c)

        Returns
        -------
        bool array (R, c)
        """
        return np.ones(values.shape, dtype=bool)

    def expected(self, column: int) -> str:
        """What ``valid`` asks of a column's values, and how to get it.

        Parameters
        ----------
        column : int

        Returns
        -------
        str
        """
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
        """Refuse values that cannot have this likelihood.

        Parameters
        ----------
        values : array (R, c)
        observed : bool array (R,)
        view : str
        rows, labels : sequence, or None
            What the rows and the columns are called; None: their positions.
        advice : str
            The message's last words.

        Raises
        ------
        ViewError
            Naming the view, row and column of the first such value.
        """
        bad = ~self.valid(values) & observed[:, None] & ~np.isnan(values)
        if bad.any():
            row, column = (int(k) for k in np.argwhere(bad)[0])
            called, title = row if rows is None else rows[row], column if labels is None else labels[column]
            found = f"view {view!r}, row {called}, column {title!r} is {values[row, column]:g}"
            raise ViewError(f"{found}; {self.expected(column)}{advice}")

    def scaling(self, values: Floats, observed: np.ndarray) -> tuple[Floats, Floats]:
        """Location and scale from the observed rows.

        Parameters
        ----------
        values : array (N, c)
            NaN where a cell is left out.
        observed : bool array (N,)

        Returns
        -------
        location, scale : arrays (c,)
        """
        return np.zeros(values.shape[1]), np.ones(values.shape[1])

    def targets(self, values: Floats, location: Floats, scale: Floats) -> Floats:
        """The target of data values: (data - location) / scale.

        Parameters
        ----------
        values : array (R, c)
            NaN where nothing was observed.
        location, scale : arrays (c,)

        Returns
        -------
        array (R, w)
        """
        return (values - location) / scale if location.any() or (scale != 1).any() else values

    def inputs(self, targets: Floats, location: Floats, scale: Floats) -> Floats:
        """What the encoder reads of the targets: the same.

        Parameters
        ----------
        targets : array (R, w)
        location, scale : arrays (c,)

        Returns
        -------
        array (R, c)
        """
        return targets

    def to_data(self, mean: Floats, location: Floats, scale: Floats) -> Floats:
        """A mean or a draw in the data's units.

        Parameters
        ----------
        mean : array (..., c)
        location, scale : arrays (c,)

        Returns
        -------
        array (..., c)
        """
        return mean * scale + location

    def std_to_data(self, std: Floats, scale: Floats) -> Floats:
        """A standard deviation in the data's units.

        Parameters
        ----------
        std : array (..., c)
        scale : array (c,)

        Returns
        -------
        array (..., c)
        """
        return std * scale

    def log_units(self, scale: Floats) -> Floats:
        """log |d data / d target|, in nats: a density in the data's units is less than the target's by this.

        Parameters
        ----------
        scale : array (c,)

        Returns
        -------
        array (c,)
        """
        return np.log(scale)

    def initial_outputs(self, location: Floats, scale: Floats) -> Floats:
        """The decoder's last bias when training starts.

        Parameters
        ----------
        location, scale : arrays (c,)

        Returns
        -------
        array (c,)
        """
        return np.zeros(len(location))

    def log_prob(self, xp: Any, outputs: X, x: X, own: Mapping[str, X]) -> X:
        """log p(x | z) of every entry, in nats of the target's units.

        Parameters
        ----------
        xp : array-API namespace
        outputs : array (..., B, c)
            The decoder's.
        x : array (B, w)
            The target.
        own : dict of arrays
            The likelihood's own parameters.

        Returns
        -------
        array (..., B, c)
        """
        raise _lacking(self, "log_prob")

    def log_prob_vjp(self, xp: Any, outputs: X, x: X, own: Mapping[str, X], cotangent: X) -> tuple[X, dict[str, X]]:
        """For engines without autograd: sum of cotangent * log_prob, differentiated in ``outputs`` and in each of ``own``.

        Parameters
        ----------
        xp, outputs, x, own : as for ``log_prob``
        cotangent : array (..., B, c) or (..., B, 1)

        Returns
        -------
        outputs_bar : array (..., B, c)
        own_bar : dict of arrays, shaped as own
        """
        raise _lacking(self, "log_prob_vjp", " or train with backend='torch', which needs none")

    def mean(self, xp: Any, outputs: X, x: X | None = None) -> X:
        """E[x | z] in the target's units.

        Parameters
        ----------
        xp : array-API namespace
        outputs : array (..., B, c)
            The decoder's.
        x : array (B, w), or None
            With the target, rows keep their own size factors.

        Returns
        -------
        array (..., B, c)
        """
        raise _lacking(self, "mean")

    def variance(self, mean: Floats, own: Mapping[str, Floats]) -> Floats:
        """Var[x | z] given the mean, in the target's units squared. A column that is one of a category's levels has p (1 - p).

        Parameters
        ----------
        mean : array (..., B, c)
        own : dict of arrays

        Returns
        -------
        array (..., B, c)
        """
        raise _lacking(self, "variance")

    def draw(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """One draw of x given its mean, in the target's units.

        Parameters
        ----------
        mean : array (..., B, c)
        own : dict of arrays
        rng : Generator

        Returns
        -------
        array (..., B, c)
        """
        raise _lacking(self, "draw")

    def draw_many(self, mean: Floats, own: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
        """As ``draw``, all from one stream of random numbers, for statistics of many draws.

        Parameters
        ----------
        mean : array (..., B, c)
        own : dict of arrays
        rng : Generator

        Returns
        -------
        array (..., B, c)
        """
        return self.draw(mean, own, rng)


def _lacking(family: Likelihood, method: str, instead: str = "") -> NotImplementedError:
    kind = type(family)
    return NotImplementedError(
        f"likelihood {kind.__module__}.{kind.__qualname__} has no method {method}; define it as "
        f"Likelihood.{method} documents it{',' if instead else ''}{instead}"
    )
