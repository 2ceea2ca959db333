"""Whether hidden layers have learned their rows by heart, as rows that they have not seen show.

Beside a linear path the last hidden layer's weights are multiplied by g = 3/4, 1/2, 1/4, 0: the held-out views are predicted
again, and the squared errors of their columns with normal noise are compared, in shares of the view's mean. Were all that the
layers say true of other rows too, the errors would rise. The g is taken whose mean change of the errors is lowest, two standard
errors over rows added to it: layers are believed until they are shown wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model.model import Model
from .calibration import LeftOut, hidden_views
from .predictor import Predictor

SHARES = (0.75, 0.5, 0.25, 0.0)
_DRAWS, _CERTAIN = 32, 2.0


def confirmed_share(folds: Sequence[LeftOut]) -> float:
    """g: 1 where nothing speaks against the hidden layers, or there is nothing to compare them with."""
    names = last_layers(folds[0].predictor.model)
    if not names:
        return 1.0
    whole = _errors(folds)
    share, lowest = 1.0, 0.0
    for g in SHARES if whole else ():
        scaled = [fold._replace(predictor=_scaled(fold.predictor, names, g)) for fold in folds]
        change = np.concatenate([(new - old) / old.mean() for new, old in zip(_errors(scaled), whole, strict=True)])
        found = float(change.mean() + _CERTAIN * change.std() / np.sqrt(len(change)))
        if not found < lowest:
            break
        share, lowest = g, found
    return share


def last_layers(model: Model) -> list[str]:
    """The last weights of every encoder's and decoder's hidden layers that have a linear path beside them."""
    parts = [(part, i) for i in range(model.views) for part in ("encoder", "decoder") if model.linear_path(part, i)]
    return [f"{part}.{i}.{len(model.layers(part, i)) - 1}.weight" for part, i in parts]


def _scaled(predictor: Predictor, names: Sequence[str], share: float) -> Predictor:
    parameters = {**predictor.p, **{name: predictor.p[name] * share for name in names}}
    return Predictor(predictor.engine, predictor.model, parameters, predictor.seed)


def _errors(folds: Sequence[LeftOut]) -> list[np.ndarray]:
    """Of each view with normal noise: every row's mean squared error (R,)."""
    errors = []
    for hidden in hidden_views(folds, by_patterns=False):
        if hidden.normal.size:
            mean, _, truth, known = hidden.predictions(_DRAWS)
            rows = known.any(axis=1)
            squares = np.where(known, (truth - mean) ** 2, 0.0).sum(axis=1)[rows] / known.sum(axis=1)[rows]
            if squares.sum() > 0:
                errors.append(squares)
    return errors
