"""A training in progress: parameters as leaves of the graph, and the optimiser whose state is saved as arrays by name.

torch's Adam keeps exp_avg, exp_avg_sq and step for each tensor; a file has m.<name>, v.<name> and one step for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

_SAVED = {"exp_avg": "m", "exp_avg_sq": "v"}


class State:
    """``parameters`` by name, trained by ``optimizer``; those of ``slow`` have a learning rate of their own."""

    def __init__(
        self, parameters: dict[str, torch.Tensor], slow: Sequence[str], moments: Mapping[str, torch.Tensor] | None
    ) -> None:
        self.parameters = {name: x.requires_grad_() for name, x in parameters.items()}
        groups = [[x for name, x in parameters.items() if (name in slow) == chosen] for chosen in (False, True)]
        fused = all(x.device.type in ("cpu", "cuda") for x in parameters.values())
        self.optimizer = torch.optim.AdamW([{"params": group} for group in groups if group], weight_decay=0.0, fused=fused)
        self._slow = slow
        if moments:
            for name, x in self.parameters.items():
                kept = {key: moments[f"{short}.{name}"].clone() for key, short in _SAVED.items()}
                self.optimizer.state[x] = {"step": moments["step"].to(torch.float32).clone(), **kept}

    def step(self, rate: float, slow_rate: float) -> None:
        """One step of the optimiser."""
        for group, lr in zip(self.optimizer.param_groups, (rate, slow_rate), strict=False):
            group["lr"] = lr
        self.optimizer.step()

    def limit(self, most: float) -> float:
        """g <- g min(1, most/|g|) where |g| is finite; returns |g| (of before), summed in float64."""
        gradients = [x.grad for x in self.parameters.values() if x.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients])
        norm = float(torch.linalg.vector_norm(norms))
        if most < norm < float("inf"):
            torch._foreach_mul_(gradients, most / norm)
        return norm

    def moments(self) -> dict[str, torch.Tensor]:
        """The optimiser's arrays by name: what ``start`` takes. Before the first step they are 0."""
        first = next(iter(self.parameters.values()))
        saved = {}
        for name, x in self.parameters.items():
            kept = self.optimizer.state.get(x, {})
            saved |= {f"{short}.{name}": kept.get(key, torch.zeros_like(x)) for key, short in _SAVED.items()}
        saved["step"] = self.optimizer.state.get(first, {}).get("step", torch.zeros(()))
        return saved
