"""One training step of the paper's model: what the NumPy engine takes, against its floor, torch's engine and a JAX peer.

    python benchmarks/step_profile.py --threads 2 --objective elbo --prior orthogonal

The floor is what no implementation in NumPy can leave out: the step's matrix products, and Adam. All are timed in one run, in
turns, so that whatever else the machine does hits all alike; then the parts of a step on one thread. NumPy's products keep to
one thread each and the engine's threads take a view each; torch has its own threads.
"""

import argparse
import itertools
import os
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--objective", default="elbo", choices=("elbo", "subset"))
parser.add_argument("--prior", default="orthogonal", choices=("independent", "orthogonal", "svd", "canonical"))
choice = parser.parse_args()
threads = {"OMP": choice.threads, "MKL": choice.threads, "OPENBLAS": 1}
os.environ |= {f"{library}_NUM_THREADS": str(n) for library, n in threads.items()}  # read when NumPy and torch are imported
if choice.threads == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from peer_jax import Peer  # noqa: E402

import jpvae_core as jc  # noqa: E402
from jpvae.model.model import Model  # noqa: E402
from jpvae.training.batches import Batches  # noqa: E402
from jpvae.training.plan import Plan  # noqa: E402
from jpvae.training.schedules import Constant, LearningRate  # noqa: E402
from jpvae_core import vjp  # noqa: E402
from jpvae_numpy import Engine as NumpyEngine  # noqa: E402
from jpvae_torch import Engine as TorchEngine  # noqa: E402

torch.set_num_threads(choice.threads)
SIZES, LATENTS, ROWS = (392, 392), (20, 20), 32
TURN, WARM_UP, REST = 10, 3, 0.05  # steps of a turn, steps before them, seconds for the last turn's threads to fall asleep
model = Model(SIZES, LATENTS, ("bernoulli",) * 2, prior=choice.prior, alpha=0.9)
ink = [(np.random.default_rng(i).random((ROWS, c)) < 0.2).astype(np.float32) for i, c in enumerate(SIZES)]
plan = Plan(1, ROWS, Constant(), LearningRate(), choice.objective)
batch = Batches(ink, np.ones((ROWS, 2), dtype=bool), model, plan).at(0)
rates = {"beta": 1.0, "learning_rate": 1e-3, "coupling_rate": 1.0}


def products(pool, decoded):
    """A function that does the matrix products of a step, ``decoded`` rows through each decoder, one view per thread."""
    runs = [[] for _ in range(model.views)]
    for i, part in itertools.product(range(model.views), ("encoder", "decoder")):
        rows = ROWS if part == "encoder" else decoded
        for k, (n, m) in enumerate(model.layers(part, i)):
            x, W, Y = (np.full(shape, 1e-3, np.float32) for shape in ((rows, n), (n, m), (rows, m)))
            y, W_bar, x_bar = np.empty_like(Y), np.empty_like(W), np.empty_like(x)
            runs[i] += [(x, W, y), (x.T, Y, W_bar)]
            if part == "decoder" or k > 0:  # nobody asks for the data's gradient
                runs[i].append((Y, W.T, x_bar))
    return lambda: pool.each(lambda view: [np.matmul(a, b, out=out) for a, b, out in view], runs)


def stepper(engine):
    """A function that does one training step."""
    state = engine.start(model.initial_parameters(0), None)
    return lambda: engine.train_step(state, batch, **rates)


class Clock:
    """Seconds by part, of the functions that were given to it."""

    def __init__(self):
        self.seconds = {}

    def watch(self, part, *functions):
        """functions: pairs (owner, name)."""
        for owner, name in functions:
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part, function):
        def timed(*arguments, **options):
            begin = time.perf_counter()
            result = function(*arguments, **options)
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - begin
            return result

        return timed


def take_turns(runs):
    """Milliseconds of each, (steps,)."""
    taken = {name: [] for name in runs}
    for _ in range(-(-choice.steps // TURN)):
        for name, run in runs.items():
            time.sleep(REST)
            for step in range(-WARM_UP, TURN):
                begin = time.perf_counter()
                run()
                if step >= 0:
                    taken[name].append(1e3 * (time.perf_counter() - begin))
    return {name: np.asarray(t) for name, t in taken.items()}


def row(name, t, floor=None):
    share = "" if floor is None else f"{np.median(t) / np.median(floor):9.2f}{t.min() / floor.min():9.2f}"
    print(f"{name:34}{np.median(t):9.2f}{t.min():9.2f}{share}")


floor_state = NumpyEngine(model, threads=choice.threads).start(model.initial_parameters(0))
engines = {"NumPy step": NumpyEngine(model, threads=choice.threads), "torch step": TorchEngine(model)}
decoded = ROWS * (2 if choice.objective == "subset" else 1)
runs = {
    "matrix products": products(floor_state.threads, decoded),
    "Adam": lambda: floor_state.adam.step(1e-3, 1e-3),
}
steppers = {name: stepper(engine) for name, engine in engines.items()}
if choice.prior == "orthogonal" and choice.objective == "elbo":  # what the peer implements
    peer = Peer()
    steppers["JAX peer step"] = lambda: peer.step(tuple(ink))
taken = take_turns(runs | steppers)
floor = taken["matrix products"] + taken["Adam"]
print(f"{choice.prior}, {choice.objective}, {choice.threads} thread(s), {choice.steps} steps of {ROWS} rows, float32")
print(f"{'milliseconds':34}{'median':>9}{'minimum':>9}{'/ floor':>9}{'':>9}")
for name, t in taken.items():
    row(name, t)
row("floor: products + Adam", floor)
for name in steppers:
    row(f"{name} / floor", taken[name], floor)

single, clock, parts = NumpyEngine(model, threads=1), Clock(), {}
state = single.start(model.initial_parameters(0))
clock.watch("encoder forward", *((layers, "forward") for layers in state.encoders))
clock.watch("decoder forward", *((layers, "forward") for layers in state.decoders))
clock.watch("backward", *((layers, "backward") for layers in state.encoders + state.decoders))
clock.watch("likelihood", *((type(model.likelihoods[0]), name) for name in ("log_prob", "log_prob_vjp")))
links = ("kl_divergence", "reparameterize", "complete")
clock.watch("prior: forward", (Model, "joint_prior"), *((jc, name) for name in links))
clock.watch("prior: backward", (Model, "joint_prior_vjp"), *((vjp, name) for name in links))
clock.watch("Adam", (state.adam, "step"))
for step in range(-WARM_UP, choice.steps):
    clock.seconds.clear()
    begin = time.perf_counter()
    single.train_step(state, batch, **rates)
    whole = time.perf_counter() - begin
    if step >= 0:
        for part, seconds in clock.seconds.items() | {("all else", whole - sum(clock.seconds.values())), ("whole", whole)}:
            parts.setdefault(part, []).append(1e3 * seconds)
print("\nparts of the NumPy step, one after the other")
for part in sorted(parts, key=lambda name: (name == "whole", -np.median(parts[name]))):
    row(f"  {part}", np.asarray(parts[part]))
