"""Which latents a fitted model uses: active units, each latent's KL, posterior collapse, and what to do about it.

No advice to take more latents or fewer: their number does not predict the error on new rows, which an evaluation measures.

    active:  Var_rows(E[z | x]) > 0.01          (Burda, Grosse and Salakhutdinov 2016, section 5.2)
    kl:      mean over rows of (mean^2 + var - 1 - log var)/2, nats, against N(0, 1), which is every latent's own prior

A view none of whose latents is active has collapsed: its posterior is the same for every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..views.pieces import pieces
from .blocks import Rows
from .predictor import Predictor

ACTIVE = 0.01  # variance of a posterior mean over rows
PATTERNS = 64  # that are kept
ROWS = 2000  # at most, evenly spread over the data


@dataclass(frozen=True)
class LatentReport:
    """views: by name, "latents" and "active" (counts), "kl" and "variance" (one number per latent), "collapsed"; advice: a
    sentence; patterns, rows: which views the rows of the training had, the most frequent combinations first, and how many rows
    there were (nothing of an older file). ``print(report)`` is a table."""

    views: dict[str, dict[str, Any]]
    advice: str
    patterns: tuple[tuple[tuple[bool, ...], int], ...] = ()
    rows: int = 0

    @classmethod
    def from_json(cls, value: Any, latents: Mapping[str, int]) -> LatentReport | None:
        """From its fields as a header has them, None if it has none. Raises ValueError where they do not fit the views."""
        if value is None:
            return None
        given = dict(value)
        patterns = tuple((tuple(has), count) for has, count in given.pop("patterns", ()))
        made = cls(**given, patterns=patterns)
        whole = all(len(has) == len(latents) and all(type(x) is bool for x in has) for has, _ in patterns)
        if not whole or any(type(n) is not int or not 0 <= n < 2**63 for n in (made.rows, *(count for _, count in patterns))):
            raise ValueError(f"its patterns are {patterns} of {made.rows} rows")
        for name, view in made.views.items():
            numbers = [*view["kl"], *view["variance"]]
            if len(view["kl"]) != latents[name] or len(numbers) != 2 * latents[name] or not isinstance(made.advice, str):
                raise ValueError(f"its report on view {name!r} is {view}")
            if view["latents"] != latents[name] or not all(isinstance(x, float) for x in numbers):
                raise ValueError(f"its report on view {name!r} is {view}")
            counts = type(view["active"]) is int and 0 <= view["active"] <= latents[name]
            if not counts or type(view["collapsed"]) is not bool or type(view["latents"]) is not int:
                raise ValueError(f"its report on view {name!r} is {view}")
        return made

    def __str__(self) -> str:
        width = max(map(len, ["view", *self.views]))
        lines = [f"{'view':<{width}}  active latents   KL in nats, largest first"]
        for name, view in self.views.items():
            count = f"{view['active']} of {view['latents']}{' (collapsed)' if view['collapsed'] else ''}"
            lines.append(f"{name:<{width}}  {count:<15}  {largest(view['kl'])}")
        return "\n".join([*lines, self.advice])


def largest(kl: Sequence[float]) -> str:
    """The eight largest numbers, for people."""
    return " ".join(f"{x:.2f}" for x in sorted(kl, reverse=True)[:8]) + (" ..." if len(kl) > 8 else "")


def places(rows: int) -> np.ndarray:
    """Which of so many rows ``diagnose`` looks at."""
    return np.unique(np.linspace(0, rows - 1, min(ROWS, rows)).astype(int))


def diagnose(predictor: Predictor, views: Sequence[Rows], observed: np.ndarray, names: Sequence[str]) -> LatentReport:
    """Look at each view's latents over the rows that have the view. views: (N, c_i) in the model's units; observed (N, M)."""
    chosen = places(len(observed))
    has = observed[chosen]
    blocks = list(predictor.blocks([v[chosen] for v in views], has, drawing=False))
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        mean, log_var = (
            np.concatenate([predictor.engine.numpy(part[i])[: block.size] for block, part in pairs])[has[:, i]].astype(float)
            for pairs in ([(b, b.means) for b in blocks], [(b, b.log_vars) for b in blocks])
        )
        if not len(mean):  # none of the chosen rows has it
            continue
        variance = mean.var(axis=0)
        active = int((variance > ACTIVE).sum())
        found[name] = {
            "latents": len(variance),
            "active": active,
            "kl": (0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var).mean(axis=0)).tolist(),
            "variance": variance.tolist(),
            "collapsed": active == 0,
        }
    return LatentReport(found, _advice(found), _patterns(observed), len(observed))


def _patterns(observed: np.ndarray) -> tuple[tuple[tuple[bool, ...], int], ...]:
    """The most frequent rows of (N, M), with how often each is there."""
    total: Counter[tuple[bool, ...]] = Counter()
    for rows in pieces(*observed.shape):
        found, counts = np.unique(observed[rows], axis=0, return_counts=True)
        total.update(dict(zip(map(tuple, found.tolist()), counts.tolist(), strict=True)))
    return tuple(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:PATTERNS])


def _advice(views: Mapping[str, Mapping[str, Any]]) -> str:
    collapsed = [name for name, view in views.items() if view["collapsed"]]
    if collapsed:
        return (
            f"The latents of {', '.join(collapsed)} carry no information about the data. Train for more steps, increase "
            "the KL weight slowly (beta='linear' or 'cyclical'), or choose a smaller alpha; jpvae evaluate shows whether the "
            "error on held-out rows becomes smaller."
        )
    latents, active = (sum(view[part] for view in views.values()) for part in ("latents", "active"))
    if 2 * active < latents:
        return f"Only {active} of {latents} latents are used; the others cost time and change nothing."
    used = "All latents are used." if active == latents else f"{active} of {latents} latents are used."
    return (
        f"{used} Whether another number of them is better, the error on held-out rows shows: jpvae evaluate, or jpvae report."
    )
