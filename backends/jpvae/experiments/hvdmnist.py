"""The paper's experiment on halves of MNIST digits: one model, trained, measured and written down; goes on where it was killed.

The protocols and their options are in protocols.py. All train on the first 50,000 images of MNIST's 60,000 and are measured on
its 10,000 test images.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..atomic import write_atomically
from ..ensembles import fit_together
from ..errors import ConfigError
from ..estimator import JPVAE
from ..source import source_commit
from ..training.callbacks import Callback, Run
from .data import halves, mnist
from .measures import latent_report, measure
from .protocols import are_the_same, of_estimator, options

TRAINING_IMAGES = 50_000


def run(
    variant: str,
    protocol: str,
    out: Path,
    *,
    seed: int = 0,
    alpha: float | str | None = None,
    steps: int | None = None,
    backend: str = "torch",
    device: str = "cpu",
    progress: bool | Literal["auto"] = "auto",
) -> dict[str, Any]:
    """Train (or go on training), measure, write config, metrics, checkpoint and result into ``out``; return the result.

    A finished run in ``out`` is returned as it is; a folder with another configuration is refused. steps: fewer, to try out.
    alpha: another than the protocol's, or "learned".
    """
    about = {"alpha": alpha, "steps": steps, "backend": backend, "device": device}
    return run_together(variant, protocol, {seed: out}, progress=progress, **about)[seed]


def run_together(
    variant: str,
    protocol: str,
    outs: Mapping[int, Path],
    *,
    progress: bool | Literal["auto"] = "auto",
    **about: Any,
) -> dict[int, dict[str, Any]]:
    """``run`` of several seeds, each into its folder, as one stacked program where the backend has such.

    about: the other arguments of ``run``.
    """
    begun = {seed: _begin(variant, protocol, out, seed=seed, **about) for seed, out in outs.items()}
    found = {seed: one for seed, one in begun.items() if isinstance(one, dict)}
    todo = {seed: one for seed, one in begun.items() if isinstance(one, _Begun)}
    if todo:
        train_views, test_views = halves(mnist("train")[0][:TRAINING_IMAGES]), halves(mnist("test")[0])
        models = {seed: one.model(progress=progress if seed == min(todo) else False) for seed, one in todo.items()}
        fit_together(
            list(models.values()),
            train_views,
            checkpoints=[one.out / "checkpoint.safetensors" for one in todo.values()],
            checkpoint_every=500,
            callbacks=[[Metrics(one)] for one in todo.values()],
        )
        found |= {seed: todo[seed].measured(model, train_views, test_views) for seed, model in models.items()}
    return {seed: found[seed] for seed in outs}


def _begin(
    variant: str, protocol: str, out: Path, *, seed: int, alpha: Any, steps: int | None, device: str, backend: str = "torch"
) -> dict[str, Any] | _Begun:
    """The result of a finished run, or one that is to be made or gone on with. Raises ConfigError."""
    config: dict[str, Any] = {"variant": variant, "protocol": protocol, "seed": seed, "backend": backend, "device": device}
    config |= {"options": options(variant, protocol, alpha)}
    if steps is not None:
        config["options"]["steps"] = steps
    out.mkdir(parents=True, exist_ok=True)
    config_file, result_file = out / "config.json", out / "result.json"
    stored: dict[str, Any] = json.loads(json.dumps(config))
    if config_file.exists():
        found = _read_json(config_file)
        known = are_the_same(found.get("options", {}), stored["options"])
        if not known or found | {"options": None} != stored | {"options": None}:
            raise ConfigError(f"out is {str(out)!r}, which holds another run ({config_file.name} differs); give another folder")
        if result_file.exists():
            return _read_json(result_file)

    return _Begun(out, stored, config["options"])


@dataclass(frozen=True)
class _Begun:
    """A run without a result yet. config: as it is stored; options: of the estimator."""

    out: Path
    config: Mapping[str, Any]
    options: Mapping[str, Any]

    def model(self, *, progress: bool | Literal["auto"]) -> JPVAE:
        """To be trained."""
        about = {name: self.config[name] for name in ("seed", "backend", "device")}
        return JPVAE(**of_estimator(self.options), **about, progress=progress)

    def measured(self, model: JPVAE, train_views: list[np.ndarray], test_views: list[np.ndarray]) -> dict[str, Any]:
        """The result, written down."""
        begin = time.perf_counter()
        test, latents = measure(model, test_views), latent_report(model, train_views)
        largest: Any = model.predictor().prior.max_singular_value()  # of the independent prior NumPy's
        result = {
            **{name: self.config[name] for name in ("variant", "protocol", "seed")},
            "table_1": {
                "reconstruction": test["reconstruction_alone"],
                "imputation": test["published_imputation"],
            },
            "table_2": {"active_units_percent": latents["active_units_percent"]},
            "reconstruction_given_both": test["reconstruction"],
            "plug_in": test["plug_in"],
            "plug_in_training": test["plug_in_training"],
            "predictive": test["predictive"],
            "conditional_nll": test["conditional_nll"],
            "negative_elbo": test["negative_elbo"],
            "cross_correlation_norm": latents["cross_correlation_norm"],
            "largest_singular_value": float(np.asarray(largest.cpu() if hasattr(largest, "cpu") else largest)),
            "seconds": {"training": model.history_[-1]["seconds"], "measuring": time.perf_counter() - begin},
            "made_by": provenance(self.config["backend"]),
            "options": self.config["options"],
        }
        _write_json(self.out / "result.json", result)
        return result


class Metrics(Callback):
    """The history in a file; a resumed run first brings it back to its checkpoint."""

    def __init__(self, begun: _Begun) -> None:
        self._begun = begun

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Of a resumed run: what there is."""
        self.records = list(run.history)

    def on_log(self, record: Mapping[str, Any]) -> None:
        """The configuration, not sooner than with the first: a mistake before it leaves the folder free; and all records."""
        if not (config := self._begun.out / "config.json").exists():
            _write_json(config, self._begun.config)
        self.records.append(record)
        write_atomically(self._begun.out / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in self.records).encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{str(path)!r} is damaged ({error}); delete it, or give another folder") from error
    return value


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def provenance(backend: str) -> dict[str, Any]:
    """Which code and machine made a result: the commit where the sources are a git checkout, and versions."""
    libraries = dict.fromkeys(("jpvae", backend, "numpy"))  # a backend is named as its library
    return {
        "commit": source_commit(),
        **{library: version(library) for library in libraries},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
