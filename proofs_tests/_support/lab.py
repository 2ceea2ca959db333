"""A laboratory's table of forty subjects, and how its variants are read and fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jpvae.tables import reading
from jpvae.tables.dialect import Dialect
from jpvae.tables.sources import sources

FIT = ["--id", "who", "--steps", "5", "--hidden", "4", "--backend", "numpy", "--latent-dims", "1", "--out", "m.safetensors"]
WHO = [f"P{k:03}" for k in range(40)]
_X, _Y = np.random.default_rng(0).normal(size=(2, 40)).round(3)
LAB = pd.DataFrame({"who": WHO, "x": _X, "y": _Y})


def table(path: Path, **dialect: Any) -> pd.DataFrame:
    """What the package reads of a file whose ids are ``who``."""
    [source] = sources([f"a={path}"])
    return reading.read(source, Dialect(id="who", **dialect)).frame
