"""The types mean something: a strict client's annotations hold without a cast, and what is no array or option is refused."""

import re

import pytest
from mypy import api

NUMPY = """
import numpy as np
from numpy.typing import NDArray
import jpvae_core as jc

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

def loss(means: list[Floats], log_vars: list[Floats], prior: jc.JointPrior, mask: Mask) -> Floats:
    return jc.kl_divergence(prior, means, log_vars, mask)

def density(prior: jc.JointPrior, z: list[Floats]) -> Floats:
    return jc.log_density(prior, z)

def filled(prior: jc.JointPrior, z: list[Floats], mask: Mask, noise: Floats) -> tuple[Floats, ...]:
    return (*jc.conditional_mean(prior, z, mask), *jc.complete(prior, z, mask, noise), *jc.sample(prior, noise))

def block(prior: jc.JointPrior, z: list[Floats], mask: Mask) -> Floats:
    return jc.condition(prior, z, mask, log_vars=z).covariances[0][1]

def matrices(rotation: Floats) -> tuple[Floats, Floats, Floats]:
    prior = jc.JointPrior.orthogonal(rotation, 0.5).check()
    return prior.covariance(), prior.named("a", "b").marginal(["b"]).log_det(), prior.to(dtype="float32").precision()

def held(prior: jc.JointPrior[Floats]) -> tuple[Floats, ...]:
    return (prior.max_singular_value(), *prior.arrays)

def fused(prior: jc.JointPrior, means: list[Floats], log_vars: list[Floats], masks: Mask, noise: Floats) -> tuple[Floats, ...]:
    q = jc.fuse(prior, means, log_vars, masks)
    z = q.draw(noise)
    return q.log_density(z), q.error_bound(), q.kl(), jc.subset_loss(prior, z, q.kl(), masks)
"""
TORCH = """
import numpy as np
import torch
from numpy.typing import NDArray
import jpvae_core as jc
from jpvae_torch import JointPriorModule

def torch_loss(means: list[torch.Tensor], log_vars: list[torch.Tensor], prior: jc.JointPrior) -> torch.Tensor:
    return jc.kl_divergence(prior, means, log_vars).mean()

def correlation(t: torch.Tensor) -> torch.Tensor:
    return jc.sigmoid_bound(t).value

def signs(like: torch.Tensor) -> tuple[NDArray[np.float64], torch.Tensor]:
    return jc.sign_matrix(3, 1), jc.sign_matrix(3, 1, like=like)

def prior(entries: torch.Tensor) -> jc.JointPrior:
    return jc.JointPrior.orthogonal(jc.orthogonal(entries, 3), alpha=0.95, validate=True)

def elsewhere(prior: jc.JointPrior[NDArray[np.float64]], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return prior.to(like).covariance(), jc.JointPrior.independent([3], like=like).log_det()

def parameters(skew: torch.nn.Parameter) -> torch.Tensor:
    return jc.JointPrior.orthogonal(jc.orthogonal(skew, 3), 0.5).covariance()

def in_frames(prior: jc.JointPrior, means: list[torch.Tensor], log_vars: list[torch.Tensor]) -> torch.Tensor:
    return jc.fuse(prior, means, log_vars, None, "frame").kl().mean()

def held() -> torch.Tensor:
    return JointPriorModule((2, 2))().covariance()
"""
ENGINES = """
import functools
import jpvae_jax
import jpvae_numpy
import jpvae_torch
from jpvae import JPVAE
from jpvae.engines import Engine
from jpvae.model.model import Model

def engines(model: Model) -> tuple[Engine, Engine, Engine]:
    return (
        jpvae_torch.Engine(model), jpvae_numpy.Engine(model, "float32", "cpu"), jpvae_jax.Engine(model, "float32", "cpu")
    )

JPVAE(backend=functools.partial(jpvae_torch.Engine, compile=True))
JPVAE(backend=jpvae_numpy.Engine, hidden=((8,), (16, 16)), beta="linear")
"""
UNMEANT = {
    "a number as a likelihood": ("JPVAE(likelihood=3)", "arg-type"),
    "an unknown schedule": ('JPVAE(beta="lineer")', "arg-type"),
    "no pair of networks": ('JPVAE(networks={"scan": 3})', "dict-item"),
}
REFUSED = {
    "text": ('jc.cayley("hello")', "type-var"),
    "a list of texts": ('jc.kl_divergence(jc.JointPrior.independent([1]), ["a"], ["b"])', "type-var"),
    "one array for a list of views": ("jc.sample(3, np.ones(3))", "arg-type"),
    "texts to fuse": ('jc.fuse(jc.JointPrior.independent([1]), ["a"], ["b"])', "type-var"),
    "a text as a KL": ('jc.subset_loss(jc.JointPrior.independent([1]), [np.ones(1)], "kl", np.ones(1))', "type-var"),
    "no prior": ("jc.kl_divergence(np.ones(1), [np.ones(1)], [np.ones(1)])", "arg-type"),
}
OTHER = {
    "an array of the other library": ("x: torch.Tensor = jc.cayley(np.eye(2))", "type-var|arg-type|assignment"),
    "a prior of the other library": ("y: torch.Tensor = jc.JointPrior.orthogonal(np.eye(2), 0.5).covariance()", "assignment"),
}


def verdicts(folder, client, wrong):
    """mypy --strict on the client and, below it, every wrong line: the codes of its messages by line."""
    (folder / "client.py").write_text(client + "\n".join(line for line, _ in wrong.values()) + "\n")
    report, errors, _ = api.run(["--strict", "--no-error-summary", f"--cache-dir={folder}/cache", str(folder / "client.py")])
    assert not errors, errors
    found = re.findall(r"client\.py:(\d+): error: .*\[([\w-]+)\]$", report, flags=re.MULTILINE)
    assert len(found) == report.count("error:"), report
    return found


# `make lint` checks examples/torch_pair.py, and torch has ten times the types to read.
@pytest.mark.parametrize(
    ("client", "wrong"),
    [
        pytest.param(NUMPY, REFUSED, id="numpy"),
        pytest.param(TORCH, OTHER, id="torch", marks=pytest.mark.thorough),
        pytest.param(ENGINES, UNMEANT, id="engines", marks=pytest.mark.thorough),
    ],
)
def test_a_strict_client_passes_and_what_is_no_array_is_refused(tmp_path, client, wrong):
    found, first = verdicts(tmp_path, client, wrong), client.count("\n") + 1
    assert [verdict for verdict in found if int(verdict[0]) < first] == []
    for line, (code, codes) in enumerate(wrong.values(), first):
        assert {each for number, each in found if int(number) == line} & set(codes.split("|")), code
