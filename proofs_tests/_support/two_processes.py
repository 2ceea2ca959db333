"""A script: one training by one process and by several, for test_processes.py.

    python two_processes.py FOLDER             writes FOLDER/<name>.npz with the parameters, prints what became of each process
    python two_processes.py FOLDER four        of one process and of four alone

torch is imported once; the processes are forked from here and meet through a file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from ended_runs import StopAt
from synthetic import three_views

from jpvae import JPVAE
from jpvae.errors import JPVAEError
from jpvae.training.callbacks import Callback

STEPS, DIES, STOPS, EVERY = 30, 17, 9, 10
OPTIONS: dict[str, Any] = {
    "latent_dims": 2,
    "likelihood": "gaussian",
    "hidden": (8,),
    "steps": STEPS,
    "batch_size": 15,  # which two processes cannot share evenly
    "backend": "torch",
    "dtype": "float64",
    "entries": "marginalise",
    "cross_draws": 1,
    "progress": False,
}
SHORT: dict[str, Any] = {"steps": 25}
EARLY: dict[str, Any] = {"early_stopping": True, "steps": 30}
VIEWS, MASK = three_views(60, 4)
VIEWS[0][5, 1] = np.nan


class DieAt(Callback):
    """The process ends there, without a word."""

    def on_step(self, step: int, report: Any) -> None:
        """In the first process alone: only there listeners are called."""
        if step == DIES:
            os._exit(9)


def say(what: dict[str, Any]) -> None:
    """One line, in one piece: another process may write at the same time."""
    os.write(sys.stdout.fileno(), (json.dumps(what) + "\n").encode())


def fit(folder: Path, name: str, *callbacks: Callback, seed: int = 0, **options: Any) -> JPVAE:
    """One process's call; the checkpoint FOLDER/<name>."""
    model = JPVAE(**OPTIONS | options, seed=seed)
    return model.fit(VIEWS, MASK, checkpoint=folder / name, checkpoint_every=EVERY, callbacks=callbacks)


def processes(count: int, folder: Path, name: str, *callbacks: Callback, **options: Any) -> None:
    """So many of them; parameters of each go to FOLDER/<name>-<rank>.npz, what it raised to stdout."""
    meeting, children = folder / f"{name}-{time.monotonic_ns()}.meeting", []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
                model = fit(folder, name, *callbacks, seed=options.pop("seeds", [0] * count)[rank], **options)
                np.savez(folder / f"{name}-{rank}.npz", steps=model.n_iter_, **model.parameters_)
                distributed.destroy_process_group()
                code = 0
            except JPVAEError as error:
                say({"name": name, "rank": rank, "error": f"{type(error).__name__}: {error}"})
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    say({"name": name, "codes": codes})


def main(folder: Path) -> None:
    """All of them."""
    torch.set_num_threads(1)
    for name, options in (("one", {}), ("early", EARLY), ("short", SHORT)):
        model = fit(folder, f"{name}-file", **options)
        np.savez(folder / f"{name}.npz", steps=model.n_iter_, **model.parameters_)
    processes(2, folder, "two")
    processes(2, folder, "early-two", **EARLY)
    processes(2, folder, "dead", DieAt(), **SHORT)
    processes(3, folder, "dead", **SHORT)  # goes on, with one more
    processes(2, folder, "stopped", StopAt(STOPS), **SHORT)
    processes(2, folder, "differing", seeds=[0, 1])


def four(folder: Path) -> None:
    """One process, and four."""
    torch.set_num_threads(1)
    np.savez(folder / "one.npz", steps=STEPS, **fit(folder, "one-file").parameters_)
    processes(4, folder, "four")


if __name__ == "__main__":
    (four if sys.argv[2:] == ["four"] else main)(Path(sys.argv[1]))
