"""One training step of the paper's model: torch engine, NumPy engine, and a peer, jit-compiled JAX + optax as a user writes it.

Two 392-512-512-2x20 encoders, 20-512-512-392 decoders, orthogonal prior, float32, the KL of all rows and Adam. All start from
one set of parameters; the first step's loss, on one batch with one noise, is compared with the NumPy engine's in float64 (the
loss alone: gradients and Adam are compared between our engines, in proofs_tests). After it the peer draws its noise within its
step, 1 % of it at most, and the engines are given theirs. Then
they take turns, step by step, so that whatever else the machine does hits all alike. Times are CPU seconds of the process,
all its threads: on one idle core that is wall-clock time, and other people's work does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from peer_jax import ALPHA, HIDDEN, LATENT, PIXELS, Peer
from suites import Case, Panel, Results, Suite, Target

from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate
from jpvae_numpy import Engine as NumpyEngine
from jpvae_torch import Engine as TorchEngine

TORCH, NUMPY, PEER = "torch engine", "NumPy engine", "JAX peer"
ROWS = (32, 128, 512)
# A float32 sum of k products is off by at most k eps/2 times its terms' absolute sum: six layers of at most 512 terms, and a
# loss whose slope in every logit is below 1. (Another noise, weight or factor of the KL changes the loss by 1e-2.)
BOUND = 6 * 512 * float(np.finfo(np.float32).eps) / 2
BUDGET, WARM_UP, FEWEST = 3.0, 3, 10  # seconds per case, all methods; turns before, and at least


def against_peer(method: str) -> Callable[[Results], float]:
    """A method's time over the peer's at the paper's batch size."""
    return lambda results: results.ratio("elbo", ROWS[0], method, PEER)


SUITE = Suite(
    name="training",
    title="One training step of the paper's model, float32, CPU time",
    ours=TORCH,
    error="the first loss, relative to the NumPy engine's in float64",
    sweeps={"elbo": "ELBO (Eq. 5): rows of a batch", "subset": "subset objective: rows of a batch"},
    colours={PEER: "#8a8a93", NUMPY: "#0b3c6f", TORCH: "#c8431b"},
    panels=(Panel("elbo", "minimum", "step, ELBO"), Panel("subset", "minimum", "step, subset objective")),
    notes=("The peer implements the ELBO only.",),
    targets=(
        Target("torch engine / peer, 32 rows", against_peer(TORCH), at_most=0.8, asserted=False),
        Target("NumPy engine / peer, 32 rows", against_peer(NUMPY), at_most=1.0, asserted=False),
    ),
)
MODEL = Model((PIXELS,) * 2, (LATENT,) * 2, ("bernoulli",) * 2, hidden=HIDDEN, prior="orthogonal", alpha=ALPHA)


def peer_from(parameters: dict[str, np.ndarray]) -> Peer:
    """The peer with our start."""
    peer = Peer()

    def layers(part: str, view: int) -> list[tuple[Any, Any]]:
        names = [f"{part}.{view}.{k}." for k in range(len(HIDDEN) + 1)]
        return [tuple(jax.numpy.asarray(parameters[n + kind], np.float32) for kind in ("weight", "bias")) for n in names]

    peer.parameters = {f"{part}s": [layers(part, i) for i in range(2)] for part in ("encoder", "decoder")}
    peer.parameters["skew"] = jax.numpy.asarray(parameters["prior.rotation"], np.float32)
    return peer


def first_noise(peer: Peer, rows: int) -> np.ndarray:
    """The standard normals of the peer's next step, (rows, 2 x 20)."""
    keys = jax.random.split(jax.random.split(peer.key)[1])
    return np.concatenate([jax.random.normal(k, (rows, LATENT)) for k in keys], axis=1)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("objective", SUITE.sweeps)
def test_step(benchmark: Any, request: pytest.FixtureRequest, objective: str, rows: int) -> None:
    ink = [(np.random.default_rng(i).random((rows, PIXELS)) < 0.2).astype(np.float32) for i in range(2)]
    plan = Plan(1, rows, Constant(), LearningRate(), objective)
    drawn = Batches(ink, np.ones((rows, 2), dtype=bool), MODEL, plan).at(0)
    start = MODEL.initial_parameters(0)
    peer = peer_from(start)
    batch = replace(drawn, posterior_noise=first_noise(peer, rows))

    def stepper(engine: Any) -> Callable[[], float]:
        state = engine.start(start, None)
        return lambda: float(engine.train_step(state, batch, beta=1.0, learning_rate=1e-3, coupling_rate=1.0)["loss"])

    in_torch = TorchEngine(MODEL, device=str(torch.get_default_device()))
    steps = {TORCH: stepper(in_torch), NUMPY: stepper(NumpyEngine(MODEL, threads=1))}
    if objective == "elbo":
        steps[PEER] = lambda: peer.step(batch.views)
    truth = stepper(NumpyEngine(MODEL, "float64", threads=1))()
    errors = {method: abs(step() / truth - 1.0) for method, step in steps.items()}
    assert max(errors.values()) <= BOUND

    clock = time.process_time if in_torch.device.type == "cpu" else time.perf_counter  # a GPU's time is no processor's
    taken: dict[str, list[float]] = {method: [] for method in steps}

    def turn() -> None:
        for method, step in steps.items():
            begin = clock()
            step()
            taken[method].append(clock() - begin)

    for _ in range(WARM_UP):
        turn()
    rounds = max(int(BUDGET / sum(times[-1] for times in taken.values())), FEWEST)
    benchmark.pedantic(turn, rounds=rounds)
    if benchmark.stats is not None:  # None under --benchmark-disable
        frame = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
        cases = request.config.stash[frame.CASES].setdefault(SUITE, [])
        for method, times in taken.items():
            last = times[-rounds:]
            cases.append(Case(objective, rows, method, float(np.median(last)), min(last), errors[method], None))
