"""How far a reconstruction of the published protocol moves from step to step at its end: the rate is constant, nothing settles.

    python benchmarks/last_iterate.py runs/orthogonal-published/checkpoint.safetensors

Trains on from a finished checkpoint and prints the test reconstruction (nats) of both views every 50 steps, then its mean and
standard deviation: the part of a table's spread that is where the training happened to stop.
"""

import sys

import numpy as np

from jpvae.engines import engine
from jpvae.experiments.data import halves, mnist
from jpvae.experiments.hvdmnist import TRAINING_IMAGES
from jpvae.experiments.protocols import options
from jpvae.files import checkpoints
from jpvae.inference.predictor import Predictor
from jpvae.model.model import Model
from jpvae.training.batches import Batches
from jpvae.training.loop import alone, train
from jpvae.training.plan import Plan
from jpvae.training.schedules import Constant, LearningRate

EVERY, TIMES = 50, 16

tensors, header = checkpoints.load(sys.argv[1])
model, first = Model.from_json(header["model"]), header["step"]
choice = options("orthogonal", "published")
plan = Plan(first + EVERY * TIMES, choice["batch_size"], Constant(), LearningRate(choice["learning_rate"], "constant"), "elbo")
torch_engine = engine("torch", model)
state = torch_engine.start(
    checkpoints.select(tensors, "parameters."), {**checkpoints.select(tensors, "adam."), "step": np.asarray(first)}
)
training = halves(mnist("train")[0][:TRAINING_IMAGES])
batches = Batches(training, np.ones((TRAINING_IMAGES, 2), dtype=bool), model, plan)
test = halves(mnist("test")[0])
observed = np.ones((len(test[0]), 2), dtype=bool)
found = []
for k in range(TIMES + 1):
    predictor = Predictor(torch_engine, model, torch_engine.parameters(state), seed=0)
    losses = np.zeros(2)
    for block in predictor.blocks(test, observed):
        z = predictor.draw_latents(block, predictor.noise(block), 1)
        for j in range(2):
            entries = torch_engine.numpy(predictor.log_prob_entries(j, z[j][0], block.views[j]))
            losses[j] -= entries[: block.size].sum(dtype=np.float64)
    found.append(losses / len(observed))
    print(f"step {first + k * EVERY}: {found[-1][0]:.2f} / {found[-1][1]:.2f}", flush=True)
    if k < TIMES:
        alone(torch_engine, train(state, batches, first=first + k * EVERY, last=first + (k + 1) * EVERY))
mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
print(f"mean {mean[0]:.2f} / {mean[1]:.2f}, standard deviation {deviation[0]:.2f} / {deviation[1]:.2f}")
