"""One trained model of the experiment: what it is called, how it is trained, where a finished one lies, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...estimator import JPVAE
from .. import hvdmnist
from ..protocols import LEARNED, are_the_same, options
from .settings import Settings

VARIANTS = ("zero", "svd", "orthogonal")
SWEEP = (0.1, 0.5, 0.9, 0.95, 0.99, LEARNED)  # of alpha; the first three are published


@dataclass(frozen=True)
class Run:
    """alpha: None, or another than the protocol's own ("orthogonal" only)."""

    protocol: str
    variant: str
    seed: int
    alpha: float | str | None = None

    @property
    def model(self) -> str:
        """What is trained, whatever the seed: "svd", "orthogonal-alpha-0.5"."""
        return self.variant if self.alpha is None else f"{self.variant}-alpha-{self.alpha}"

    @property
    def name(self) -> str:
        """ "svd-0", "orthogonal-alpha-0.5-0"."""
        return f"{self.model}-{self.seed}"

    def options(self, settings: Settings) -> dict[str, Any]:
        """The estimator's options."""
        found = options(self.variant, self.protocol, self.alpha)
        return found | {"steps": max(1, round(settings.length * found["steps"]))}

    def is_finished(self, folder: Path, settings: Settings) -> bool:
        """Whether ``folder`` holds this very run of `jpvae hvdmnist`, with its result and its checkpoint."""
        if not all((folder / name).is_file() for name in ("config.json", "result.json", "checkpoint.safetensors")):
            return False
        config = json.loads((folder / "config.json").read_text())
        wanted = {"variant": self.variant, "protocol": self.protocol, "seed": self.seed}
        same = are_the_same(config.get("options", {}), self.options(settings))
        return same and all(config.get(name) == value for name, value in wanted.items())

    def folder(self, out: Path, trained: Sequence[Path], settings: Settings) -> Path:
        """Its folder: a finished one inside one of ``trained``, otherwise its own in ``out``, finished or not."""
        for place in trained:
            for config in sorted(place.glob("**/config.json")):
                if self.is_finished(config.parent, settings):
                    return config.parent
        return out / "trainings" / self.protocol / self.name

    def train(self, folder: Path, settings: Settings, *, device: str = "cpu", progress: bool | str = False) -> dict[str, Any]:
        """Its result: read where the run has finished; otherwise trained, from the last checkpoint on."""
        if self.is_finished(folder, settings):
            found: dict[str, Any] = json.loads((folder / "result.json").read_text())
            return found
        steps = self.options(settings)["steps"]
        about = {"seed": self.seed, "alpha": self.alpha, "steps": steps, "device": device, "progress": progress}
        return hvdmnist.run(self.variant, self.protocol, folder, **about)


def train_together(
    runs: Sequence[Run], folders: Sequence[Path], settings: Settings, *, device: str, progress: bool | str
) -> None:
    """Train runs that differ by their seeds alone as one stacked program."""
    first, outs = runs[0], {run.seed: folder for run, folder in zip(runs, folders, strict=True)}
    about = {"alpha": first.alpha, "steps": first.options(settings)["steps"], "device": device, "progress": progress}
    hvdmnist.run_together(first.variant, first.protocol, outs, **about)


def fitted(folder: Path) -> JPVAE:
    """The trained model of a finished run."""
    return JPVAE.load(folder / "checkpoint.safetensors")


def main_runs(protocol: str, seeds: int) -> list[Run]:
    """The three variants, seed by seed: a run that is stopped has whole seeds."""
    return [Run(protocol, variant, seed) for seed in range(seeds) for variant in VARIANTS]


def sweep_runs(protocol: str, seeds: int) -> list[Run]:
    """The orthogonal variant over alpha; where alpha is the protocol's own value, the main run itself."""
    own = options("orthogonal", protocol)["alpha"]
    return [Run(protocol, "orthogonal", s, None if alpha == own else alpha) for s in range(seeds) for alpha in SWEEP]
