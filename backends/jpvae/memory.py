"""The memory of this machine, and what a training takes of it."""

from __future__ import annotations

import math
import os
from pathlib import Path

from .errors import ConfigError
from .model.model import Model

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container


def of_machine() -> int | None:
    """Bytes of memory, a container's where it has fewer; None where the system does not tell."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return None
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return min(found)


def of_training(model: Model, rows: int, dtype: str) -> int:
    """Bytes, at least, of a training with so many rows in a batch: parameters, their gradients, Adam's two moments and the
    float64 numbers that they start from; of each layer, outputs and their derivatives."""
    layers = [layer for i in range(model.views) for part in ("encoder", "decoder") for layer in model.named_layers(part, i)]
    parameters = sum(n * m for _, (n, m) in layers) + sum(map(math.prod, model.joint.shapes().values()))
    size = 4 if dtype == "float32" else 8
    return parameters * (8 + 4 * size) + 2 * size * rows * sum(m for _, (_, m) in layers)


def check(model: Model, rows: int, dtype: str) -> None:
    """Raise ConfigError where a training takes more than there is."""
    has, takes = of_machine(), of_training(model, rows, dtype)
    if has is not None and takes > has:
        raise ConfigError(
            f"hidden is {model.hidden} and latent_dims is {model.latent_dims}: with batches of {rows} rows, training takes at "
            f"least {takes / 2**30:,.0f} GiB of memory, and this machine has {has / 2**30:,.0f} GiB; expected a smaller network"
        )


def check_result(name: str, value: int, size: int) -> None:
    """Raise ConfigError where so many bytes, that an argument leads to, are more than there is."""
    has = of_machine()
    if has is not None and size > has:
        raise ConfigError(
            f"{name} is {value}, whose results take {size >> 30:,} GiB of memory, and this machine has {has >> 30:,} GiB; "
            "expected fewer"
        )
