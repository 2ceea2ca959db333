"""The paper's experiment on halves of MNIST digits: one model, trained, measured and written down; goes on where it was killed.

    published   what the paper's tables were computed with: 18,750 Adam steps of 32 images, beta = 1, alpha = 0.9, Eq. 5
    ours        the subset objective on the same nets and the same 600,000 images: batch 64, cosine rate, strong coupling
                (weights and alpha chosen on the 10,000 training images left out: benchmarks/tradeoff.py)

Both train on the first 50,000 images of MNIST's 60,000 and are measured on its 10,000 test images.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..atomic import write_atomically
from ..errors import ConfigError
from ..estimator import JPVAE
from ..training.callbacks import Callback, Run
from .data import halves, mnist
from .measures import latent_report, measure

TRAINING_IMAGES = 50_000
IMAGES_SEEN = 600_000
PRIORS = {"zero": "independent", "svd": "svd", "orthogonal": "orthogonal"}


def options(variant: str, protocol: str) -> dict[str, Any]:
    """The estimator's options for a variant ("zero", "svd", "orthogonal") under a protocol ("published", "ours")."""
    if variant not in PRIORS:
        raise ConfigError(f"variant is {variant!r}; expected one of {sorted(PRIORS)}")
    if protocol == "published":
        batch, rate, shape, objective, coupling = 32, 1e-3, "constant", "elbo", 1.0
        weights = None
        alpha = 0.5 if variant == "svd" else 0.9  # the svd's free parameters start near 0: singular values of one half
    elif protocol == "ours":
        batch, rate, shape, objective, coupling = 64, 2e-3, "cosine", "subset", 0.1
        alpha, weight = (0.99, 0.5) if variant == "svd" else (0.98, 0.3)
        weights = (1.0, weight, weight)
    else:
        raise ConfigError(f"protocol is {protocol!r}; expected 'published' or 'ours'")
    return {
        "latent_dims": 20,
        "hidden": (512, 512),
        "prior": PRIORS[variant],
        "alpha": alpha,
        "objective": objective,
        "subset_weights": weights,
        "batch_size": batch,
        "learning_rate": rate,
        "learning_rate_schedule": shape,
        "coupling_rate": coupling,
        "steps": IMAGES_SEEN // batch,
    }


def run(
    variant: str,
    protocol: str,
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    backend: str = "torch",
    device: str = "cpu",
    progress: bool | str = "auto",
) -> dict[str, Any]:
    """Train (or go on training), measure, write config, metrics, checkpoint and result into ``out``; return the result.

    A finished run in ``out`` is returned as it is; a folder with another configuration is refused. steps: fewer, to try out.
    """
    config = {"variant": variant, "protocol": protocol, "seed": seed, "backend": backend, "device": device}
    config |= {"options": options(variant, protocol)}
    if steps is not None:
        config["options"]["steps"] = steps
    out.mkdir(parents=True, exist_ok=True)
    config_file, result_file = out / "config.json", out / "result.json"
    stored: dict[str, Any] = json.loads(json.dumps(config))
    if config_file.exists():
        if _read_json(config_file) != stored:
            raise ConfigError(f"out is {str(out)!r}, which holds another run ({config_file.name} differs); give another folder")
        if result_file.exists():
            return _read_json(result_file)

    train_views = halves(mnist("train")[0][:TRAINING_IMAGES])
    test_views = halves(mnist("test")[0])
    model = JPVAE(**config["options"], seed=seed, backend=backend, device=device, progress=progress)
    metrics = out / "metrics.jsonl"

    class Metrics(Callback):
        """The history in a file; a resumed run first brings it back to its checkpoint."""

        def on_start(self, run: Run, step: int, steps: int) -> None:
            self.records = list(run.history)

        def on_log(self, record: Mapping[str, Any]) -> None:
            if not config_file.exists():  # not sooner: a mistake before the first step leaves the folder free
                _write_json(config_file, stored)
            self.records.append(record)
            write_atomically(metrics, "".join(json.dumps(r) + "\n" for r in self.records).encode())

    model.fit(train_views, checkpoint=out / "checkpoint.safetensors", checkpoint_every=500, callbacks=[Metrics()])
    begin = time.perf_counter()
    test = measure(model, test_views)
    latents = latent_report(model, train_views)
    result = {
        "variant": variant,
        "protocol": protocol,
        "seed": seed,
        "table_1": {
            "reconstruction": test["reconstruction"],
            "imputation": test["published_imputation"],
        },
        "table_2": {"active_units_percent": latents["active_units_percent"]},
        "plug_in": test["plug_in"],
        "plug_in_training": test["plug_in_training"],
        "predictive": test["predictive"],
        "conditional_nll": test["conditional_nll"],
        "negative_elbo": test["negative_elbo"],
        "cross_correlation_norm": latents["cross_correlation_norm"],
        "largest_singular_value": float(model.predictor().prior.max_singular_value()),
        "seconds": {"training": model.history_[-1]["seconds"], "measuring": time.perf_counter() - begin},
        "made_by": _provenance(backend),
        "options": stored["options"],
    }
    _write_json(result_file, result)
    return result


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{str(path)!r} is damaged ({error}); delete it, or give another folder") from error
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def _provenance(backend: str) -> dict[str, Any]:
    """Which code and machine made a result: the commit where the sources are a git checkout, and versions."""
    libraries = dict.fromkeys(("jpvae", backend, "numpy"))  # a backend is named as its library
    return {
        "commit": _commit(),
        **{library: version(library) for library in libraries},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _commit() -> str | None:
    """The commit of these sources; None where git is absent or this file is not one that it tracks (an installed wheel)."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    changed = git("status", "--porcelain", "--untracked-files=no", ":/backends", ":/jpvae_core")
    return f"{git('rev-parse', 'HEAD')}{' with local changes' if changed else ''}"
