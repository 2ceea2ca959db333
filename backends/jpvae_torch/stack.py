"""Many models of one architecture as one program: every array has the models for its first axis, and products are batched.

The loss is that of one model under ``torch.func.vmap``; the sum of all losses is differentiated once, so that each model gets
the gradient of its own. On CUDA a step is captured once as a graph and then replayed: its hundreds of small kernels start
without the host.

A member's own tensors stand still meanwhile; ``settle`` brings them to where the stack is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from jpvae.model.batch import Batch, Inputs
from jpvae.model.model import Model
from jpvae.model.objective import Objective, negative_elbo

from .state import State, Tensors, adam, adam_in_graphs

Given: TypeAlias = Inputs[torch.Tensor]
Found: TypeAlias = Objective[torch.Tensor]
_MOVING = (
    "views",
    "targets",
    "masks",
    "weights",
    "posterior_noise",
    "completion_noise",
    "row_weights",
    "shares",
    "column_weights",
)


class Owner(Protocol):
    """What a stack needs of its engine (engine.py)."""

    @property
    def xp(self) -> Any:
        """The array-API namespace of tensors."""

    model: Model

    def asarray(self, x: np.ndarray) -> torch.Tensor:
        """A tensor on the engine's device."""

    def numpy(self, x: torch.Tensor) -> np.ndarray:
        """A NumPy copy."""

    def encode(self, p: Mapping[str, torch.Tensor], view: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior means and log-variances."""

    def decode(self, p: Mapping[str, torch.Tensor], view: int, z: torch.Tensor) -> torch.Tensor:
        """The likelihood's outputs."""


class Stack:
    """States of one engine that make their steps together. graphs: whether steps are replayed CUDA graphs."""

    def __init__(self, engine: Owner, states: Sequence[State], *, graphs: bool) -> None:
        self.engine, self.members, self.graphs = engine, list(states), graphs
        for state in states:
            state.settle()
        first, moments = states[0], [state.moments() for state in states]
        parameters = {
            name: torch.stack([state.parameters[name].detach() for state in states]).requires_grad_(x.requires_grad)
            for name, x in first.parameters.items()
        }
        started = bool(moments[0]) and float(moments[0]["step"]) > 0
        joined = {name: torch.stack([each[name] for each in moments]) for name in moments[0] if name != "step"}
        joined |= {"step": moments[0]["step"]}
        make = adam_in_graphs if graphs else adam
        self.state = State(engine.model, parameters, joined if started else None, make, stacked=True)
        self._steps: dict[Any, _Replayed] = {}
        for k, state in enumerate(states):
            state.within = (self.state, k)

    def step(
        self,
        batches: Sequence[Batch],
        *,
        beta: float,
        learning_rate: float,
        coupling_rate: float = 1.0,
        weight_decay: float = 0.0,
        max_gradient_norm: float | None = None,
    ) -> list[dict[str, Any]]:
        """One step of each member on its own batch; what ``Engine.train_step`` reports of each."""
        inputs = self._inputs(batches)
        beta_tensor = self.engine.asarray(np.asarray(beta))
        self.state.set_rates(learning_rate, coupling_rate, weight_decay)
        if self.graphs:
            found, lengths = self._replayed(inputs, beta_tensor, max_gradient_norm)
        else:
            found, lengths = self._computed(inputs, beta_tensor, max_gradient_norm)
        columns = [found.loss[:, None], found.kl[:, None], found.reconstruction, lengths[:, None].to(found.loss.dtype)]
        reports = []
        for k, (loss, kl, *reconstruction, length) in enumerate(torch.cat(columns, dim=1).detach().tolist()):
            report: dict[str, Any] = {"gradient_norm": length} if max_gradient_norm is not None else {}
            report |= {"loss": loss, "reconstruction": reconstruction, "kl": kl}
            if not math.isfinite(loss):
                report["rows"] = _member(found, k).by_row(batches[k], self.engine.numpy, ragged=False, always=True)
            reports.append(report)
        return reports

    def _inputs(self, batches: Sequence[Batch]) -> Given:
        """The batches side by side, all in the form that the most irregular of them needs."""
        form = all(batch.is_uniform for batch in batches), any(batch.is_masked for batch in batches)
        if any(batch.column_weights is not None for batch in batches):  # then all of them have some
            ones = tuple(np.ones(c) for c in self.engine.model.features)
            batches = [b if b.column_weights is not None else replace(b, column_weights=ones) for b in batches]
        each = [batch.inputs(np.asarray, ragged=False, form=form) for batch in batches]

        def side_by_side(parts: Sequence[Any]) -> Any:
            if parts[0] is None:
                return None
            if isinstance(parts[0], tuple):
                return tuple(side_by_side(part) for part in zip(*parts, strict=True))
            return self.engine.asarray(np.stack(parts))

        moving = {name: side_by_side([getattr(one, name) for one in each]) for name in _MOVING}
        return Inputs(**moving, own=each[0].own, crossed=each[0].crossed)

    def _computed(self, inputs: Given, beta: torch.Tensor, most: float | None) -> tuple[Found, torch.Tensor]:
        """The step itself: the objectives before it, and the lengths of the gradients."""
        engine = self.engine

        def one(p: Tensors, moving: Mapping[str, Any]) -> tuple[Any, ...]:
            batch = inputs._replace(**moving)
            found = negative_elbo(
                engine.model,
                p,
                batch,
                lambda i, x: engine.encode(p, i, x),
                lambda i, z: engine.decode(p, i, z),
                beta=beta,
                xp=engine.xp,
            )
            return tuple(found)  # the trees of older torch have no generic NamedTuple

        moving = {name: getattr(inputs, name) for name in _MOVING if getattr(inputs, name) is not None}
        with torch.enable_grad():
            self.state.optimizer.zero_grad()
            found = Objective(*torch.func.vmap(one)(self.state.parameters, moving))
            found.loss.sum().backward()
        lengths = torch.zeros_like(found.loss) if most is None else self.state.limit_each(most)
        self.state.optimizer.step()
        return found, lengths

    def _replayed(self, inputs: Given, beta: torch.Tensor, most: float | None) -> tuple[Found, torch.Tensor]:
        """The same by a CUDA graph, captured for the first batch of its form."""
        key = (most, *(_shape(getattr(inputs, name)) for name in _MOVING))
        if key not in self._steps:
            self._steps[key] = _Replayed(self, inputs, beta, most)
        return self._steps[key](inputs, beta)


class Stacks:
    """A stack that is too large for one CUDA graph, in parts."""

    def __init__(self, parts: Sequence[Stack]) -> None:
        self.parts = parts

    def step(self, batches: Sequence[Batch], **settings: Any) -> list[dict[str, Any]]:
        """As ``Stack.step``."""
        reports, start = list[dict[str, Any]](), 0
        for part in self.parts:
            count = len(part.members)
            reports += part.step(batches[start : start + count], **settings)
            start += count
        return reports


def stack_of(engine: Owner, states: Sequence[State], *, graphs: bool) -> Stack | Stacks:
    """The states as one program; on CUDA one that is replayed, or several.

    A prior's rotations solve a system per model (the Cayley map), and batched solves of more than some matrices cannot be
    captured. A canonical prior has none in frame coordinates.
    """
    if not graphs:
        return Stack(engine, states, graphs=False)
    model = engine.model
    rotates = model.prior != "independent" and not (model.prior == "canonical" and model.in_frames)
    most = _CAPTURED_WITH_SOLVES if rotates else _CAPTURED
    parts = [Stack(engine, states[k : k + most], graphs=True) for k in range(0, len(states), most)]
    return parts[0] if len(parts) == 1 else Stacks(parts)


_CAPTURED, _CAPTURED_WITH_SOLVES = 256, 8


class _Replayed:
    """A captured step, with the tensors that it reads and those that it writes."""

    def __init__(self, stack: Stack, inputs: Given, beta: torch.Tensor, most: float | None) -> None:
        self.inputs, self.beta = inputs, beta.clone()
        saved = stack.state.snapshot()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what libraries allocate at first use is allocated now
            for _ in range(3):
                stack._computed(self.inputs, self.beta, most)
        torch.cuda.current_stream().wait_stream(side)
        stack.state.restore(saved)
        self.graph = torch.cuda.CUDAGraph()
        stack.state.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.found, self.lengths = stack._computed(self.inputs, self.beta, most)

    def __call__(self, inputs: Given, beta: torch.Tensor) -> tuple[Found, torch.Tensor]:
        for name in _MOVING:
            _copy(getattr(self.inputs, name), getattr(inputs, name))
        self.beta.copy_(beta)
        self.graph.replay()
        return self.found, self.lengths


def _copy(into: Any, given: Any) -> None:
    if isinstance(into, tuple):
        for one, other in zip(into, given, strict=True):
            _copy(one, other)
    elif into is not None and into is not given:
        into.copy_(given)


def _shape(x: Any) -> Any:
    if x is None:
        return None
    return tuple(map(_shape, x)) if isinstance(x, tuple) else tuple(x.shape)


def _member(found: Found, k: int) -> Found:
    """One model's part."""
    means, log_vars, log_probs = (tuple(x[k] for x in part) for part in (found.means, found.log_vars, found.log_probs))
    return Objective(found.loss[k], found.reconstruction[k], found.kl[k], means, log_vars, found.kl_by_row[k], log_probs)
