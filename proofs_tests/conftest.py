"""Every law runs on every array library in float32 and float64: the fixture ``xp`` is one such pair.

Of JAX, which compiles every law for every shape, and of array-api-strict, whose bits are NumPy's, ``make test`` takes float32;
their float64 is for ``make thorough``. (Other tests of JAX, of its gradients and its engine, are in float64.)

A library that cannot be imported fails the run: nothing here skips. Hypothesis is derandomised; for fifty times as many
examples, new ones every time: ``pytest proofs_tests --hypothesis-profile=thorough``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import jax
import pytest
import torch
from hypothesis import settings
from libraries import Backend, Library
from synthetic import fitted

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # compiling takes nearly all of JAX's time here
if jax.__version_info__ >= (0, 10):  # XLA ends a program that names a flag unknown to it; halves what is left of compiling
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
torch.set_num_threads(1)
gc.set_threshold(50_000, 20, 20)  # at Python's own thresholds the collector takes a fifteenth of the time

EXAMPLES = 3
settings.register_profile("default", max_examples=EXAMPLES, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=50 * EXAMPLES, derandomize=False, print_blob=True, deadline=None)
settings.load_profile("default")


@pytest.fixture(scope="session", params=list(Library), ids=lambda library: library.name.lower())
def library(request: pytest.FixtureRequest) -> Library:
    """An array library."""
    return request.param


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """A dtype that the core accepts."""
    return request.param


@pytest.fixture(scope="session")
def xp(library: Library, dtype: str) -> Backend:
    """One library in one dtype."""
    return Backend(library, dtype)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what only ``make thorough`` runs of ``xp`` and of ``backend``."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        named = params.get("backend")
        where = named if isinstance(named, Backend) else Backend(params.get("library"), params.get("dtype"))
        if where.library in (Library.JAX, Library.STRICT) and where.dtype == "float64":
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="module", autouse=True)
def small_blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks of 64 rows where tables are small: every block is padded, and 512 rows take their time. What a row's result is
    does not depend on it. Modules that import BLOCK, and other folders, keep its true size."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in ("engines", "estimator", "tables", "documents") and not hasattr(request.module, "BLOCK"):
            for module in ("jpvae.views.reading", "jpvae.inference.predictor"):
                patch.setattr(f"{module}.BLOCK", 64)
        yield


@pytest.fixture
def no_training(monkeypatch):
    """A fit that gets as far as its first step fails the test; the model that tests share is made before."""
    fitted()

    def train(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr("jpvae.course.train", train)
