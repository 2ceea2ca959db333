"""A training in progress: parameters as leaves of the graph, and torch's optimiser, whose state is saved as arrays by name.

torch's Adam keeps exp_avg, exp_avg_sq and step for each tensor; a file has m.<name>, v.<name> and one step for all of them.
What another optimiser keeps is saved as state.<key>.<name>, a number that is no tensor as state.number[<key>].<name>, and each
number of its groups that it has changed as state.group[<i>].<key>. Its own weight decay is off: that of the estimator goes
beside it, decoupled.
"""

from __future__ import annotations

import inspect
import math
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from jpvae.errors import ConfigError
from jpvae.model.model import Model

Tensors = dict[str, torch.Tensor]
MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]  # from parameter groups
_ADAM = {"exp_avg": "m", "exp_avg_sq": "v"}
NUMBERS = ("state.group[", "state.number[")  # kept in float64 whatever the engine's dtype
_KEPT = "expected for each parameter a dict of real numbers, dense tensors of real numbers, and None, which a file can keep"
_UNMARKED = 1.0  # in files of 0.1.0 and before, which do not tell whose numbers they have


def adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), one fused kernel per group where there is one."""
    fused = all(x.device.type in ("cpu", "cuda") for group in groups for x in group["params"])
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=fused)


def adam_in_graphs(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """``adam`` with its rates and counts on the device, where a CUDA graph reads them."""
    rated = [group | {"lr": torch.zeros((), device=group["params"][0].device)} for group in groups]
    return torch.optim.AdamW(rated, weight_decay=0.0, fused=True, capturable=True)


def _made(make: MakeOptimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser of these groups. Raises ConfigError where there is none, or one that calls the loss itself."""
    expected = "expected a function of parameter groups that gives a torch.optim.Optimizer"
    try:
        made = make(groups)
    except (TypeError, ValueError) as error:  # torch's, for groups and options that an optimiser does not take
        raise ConfigError(f"optimizer fails on {len(groups)} groups of parameters: {error}; {expected}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise ConfigError(f"optimizer gave {made!r}; {expected}")
    kind = type(made).__name__
    if lacking := [key for group in made.param_groups for key in ("lr", "couples", "decay") if key not in group]:
        raise ConfigError(
            f"optimizer gave {kind}, which has a group without {lacking[0]!r}; {expected}, with a rate 'lr' in each"
        )
    given, held = ([id(x) for group in each for x in group["params"]] for each in (groups, made.param_groups))
    if sorted(given) != sorted(held):
        raise ConfigError(f"optimizer gave {kind}, which trains other tensors than the groups have; {expected} of all of them")
    if any(x.default is x.empty and x.kind is not x.VAR_KEYWORD for x in inspect.signature(made.step).parameters.values()):
        raise ConfigError(f"optimizer gave {kind}, whose step needs a closure; {expected} and steps once for each gradient")
    return made


class State:
    """``parameters`` by name, of which those that require a gradient are trained by ``optimizer``.

    Groups: the networks' matrices by how fast they decay; what does not; the couplings, whose rate is another.
    stacked: whether all have one more axis, the first, for the models of a stack (stack.py).
    """

    def __init__(
        self,
        model: Model,
        parameters: Tensors,
        moments: Mapping[str, torch.Tensor] | None,
        make: MakeOptimizer,
        *,
        stacked: bool = False,
    ) -> None:
        self.within: tuple[State, int] | None = None  # the stack that makes its steps, and its place there
        self.parameters = parameters
        # By name, not in the mapping's order: a file has another, and |g| is summed in this one.
        self.trained = {name: x for name, x in sorted(parameters.items()) if x.requires_grad}
        if not self.trained:
            raise ConfigError(
                "nothing is left to train: every parameter of the networks is frozen, and neither the prior nor a likelihood "
                "has any"
            )
        slow, groups = model.coupling_parameters, list[dict[str, Any]]()
        kinds = {name: (model.decay(name, x.ndim - stacked), name in slow) for name, x in self.trained.items()}
        for decay, couples in sorted(set(kinds.values()), key=lambda kind: (kind[1], -kind[0])):
            chosen = [x for name, x in self.trained.items() if kinds[name] == (decay, couples)]
            groups.append({"params": chosen, "decay": decay, "couples": couples, "weight_decay": 0.0})
        self.optimizer, self._names = _made(make, groups), {id(x): name for name, x in self.trained.items()}
        self._adam, self._checked = make in (adam, adam_in_graphs), False
        self._groups_made = [_numbers(group) for group in self.optimizer.param_groups]
        if moments:
            self._resume(moments)

    def _resume(self, moments: Mapping[str, torch.Tensor]) -> None:
        theirs = float(moments.get("state", 0.0))
        if theirs not in ((0.0,) if self._adam else (self._mark, _UNMARKED)):
            raise KeyError(f"the state of {type(self.optimizer).__name__}")
        if not self._adam:
            self._resume_own({saved: x for saved, x in moments.items() if saved.startswith("state.")})
            return
        for name, x in self.trained.items():
            kept = {key: moments[f"{short}.{name}"].clone() for key, short in _ADAM.items()}
            kept["step"] = moments["step"].to(torch.float32).clone()
            self.optimizer.state[x] = kept

    def _resume_own(self, moments: Mapping[str, torch.Tensor]) -> None:
        """Of an optimiser of the user's own. A name may end in another (encoder.0.encoder.1.weight in encoder.1.weight): each
        array is that of the longest."""
        for x in self.trained.values():
            self.optimizer.state[x] = {}
        for saved, value in moments.items():
            if group := re.fullmatch(r"state\.group\[(\d{1,6})\]\.(.+)", saved):
                _set_number(self.optimizer.param_groups, saved, int(group[1]), group[2], value)
            elif owners := [name for name in self.parameters if saved.endswith(f".{name}")]:
                name = max(owners, key=len)
                if name in self.trained:
                    key, kept = saved.removeprefix("state.").removesuffix(f".{name}"), self.optimizer.state[self.trained[name]]
                    if number := re.fullmatch(r"number\[(.+)\]", key):
                        kept[number[1]] = _number(saved, value)
                    else:
                        kept[key] = value.clone()

    @property
    def _mark(self) -> float:
        """What tells an optimiser of the user's own from others in a file, which has numbers only; a float32 holds it."""
        kind = type(self.optimizer)
        return float(zlib.crc32(f"{kind.__module__}.{kind.__qualname__}".encode()) % 2**24)

    @property
    def stacks(self) -> bool:
        """Whether it can be one of a stack: its optimiser works number by number."""
        return self._adam

    def set_rates(self, rate: float, coupling_rate: float, weight_decay: float) -> None:
        """Of the optimiser's next steps."""
        for group in self.optimizer.param_groups:
            now = rate * coupling_rate if group["couples"] else rate
            group["lr"] = group["lr"].fill_(now) if isinstance(group["lr"], torch.Tensor) else now
            if self._adam:
                group["weight_decay"] = weight_decay * group["decay"]
            elif weight_decay and group["decay"]:  # decoupled, whichever way the optimiser's own would go
                for x in group["params"]:
                    x.detach().mul_(1.0 - now * weight_decay * group["decay"])

    def step(self) -> None:
        """The optimiser's. Raises ConfigError where, after the first, its state cannot be kept in a file."""
        self.optimizer.step()
        if not self._checked:
            self.moments()
            self._checked = True

    def gradients(self) -> list[torch.Tensor]:
        """Of all that is trained: zeros where nothing of a batch needed it."""
        for x in self.trained.values():
            x.grad = torch.zeros_like(x) if x.grad is None else x.grad
        return [x.grad for x in self.trained.values() if x.grad is not None]

    def limit(self, most: float) -> float:
        """g <- g min(1, most/|g|) where |g| is finite; returns |g| (of before), summed in float64."""
        gradients = [x.grad for x in self.trained.values() if x.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients])
        norm = float(torch.linalg.vector_norm(norms))
        if most < norm < math.inf:
            for g in gradients:
                g.mul_(most / norm)
        return norm

    def limit_each(self, most: float) -> torch.Tensor:
        """``limit`` of each model of a stack, (K,), without waiting for the device."""
        gradients = [x.grad for x in self.trained.values() if x.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1, dtype=torch.float64) for g in gradients])
        length = torch.linalg.vector_norm(norms, dim=0)
        factor = torch.where(torch.isfinite(length) & (length > most), most / length, 1.0)
        for g in gradients:
            g.mul_(factor.to(g.dtype).reshape(-1, *[1] * (g.ndim - 1)))
        found: torch.Tensor = length
        return found

    def settle(self) -> None:
        """Take over, from the stack that has made its steps, where it stands."""
        if self.within is None:
            return
        (stack, k), self.within = self.within, None
        with torch.no_grad():
            for name, x in self.parameters.items():
                x.copy_(stack.parameters[name][k])
        self._resume({name: x if name == "step" else x[k] for name, x in stack.moments().items()})
        self.within = stack, k

    def leave(self) -> None:
        """Make its next steps alone, from where its stack is."""
        self.settle()
        self.within = None

    def snapshot(self) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
        """Copies of all that a step changes."""
        kept = [{key: value.clone() for key, value in self.optimizer.state.get(x, {}).items()} for x in self.trained.values()]
        return [x.detach().clone() for x in self.trained.values()], kept

    def restore(self, saved: tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]) -> None:
        """Bring it back, in place; what the optimiser did not have yet is 0."""
        with torch.no_grad():
            for x, before, kept in zip(self.trained.values(), *saved, strict=True):
                x.copy_(before)
                for key, value in self.optimizer.state[x].items():
                    value.copy_(kept.get(key, torch.zeros_like(value)))

    def moments(self) -> Tensors:
        """The optimiser's arrays by name: what ``State`` takes."""
        saved: Tensors = {}
        if not self._adam:
            return self._own_state() | self._changed_groups() | {"state": torch.tensor(self._mark)}
        for name, x in self.trained.items():
            kept = self.optimizer.state.get(x, {})
            saved |= {f"{short}.{name}": kept.get(key, torch.zeros_like(x)) for key, short in _ADAM.items()}
            saved["step"] = kept.get("step", torch.zeros(()))
        return saved

    def _own_state(self) -> Tensors:
        """Of an optimiser of the user's own; an entry that is None is as one that is absent."""
        saved: Tensors = {}
        kind = type(self.optimizer).__name__
        for x, kept in self.optimizer.state.items():
            if id(x) not in self._names or not isinstance(kept, Mapping):
                raise ConfigError(f"optimizer is {kind}, whose state has the key {x!r:.80}; {_KEPT}")
            for key, value in kept.items():
                if value is None:
                    continue
                if not _is_kept(value):
                    raise ConfigError(f"optimizer is {kind}, whose state has {key!r} = {value!r:.80}; {_KEPT}")
                if isinstance(value, torch.Tensor):
                    saved[f"state.{key}.{self._names[id(x)]}"] = value
                else:
                    saved[f"state.number[{key}].{self._names[id(x)]}"] = torch.tensor(float(value), dtype=torch.float64)
        return saved

    def _changed_groups(self) -> Tensors:
        """What of the groups' numbers is another than when they were made: steps counted there, say."""
        groups = enumerate(zip(self.optimizer.param_groups, self._groups_made, strict=True))
        return {
            f"state.group[{i}].{key}": torch.tensor(value, dtype=torch.float64)
            for i, (group, made) in groups
            for key, value in _numbers(group).items()
            if value != made.get(key)
        }


def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
    """Of a group of parameters, by key; the rates are the engine's."""
    others = {key: x for key, x in group.items() if key not in ("lr", "weight_decay") and _is_kept(x)}
    return {key: float(x) for key, x in others.items() if not isinstance(x, torch.Tensor) or x.numel() == 1}


def _set_number(groups: list[dict[str, Any]], saved: str, i: int, key: str, value: torch.Tensor) -> None:
    """As the kind of number that stands there. Raises KeyError for what no group of these has kept."""
    if i >= len(groups):
        raise KeyError(saved)
    held: Any = groups[i].get(key)
    number = _number(saved, value)
    if isinstance(held, torch.Tensor):
        held.fill_(number)  # in place: groups may share it
    else:
        groups[i][key] = number if held is None else type(held)(number)


def _number(saved: str, value: torch.Tensor) -> float:
    """An integer where it is whole. Raises KeyError for what is not one finite number."""
    if value.numel() != 1 or not value.isfinite():
        raise KeyError(saved)
    number = float(value)
    return int(number) if number.is_integer() else number


def _is_kept(value: Any) -> bool:
    """Whether a file can hold it: a real number, or a dense tensor of such."""
    if not isinstance(value, torch.Tensor):
        return isinstance(value, int | float | np.integer | np.floating)
    odd = value.is_complex() or value.is_quantized or value.layout != torch.strided
    return not odd and (not value.is_floating_point() or value.dtype in (torch.float16, torch.float32, torch.float64))
