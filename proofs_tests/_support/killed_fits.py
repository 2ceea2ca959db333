"""A script: fits that are killed with SIGKILL at 20 seeded moments, each in a process of its own, for test_killed_fits.py.

    python killed_fits.py FOLDER FIRST LAST     of these moments: leaves FOLDER/<moment> as the killed fit left its checkpoint,
                                                and prints what it did

Half of the moments are steps; the others are in the middle of a write: half of the bytes are in the file, all of them are but
not yet under the checkpoint's name, or just now. Nothing is cleaned up: SIGKILL cannot be caught.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy  # noqa: F401  (here, once, and not in every process)
from synthetic import three_views

import jpvae_numpy  # noqa: F401
from jpvae import JPVAE
from jpvae.training.callbacks import Callback

OPTIONS: dict[str, Any] = {
    "latent_dims": 2,
    "likelihood": "gaussian",
    "prior": "svd",
    "objective": "elbo",
    "hidden": (16,),
    "steps": 400,
    "batch_size": 8,
    "learning_rate": 6e-2,
    "learning_rate_schedule": "constant",
    "backend": "numpy",
    "progress": False,
    "early_stopping": True,
    "patience": 2,
    "max_gradient_norm": 20.0,
}
MOMENTS, EVERY, LAST = 20, 13, 140
KINDS = ("step", "half", "step", "before", "step", "after")  # of a moment's death


def fit(path: Path, every: int, callbacks: tuple[Callback, ...] = ()) -> JPVAE:
    """The fit that is killed, gone on with, and compared with itself undisturbed."""
    return JPVAE(**OPTIONS).fit(three_views(40, 4)[0][:2], checkpoint=path, checkpoint_every=every, callbacks=callbacks)


def die() -> None:
    """The kernel ends this process here."""
    os.kill(os.getpid(), signal.SIGKILL)


class DieAtStep(Callback):
    """At the end of that step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int, report: Any) -> None:
        """Dies there."""
        if step == self.step:
            die()


class Half(io.FileIO):
    """Gets half of what is written, and then the process dies."""

    def write(self, content: Any) -> int:
        """Dies there."""
        super().write(content[: len(content) // 2])
        die()
        return 0


def die_in_write(kind: str, count: int) -> None:
    """Arrange for death in the ``count``-th write of a checkpoint: half written, before it is renamed, or after."""
    written, replace, opened = itertools.count(1), os.replace, Path.open

    def open_half(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        return Half(path, mode) if mode == "xb" and next(written) == count else opened(path, mode, *rest, **named)

    def replace_or_die(source: Any, target: Any) -> None:
        now = next(written) == count
        if now and kind == "before":
            die()
        replace(source, target)
        if now:
            die()

    if kind == "half":
        Path.open = open_half  # type: ignore[assignment, method-assign]
    else:
        os.replace = replace_or_die  # type: ignore[assignment]


def main(folder: Path, moments: range) -> None:
    """Kill them all, one after the other."""
    for moment in moments:
        rng, kind, path = np.random.default_rng(moment), KINDS[moment % len(KINDS)], folder / str(moment) / "c"
        path.parent.mkdir()
        at = int(rng.integers(1, LAST if kind == "step" else LAST // EVERY))
        child = os.fork()
        if child == 0:
            try:
                if kind != "step":
                    die_in_write(kind, at)
                fit(path, EVERY, (DieAtStep(at),) if kind == "step" else ())
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        left = [file.name for file in path.parent.iterdir() if file.name not in ("c", ".c.lock")]
        print(json.dumps({"kind": kind, "at": at, "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), range(*map(int, sys.argv[2:])))
