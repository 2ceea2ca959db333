"""All numbers that the pieces hold, by protocol, model, measure and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from ..protocols import PROTOCOLS
from .measuring import QUANTITIES
from .pieces import ORIGINALS, damaged, read

Seeds = dict[int, float]
Flat = Callable[[dict[str, Any]], Iterator[tuple[str, float]]]  # a piece's numbers by measure
PAIR, IMPUTED = ("1", "2"), ("1|2", "2|1")  # what a measure's two numbers are of


@dataclass(frozen=True)
class Results:
    """The pieces below a folder RAW (pieces.py)."""

    raw: Path

    @cached_property
    def _pieces(self) -> dict[tuple[str, str, str], dict[int, dict[str, Any]]]:
        """{(protocol, model, kind): {seed: piece}}."""
        found: dict[tuple[str, str, str], dict[int, dict[str, Any]]] = {}
        for path in sorted(self.raw.glob("*/*/*.json")):
            protocol, name = path.parts[-3:-1]
            model, _, seed = name.rpartition("-")
            if not seed.isdecimal():
                raise ConfigError(f"{str(path)!r} is no result: its folder is {name!r}, expected a name like 'zero-0'")
            key = (protocol, model or ORIGINALS, path.stem)
            found.setdefault(key, {})[int(seed)] = read(path)
        return found

    def pieces(self, protocol: str, model: str, kind: str) -> dict[int, dict[str, Any]]:
        """By seed."""
        return dict(sorted(self._pieces.get((protocol, model, kind), {}).items()))

    @property
    def protocols(self) -> list[str]:
        """Those of which there is anything."""
        found = {protocol for protocol, _, _ in self._pieces}
        return [protocol for protocol in PROTOCOLS if protocol in found]

    @cached_property
    def _values(self) -> dict[tuple[str, str, str], Seeds]:
        values: dict[tuple[str, str, str], Seeds] = {}
        for (protocol, model, kind), by_seed in self._pieces.items():
            flat = _of_separate_models if (kind, model) == ("likelihood", "zero") else _FLAT.get(kind)
            if flat is None:
                continue
            for seed, piece in by_seed.items():
                for measure, value in self._flattened(flat, protocol, model, seed, kind, piece):
                    values.setdefault((protocol, model, measure), {})[seed] = value
        return values

    def _flattened(
        self, flat: Flat, protocol: str, model: str, seed: int, kind: str, piece: dict[str, Any]
    ) -> list[tuple[str, float]]:
        """A piece's numbers. Raises ConfigError where it lacks one."""
        try:
            return list(flat(piece))
        except (KeyError, TypeError, ValueError) as error:
            name = str(seed) if protocol == ORIGINALS else f"{model}-{seed}"
            raise damaged(self.raw / protocol / name / f"{kind}.json", error) from error

    def values(self, protocol: str, model: str, measure: str) -> Seeds:
        """{seed: number}; empty where nothing was measured."""
        return dict(sorted(self._values.get((protocol, model, measure), {}).items()))

    def made_by(self, protocol: str) -> Iterator[tuple[str, int, str, dict[str, Any]]]:
        """(model, seed, kind, piece) of every piece of a protocol."""
        for (of, model, kind), by_seed in sorted(self._pieces.items()):
            if of == protocol:
                yield from ((model, seed, kind, piece) for seed, piece in sorted(by_seed.items()))


def _training(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    pairs = {
        "reconstruction": (PAIR, piece["table_1"]["reconstruction"]),
        "imputation": (IMPUTED, piece["table_1"]["imputation"]),
        "plug-in": (IMPUTED, piece["plug_in"]),
        "plug-in, training moments": (IMPUTED, piece["plug_in_training"]),
        "predictive": (IMPUTED, piece["predictive"]),
        "conditional NLL": (IMPUTED, piece["conditional_nll"]),
    }
    for measure, (names, numbers) in pairs.items():
        yield from ((f"{measure} {name}", number) for name, number in zip(names, numbers, strict=True))
    yield "active units", piece["table_2"]["active_units_percent"]
    yield "-ELBO", piece["negative_elbo"]
    yield "largest singular value", piece["largest_singular_value"]


def _latents(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The norm is of Figure 4's matrix; a training's own is of samples given both views, which a fused posterior correlates."""
    yield "cross-correlation norm", float(np.linalg.norm(piece["cross_correlation"]))
    for name, number in zip(IMPUTED, piece["imputation_training_moments"], strict=True):
        yield f"imputation, training moments {name}", number


def _likelihood(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((f"log p, {name}", piece[name]["mean"]) for name in QUANTITIES)


def _of_separate_models(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Under C = 0 log p(x_1, x_2) is the sum of the marginals, whose bounds are tighter than the joint one."""
    marginals = {name: piece[f"view {name}"]["mean"] for name in PAIR}
    yield "log p, joint", sum(marginals.values())
    for name, value in marginals.items():
        yield f"log p, view {name}", value
        yield f"log p, view {name} given {3 - int(name)}", value


def _bounds(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((f"joint bound, {count} draws", nats) for count, nats in piece["joint"].items())


def _classifiers(piece: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((name, 100 * part) for name, part in piece["accuracy"].items())


_FLAT: dict[str, Flat] = {
    "training": _training,
    "latents": _latents,
    "likelihood": _likelihood,
    "bounds": _bounds,
    "classifiers": _classifiers,
}
