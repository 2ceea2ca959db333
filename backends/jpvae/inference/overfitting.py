"""Whether hidden layers have learned their rows by heart, as rows that they have not seen show.

Beside a linear path the last hidden layer's weights are multiplied by g = 3/4, 1/2, 1/4, 0: the held-out views are predicted
again, and the squared errors of their columns with normal noise are compared, in shares of the view's mean. Were all that the
layers say true of other rows too, the errors would rise. The g is taken whose mean change of the errors is lowest, two standard
errors added to it (rows are independent, a row's views are not): layers are believed until they are shown wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model.model import Model
from .calibration import LeftOut, hidden_views
from .predictor import Predictor

SHARES = (0.75, 0.5, 0.25, 0.0)
_DRAWS, _CERTAIN, _FEWEST = 32, 2.0, 20


def confirmed_share(folds: Sequence[LeftOut]) -> float:
    """g: 1 where nothing speaks against the hidden layers, or there is too little to compare them with."""
    if not last_layers(folds[0].predictor.model):
        return 1.0
    whole = _errors(folds)
    rows = np.concatenate([np.zeros(0, np.intp), *(places for places, _ in whole)])
    count = np.bincount(rows)
    share, lowest = 1.0, 0.0
    for g in SHARES if np.count_nonzero(count) >= _FEWEST else ():
        errors = _errors(with_share(folds, g))
        change = [(new - old) / old.mean() for (_, new), (_, old) in zip(errors, whole, strict=True)]
        of_row = np.bincount(rows, np.concatenate(change))
        mean = of_row.sum() / len(rows)
        found = float(mean + _CERTAIN * np.sqrt(np.sum((of_row - count * mean) ** 2)) / len(rows))
        if not found < lowest:
            break
        share, lowest = g, found
    return share


def with_share(folds: Sequence[LeftOut], share: float) -> list[LeftOut]:
    """The same rows of models whose hidden layers are heeded that far."""
    names = last_layers(folds[0].predictor.model) if share < 1.0 else []
    return [fold._replace(predictor=_scaled(fold.predictor, names, share)) for fold in folds] if names else list(folds)


def last_layers(model: Model) -> list[str]:
    """The last weights of every encoder's and decoder's hidden layers that have a linear path beside them."""
    parts = [(part, i) for i in range(model.views) for part in ("encoder", "decoder") if model.linear_path(part, i)]
    return [f"{part}.{i}.{len(model.layers(part, i)) - 1}.weight" for part, i in parts]


def _scaled(predictor: Predictor, names: Sequence[str], share: float) -> Predictor:
    parameters = {**predictor.p, **{name: predictor.p[name] * share for name in names}}
    return Predictor(predictor.engine, predictor.model, parameters, predictor.seed)


def _errors(folds: Sequence[LeftOut]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each view with normal noise: which rows of all folds it is known in, and their mean squared errors (R,)."""
    errors = []
    observed = np.concatenate([fold.observed for fold in folds])
    for hidden in hidden_views(folds, by_patterns=False):
        if hidden.normal.size:
            mean, _, truth, known = hidden.predictions(_DRAWS)
            rows = np.asarray(known.any(axis=1))
            squares = np.where(known, (truth - mean) ** 2, 0.0).sum(axis=1)[rows] / known.sum(axis=1)[rows]
            places = np.flatnonzero(observed[:, hidden.view] & (observed.sum(axis=1) > 1))[: len(rows)]
            if squares.sum() > 0:
                errors.append((places[rows], squares))
    return errors
