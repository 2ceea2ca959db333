"""What is computed on a GPU is what the CPU computes, to the rounding of float64.

Products and solves on a GPU add up in another order, as stacks do (test_stacks.py, whose tolerance this is). Without a GPU
there is nothing here to compare: every test is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from synthetic import three_views

from jpvae import JPVAE
from jpvae.ensembles import fit_together
from jpvae.testing import check_engine, check_library
from jpvae.testing.examples import MODELS, batches, parameters
from jpvae_torch.engine import Engine

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
STEP = {"beta": 0.7, "coupling_rate": 0.25, "weight_decay": 0.3}
TOLERANCE = 5e-9
OPTIONS = {"latent_dims": 2, "hidden": (8,), "likelihood": "gaussian", "steps": 30, "dtype": "float64", "progress": False}
OPTIONS |= {"backend": "torch"}


def close(found, wanted, at_most=TOLERANCE):
    assert found.keys() == wanted.keys()
    for key, x in wanted.items():
        np.testing.assert_allclose(found[key], x, rtol=0, atol=at_most * max(1.0, np.abs(x).max(initial=0.0)))


@pytest.mark.parametrize("name", list(MODELS))
def test_an_engine_makes_the_steps_of_the_cpu(name):
    data = batches(MODELS[name], "holes", "subset")
    ended = []
    for device in ("cpu", "cuda"):
        made = Engine(MODELS[name], "float64", device)
        state = made.start(parameters(MODELS[name]), None)
        for t in range(10):
            made.train_step(state, data.at(t), **STEP, learning_rate=0.01, max_gradient_norm=1.0)
        ended.append(made.to_arrays(state))
    for found, wanted in zip(*ended, strict=True):
        close(found, wanted)


@pytest.mark.parametrize("count", [3, 12, 100])  # of priors that solve systems one captured graph, and several
@pytest.mark.parametrize(
    "name", ["svd", "orthogonal", "every likelihood", "missing cells", "fused in frames, canonical, linear paths"]
)
def test_a_stack_equals_its_members_alone(name, count):
    data, made = batches(MODELS[name], "holes", "subset"), Engine(MODELS[name], "float64", "cuda")
    rng = np.random.default_rng(0)
    starts = [
        {key: x + 0.05 * rng.standard_normal(x.shape) for key, x in parameters(MODELS[name]).items()} for _ in range(count)
    ]
    stacked = [made.start(p, None) for p in starts]
    stack = made.stack(stacked)
    chosen = sorted({0, count // 2, count - 1})
    alone = {k: made.start(starts[k], None) for k in chosen}
    for t in range(6):
        given = [data.at((3 * t + k) % 40) for k in range(count)]
        step = STEP | {"learning_rate": 0.01 / (1 + t), "max_gradient_norm": 1.0}
        reports = stack.step(given, **step)
        for k in chosen:
            report = made.train_step(alone[k], given[k], **step)
            assert reports[k]["loss"] == pytest.approx(report["loss"], rel=1e-8, abs=1e-8)
    for k in chosen:
        for found, wanted in zip(made.to_arrays(stacked[k]), made.to_arrays(alone[k]), strict=True):
            close(found, wanted)


def test_an_ensemble_trained_there_fills_what_one_of_the_cpu_fills(tmp_path):
    views, mask = three_views(60, seed=0)
    options = OPTIONS | {"ensemble": 3, "bootstrap": True}
    here, there = (JPVAE(**options, device=device).fit(views, mask) for device in ("cpu", "cuda"))
    close(there.parameters_, here.parameters_)
    there.save(tmp_path / "model.safetensors")
    loaded = JPVAE.load(tmp_path / "model.safetensors", device="cpu")
    for model in (there, loaded):  # networks of slopes of tens, twice
        for found, wanted in zip(model.impute(views, mask), here.impute(views, mask), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e3 * TOLERANCE)
        drawn, wanted_draws = (each.sample_imputations(views, mask, n_draws=3) for each in (model, here))
        for found, wanted in zip(drawn, wanted_draws, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e3 * TOLERANCE)


def test_tables_of_their_own_train_together_there():
    tables = [three_views(60, seed=seed) for seed in range(4)]
    options = OPTIONS | {"ensemble": 3, "bootstrap": True}
    together = fit_together([JPVAE(**options, device="cuda", seed=k) for k in range(4)], *zip(*tables, strict=True), each=True)
    for k, (model, table) in enumerate(zip(together, tables, strict=True)):
        close(model.parameters_, JPVAE(**options, seed=k).fit(*table).parameters_)


def test_the_core_keeps_its_laws_there():
    check_library(lambda x: torch.asarray(x, device="cuda"), numpy=lambda x: x.cpu().numpy())


def test_the_engine_keeps_its_promises_there():
    found = check_engine("torch", device="cuda", models=["svd", "orthogonal, three views", "fused in frames, orthogonal"])
    assert "gradient" in found.lines


WORKER = """
import sys, numpy as np, torch.distributed as dist
from jpvae import JPVAE
from synthetic import three_views
import torch
torch.cuda.set_device(0)
dist.init_process_group("nccl", rank=0, world_size=1, init_method="tcp://127.0.0.1:29611")
model = JPVAE(**eval(sys.argv[1]), device="cuda").fit(*three_views(60, seed=0))
np.savez(sys.argv[2], **model.parameters_)
dist.destroy_process_group()
"""


def test_a_process_group_of_nccl_trains_as_one_process(tmp_path):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WORKER, repr(OPTIONS), str(tmp_path / "p.npz")]
    subprocess.run(command, env=env, check=True, timeout=120)
    with np.load(tmp_path / "p.npz") as found:
        close(dict(found), JPVAE(**OPTIONS, device="cuda").fit(*three_views(60, seed=0)).parameters_)
