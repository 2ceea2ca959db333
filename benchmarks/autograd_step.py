"""What the chain rule written out would save: one training step of the torch engine against the hand-written NumPy engine's.

    python benchmarks/autograd_step.py --threads 1

The paper's networks (392-512-512-2x20 and back, two views), orthogonal prior, float32. Engines take turns, step by step, in one
process; minima of wall-clock and of the process's CPU time, in milliseconds. ``--also MODULE`` times one more engine class,
"old_torch:Engine" say (the torch engine of commit ec33972, with its chain rule written out, copied beside this file);
``--compile`` the torch engine under torch.compile.
"""

import argparse
import functools
import importlib
import os
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rows", type=int, nargs="+", default=[32, 128, 512])
parser.add_argument("--also", default="")
parser.add_argument("--compile", action="store_true")
choice = parser.parse_args()
os.environ |= {f"{library}_NUM_THREADS": str(choice.threads) for library in ("OMP", "MKL", "OPENBLAS")}

import numpy as np  # noqa: E402
import torch  # noqa: E402

from jpvae.model.model import Model  # noqa: E402
from jpvae.training.batches import Batches  # noqa: E402
from jpvae.training.plan import Plan  # noqa: E402
from jpvae.training.schedules import Constant, LearningRate  # noqa: E402
from jpvae_numpy import Engine as NumpyEngine  # noqa: E402
from jpvae_torch import Engine as TorchEngine  # noqa: E402

torch.set_num_threads(choice.threads)
MODEL = Model((392, 392), (20, 20), ("bernoulli",) * 2, prior="orthogonal", alpha=0.95)
makers = {"torch": TorchEngine, "numpy": NumpyEngine}
if choice.compile:
    makers["torch.compile"] = functools.partial(TorchEngine, compile=True)
if choice.also:
    module, _, name = choice.also.partition(":")
    makers[choice.also] = getattr(importlib.import_module(module), name)


def stepper(make, batch):
    """A function that does one training step."""
    engine = make(MODEL)
    state = engine.start(MODEL.initial_parameters(0), None)
    return lambda: engine.train_step(state, batch, beta=1.0, learning_rate=1e-3, coupling_rate=0.1)


for objective in ("elbo", "subset"):
    for rows in choice.rows:
        ink = [(np.random.default_rng(i).random((rows, 392)) < 0.2).astype(np.float32) for i in range(2)]
        plan = Plan(1, rows, Constant(), LearningRate(), objective)
        batch = Batches(ink, np.ones((rows, 2), dtype=bool), MODEL, plan).at(0)
        steps = {name: stepper(make, batch) for name, make in makers.items()}
        taken = {name: [] for name in steps}
        for turn in range(-3, max(30, 4000 // rows)):
            for name, step in steps.items():
                wall, cpu = time.perf_counter(), time.process_time()
                step()
                if turn >= 0:
                    taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        least = {name: 1e3 * np.min(each, axis=0) for name, each in taken.items()}
        shares = "  ".join(f"{name} {w:.2f} ({c:.2f}) = {c / least['torch'][1]:.2f}" for name, (w, c) in least.items())
        print(
            f"{objective:6} {rows:4} rows, {choice.threads} thread(s), wall (CPU) = share of torch's CPU: {shares}", flush=True
        )
