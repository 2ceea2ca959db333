"""Whatever is handed to a public function of the core, or of its PyTorch guests: it is accepted, or refused by name."""

import pytest
from odd_core_calls import CORE, GUESTS, sweep

import jpvae_core as jc


@pytest.mark.parametrize("few", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_every_odd_value_is_accepted_or_refused_by_name(few):
    counts, wrong, _ = sweep(few)
    assert wrong == []
    assert counts["refused"] > 15 * counts["accepted"] > 0
    assert counts["refused"] > (4_000 if few else 18_000)


def test_every_public_function_is_called():
    """Errors, containers of results and ``register_jax``, which takes nothing, apart."""
    called = {name.partition(",")[0].partition(".")[0] for name in CORE | GUESTS} | {"fuse"}
    functions = {name for name in jc.__all__ if name[0].islower()} - {"register_jax"}
    assert functions <= called
