"""An orthogonal matrix from free parameters, value + gradient: jc.orthogonal against torch's own parametrizations and geotorch.

Every method gets the same float32 skew entries (Householder: as its reflectors' entries) and returns Q and the gradient
of <G, Q>. The error is the orthogonality defect |Q^T Q - I|_F, computed in float64. Before that, the gradient's inner product
with a direction d is compared with the central difference of the same map in float64,

    <g, d> = ( <G, Q(t + h d)> - <G, Q(t - h d)> ) / 2h + O(h^2).

torch's maps run without trivialization, their setting with the fewest operations; geotorch's around the identity.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import geotorch
import numpy as np
import peak_memory
import pytest
import torch
from suites import Panel, Results, Suite, Target
from torch.nn.utils import parametrizations

import jpvae_core as jc

OURS = "jpvae_core"
CAYLEY, EXPONENTIAL, HOUSEHOLDER = "torch cayley", "torch matrix_exp", "torch householder"
GEO_CAYLEY, GEO_EXPONENTIAL = "geotorch cayley", "geotorch expm"
SIZES = (8, 16, 32, 64, 128, 256, 512)
SMALL = [n for n in SIZES if n <= 64]


def slowest_against_best(results: Results) -> float:
    """Our time over the fastest other's, at the worst n up to 64."""
    others = [m for m in results.methods("n") if m != OURS]
    return max(1 / min(results.ratio("n", n, m, OURS) for m in others) for n in SMALL)


def defect_against_best(results: Results) -> float:
    """Our defect over the least of the others', at the worst n."""
    others = [m for m in results.methods("n") if m != OURS]
    defects = [[results.at("n", n, m).error for m in (OURS, *others)] for n in SIZES]
    return max(ours / min(rest) for ours, *rest in defects)


SUITE = Suite(
    name="parameterizations",
    title="An orthogonal matrix from free parameters: value + gradient in torch, float32",
    ours=OURS,
    error="orthogonality defect |Q^T Q - I|_F, the median of three draws",
    sweeps={"n": "n"},
    colours={
        HOUSEHOLDER: "#3f9fdc",
        GEO_EXPONENTIAL: "#8a8a93",
        EXPONENTIAL: "#009e73",
        GEO_CAYLEY: "#b58900",
        CAYLEY: "#0b3c6f",
        OURS: "#c8431b",
    },
    panels=(Panel("n", "minimum", "value + gradient"), Panel("n", "error", "orthogonality defect |QᵀQ − I|")),
    targets=(
        Target("n <= 64: our time / the fastest other's, at the worst n", slowest_against_best, at_most=1.0, asserted=False),
        Target("our defect / the least of the others', at the worst n", defect_against_best, at_most=1.0, asserted=False),
    ),
)


def entries(n: int, seed: int) -> torch.Tensor:
    """n x n normal numbers with standard deviation n^-1/2: a skew matrix of these has norm about 2 for every n."""
    numbers = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), device="cpu")
    return numbers.to(torch.get_default_device()) / math.sqrt(n)


def ours(X: torch.Tensor) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
    """Parameters, and the map from them to Q; the skew matrix of torch's maps: L - L^T, L the strict lower triangle."""
    n = len(X)
    rows, columns = torch.triu_indices(n, n, 1)
    params = (-X[columns, rows]).requires_grad_()
    return params, lambda: jc.orthogonal(params, n)


def module(X: torch.Tensor, parametrize: Callable[[torch.nn.Module], Any]) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
    """The same for a parametrized layer; its strict lower triangle becomes that of X, the rest stays as it was made."""
    layer = torch.nn.Linear(*X.shape, bias=False, dtype=X.dtype)
    torch.nn.init.eye_(layer.weight)
    parametrize(layer)
    params = layer.parametrizations.weight.original
    with torch.no_grad():
        params.copy_(params - params.tril(-1) + X.tril(-1))
    return params, lambda: layer.weight


def in_torch(name: str) -> Callable[[torch.nn.Module], Any]:
    """torch.nn.utils.parametrizations.orthogonal with that map."""
    return lambda layer: parametrizations.orthogonal(layer, orthogonal_map=name, use_trivialization=False)


def in_geotorch(name: str) -> Callable[[torch.nn.Module], Any]:
    """geotorch.orthogonal with that map, around the identity."""

    def parametrize(layer: torch.nn.Module) -> None:
        geotorch.orthogonal(layer, triv=name)
        layer.weight = torch.eye(*layer.weight.shape, dtype=layer.weight.dtype)

    return parametrize


METHODS: dict[str, Callable[[torch.Tensor], Any]] = {
    OURS: ours,
    CAYLEY: lambda X: module(2.0 * X, in_torch("cayley")),  # both Cayleys halve what they get
    EXPONENTIAL: lambda X: module(X, in_torch("matrix_exp")),
    HOUSEHOLDER: lambda X: module(X, in_torch("householder")),
    GEO_CAYLEY: lambda X: module(2.0 * X, in_geotorch("cayley")),
    GEO_EXPONENTIAL: lambda X: module(X, in_geotorch("expm")),
}


def defect(Q: torch.Tensor) -> float:
    """|Q^T Q - I|_F of the float32 numbers as they are."""
    wide = Q.detach().double().cpu().numpy()
    return float(np.linalg.norm(wide.T @ wide - np.eye(len(wide))))


def slope(method: str, X: torch.Tensor, D: torch.Tensor, G: torch.Tensor, h: float = 1e-5) -> float:
    """The central difference of <G, Q> along D, in float64. Its error is h^2, about 1e-10, and eps/h, about 1e-11."""
    ends = [METHODS[method](X.double() + step * D.double())[1]().detach() for step in (h, -h)]
    return float((G.double() * (ends[0] - ends[1])).sum()) / (2 * h)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_value_and_gradient(timed: Callable[..., None], method: str, n: int) -> None:
    X, D, G = (entries(n, seed) for seed in range(3))
    params, make = METHODS[method](X)

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        Q = make()
        return Q, *torch.autograd.grad((G * Q).sum(), [params])

    _, gradient = step()
    # The direction in the layout of this method's parameters: what changes where X becomes X + D.
    direction = METHODS[method](X + D)[0].detach() - params.detach()
    found, wanted = float((gradient * direction).sum()), slope(method, X, D, G)
    # Six products or solves with matrices of condition at most 4, each off by n eps of its norm (Higham, section 3.5).
    eps = float(torch.finfo(torch.float32).eps)
    assert abs(found - wanted) <= 6 * 4 * n * eps * float(G.norm() * D.norm())
    found_defects = [defect(METHODS[method](entries(n, seed))[1]()) for seed in range(3)]
    # The same count of roundings for Q^T Q, |Q|_F = n^1/2.
    timed(
        step,
        method=method,
        sweep="n",
        x=n,
        error=statistics.median(found_defects),
        bound=6 * 4 * n * eps * math.sqrt(n),
        peak_bytes=peak_memory.of_torch(step),
    )
