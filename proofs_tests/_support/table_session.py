"""Three tables, three of mixed columns, and two arrays, with a model of each in one folder: where tests of commands start."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from table_files import mixed_tables, three_tables, views_of

from jpvae.commands import main as cli

TABLES = three_tables(0, 60)
FIT = ["--latent-dims", "2", "--hidden", "8", "--steps", "30", "--backend", "numpy"]
ENDINGS = (".csv", ".parquet", ".xlsx")
MIXED, MIXED_ENDINGS = mixed_tables(), (".xlsx", ".csv", ".parquet")
SAID = ["--entries", "marginalise", "--likelihood", "mb:visits=poisson_unscaled", "--view-weight", "ma=2"]
SAID += ["--early-stopping", "0.25,3", "--max-gradient-norm", "5", "--latent-dims", "2,2,2"]
WORDS = [f"{name}={name}{ending}" for name, ending in zip("abc", ENDINGS, strict=True)]
MIXED_WORDS = [f"m{name}=m{name}{ending}" for name, ending in zip("abc", MIXED_ENDINGS, strict=True)]
M, OUT, X = "m.safetensors", ["--out", "filled"], "arrays.safetensors"


def views(words: Iterable[str]) -> list[str]:
    """``--view`` before each."""
    return [word for pair in words for word in ("--view", pair)]


def run(patch: pytest.MonkeyPatch, arguments: Iterable[Any]) -> None:
    """The command, which must succeed."""
    patch.setattr("sys.argv", ["jpvae", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert not ended.value.code


def make(path: Path) -> None:
    """Write the tables and arrays, and fit the models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        words = views_of(path, TABLES, ENDINGS)
        run(patch, ["fit", *views(words), "--id", "who", "--out", "m.safetensors", *FIT, "--json"])
        words = views_of(path, {f"m{name}": t for name, t in MIXED.items()}, MIXED_ENDINGS)
        run(patch, ["fit", *views(words), "--id", "who", "--out", "mixed.safetensors", *FIT, *SAID, "--json"])
        rng = np.random.default_rng(3)
        u = rng.standard_normal((700, 2))
        for name, c, dtype in (("x", 4, np.float32), ("y", 3, np.float64)):
            values = (u @ rng.standard_normal((2, c)) + 0.1 * rng.standard_normal((700, c))).astype(dtype)
            values[rng.choice(350, 200) + (0 if name == "x" else 350)] = np.nan
            np.save(f"{name}.npy", values)
        run(patch, ["fit", "--view", "x=x.npy", "--view", "y=y.npy", "--out", "arrays.safetensors", *FIT, "--json"])


def joined_by_hand() -> tuple[dict[str, pd.DataFrame], np.ndarray]:
    """Mixed tables as DataFrames of all subjects, in the order in which the tables first name them; and the mask."""
    order = list(dict.fromkeys(who for t in MIXED.values() for who in t["who"]))
    frames, mask = {}, []
    for name, table in MIXED.items():
        rows = {row.pop("who"): row for row in table.to_dict("records")}
        frames[f"m{name}"] = pd.DataFrame([rows.get(who, {}) for who in order], order, [c for c in table if c != "who"])
        mask.append([any(x == x for x in rows.get(who, {}).values()) for who in order])
    return frames, np.transpose(mask)
