"""A training step on cores that other work keeps busy, with the threads of the engines' choice, one, and the library's choice.

    python benchmarks/busy_cores.py        kept as results/busy_cores.json; without a load of its own: --load 0

As many processes as there are cores (or ``--load N``) compute beside it. The three take turns step by step, so that the load
hits all alike; what is printed is each one's wall-clock time of a step over that of one thread, medians. "share" is the part of
the wall-clock time that one thread got: below a half, the cores were busy.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from jpvae.engines import engine, limited
from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

RESULTS = Path(__file__).parent / "results/busy_cores.json"
SIZES = {  # columns, hidden, latents, rows of a batch
    "two tables of 60 columns": (60, (64,), 16, 64),
    "the paper's model": (392, (512, 512), 20, 128),
    "the paper's model, 512 rows": (392, (512, 512), 20, 512),
}
CHOICES = ("own choice", "one thread", "the library's")
SECONDS, FEWEST = 5.0, 4  # of a case; turns


def busy() -> None:
    """Computes until it is ended."""
    x = np.random.default_rng(0).standard_normal((200, 200))
    while True:
        x = np.tanh(x @ x.T)


def case(backend: str, size: str) -> dict[str, Any]:
    """Median wall-clock seconds of a step by choice, and the share of its time that one thread got."""
    columns, hidden, latents, rows = SIZES[size]
    model = Model((columns,) * 2, (latents,) * 2, ("gaussian",) * 2, hidden=hidden, prior="canonical", posterior="fused")
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((rows, columns)).astype(np.float32) for _ in range(2)]
    batch = Batches(data, np.ones((rows, 2), bool), model, Plan(1, rows, Constant(), LearningRate())).at(0)
    alone = engine(backend, model, threads=1)  # without ``limited``, it leaves its library as it finds it
    made = {"own choice": engine(backend, model), "one thread": alone, "the library's": alone}
    states = {name: one.start(model.initial_parameters(0), None) for name, one in made.items()}
    taken: dict[str, list[float]] = {name: [] for name in made}
    shares, begin = [], time.perf_counter()
    while time.perf_counter() - begin < SECONDS or len(shares) < FEWEST:
        for name, one in made.items():
            with nullcontext() if name == "the library's" else limited(one, rows):
                start, processor = time.perf_counter(), time.process_time()
                one.train_step(states[name], batch, beta=1.0, learning_rate=1e-3, coupling_rate=1.0)
                taken[name].append(time.perf_counter() - start)
            if name == "one thread":
                shares.append((time.process_time() - processor) / taken[name][-1])
    medians = {name: float(np.median(times[1:])) for name, times in taken.items()}
    ratios = {name: round(medians[name] / medians["one thread"], 2) for name in CHOICES}
    return {"engine": backend, "size": size, "share": round(float(np.median(shares[1:])), 2), **ratios}


def main() -> None:
    """All cases, under load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load", type=int, default=os.cpu_count(), help="processes that compute beside it")
    load = parser.parse_args().load
    others = [multiprocessing.get_context("spawn").Process(target=busy, daemon=True) for _ in range(load)]
    for other in others:
        other.start()
    try:
        found = []
        for backend, size in itertools.product(("numpy", "torch"), SIZES):
            found.append(case(backend, size))
            print("  ".join(f"{key}: {value}" for key, value in found[-1].items()), flush=True)
    finally:
        for other in others:
            other.kill()
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "load": load, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
