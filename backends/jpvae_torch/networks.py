"""The networks of a model under torch: dense layers by the model's layout, or modules that the user's factories make.

A factory is called with (features, latents). Its module's parameters and persistent buffers enter the layout under
encoder.<view>.<name> or decoder.<view>.<name>, where <name> is the module's own; the module is then called with whatever
tensors stand there, and keeps none; its input is a copy, which it may change. What the factory has put into evaluation mode
stays in it (a pretrained part whose batch norms and dropout are to rest); no module is left in another mode than it was
found in.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch

from jpvae.errors import ConfigError
from jpvae.model.model import Model

Factory = Callable[[int, int], torch.nn.Module]
Tensors = Mapping[str, torch.Tensor]
# What a factory or a module of the user's may raise; the message goes into one that names the network.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_EXACT = 2**53  # integers up to this are doubles
_UNSIZED = (torch.nn.parameter.UninitializedParameter, torch.nn.parameter.UninitializedBuffer)


class Networks:
    """Encoders and decoders. factories: by part, "encoder.0" say, for those that are not dense layers."""

    def __init__(self, model: Model, factories: Mapping[str, Factory], like: torch.Tensor) -> None:
        self.model, self._factories, self._like = model, factories, like
        with torch.random.fork_rng():
            self._modules = {part: self._made(part) for part in factories}
        self._own = {part: _saved(module) for part, module in self._modules.items()}
        for part in self._modules:
            self._check(part)

    def __call__(self, p: Tensors, part: str, view: int, x: torch.Tensor, *, training: bool = False) -> torch.Tensor:
        """The outputs (..., c) of a view's "encoder" or "decoder" for x (..., n)."""
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        name = f"{part}.{view}"
        outputs = self._own_network(p, name, rows, training) if name in self._modules else self._dense(p, name, view, rows)
        return outputs if x.ndim == 2 else outputs.reshape(*x.shape[:-1], outputs.shape[-1])

    def _dense(self, p: Tensors, name: str, view: int, x: torch.Tensor) -> torch.Tensor:
        depth, first, path = self.model.depth(view), x, f"{name}.linear.weight"
        for k in range(depth):
            x = torch.addmm(p[f"{name}.{k}.bias"], x, p[f"{name}.{k}.weight"])
            x = torch.relu(x) if k < depth - 1 else x
        return torch.addmm(x, first, p[path]) if path in p else x

    def _own_network(self, p: Tensors, part: str, x: torch.Tensor, training: bool) -> torch.Tensor:
        try:
            with _mode(self._modules[part], training) as module:
                outputs, buffers = self._applied(p, part, module, x)
        except ValueError as error:
            if not training or len(x) > 1:
                raise
            kind, view = self._called(part)
            raise ConfigError(
                f"networks: the {kind} of view {view} cannot be trained on a batch of one row: {error}. Statistics of a batch "
                "need at least two rows: raise batch_size, or take a norm of each row (LayerNorm)."
            ) from error
        if training and isinstance(p, dict):  # a module may give its buffers new tensors, in place of changing them
            p |= buffers
        return self._checked(part, outputs, len(x))

    def _applied(self, p: Tensors, part: str, module: torch.nn.Module, x: torch.Tensor) -> tuple[Any, Tensors]:
        """What the module gives for x with the tensors of the layout, and those of its buffers that are others now."""
        given = {key: p[f"{part}.{key}"].to(held.dtype) for key, held in self._own[part].items()}
        left = dict(given)
        x = x[:, : self._fan_in(part)].clone()  # without the bits that say which cells there are: a factory counts features
        outputs = torch.func.functional_call(module, left, (x,))  # which puts into left what the module has assigned
        anew = {key: value for key, value in left.items() if value is not given[key] and not given[key].requires_grad}
        for key, value in anew.items():
            if value.shape != given[key].shape:
                (kind, view), found, made = self._called(part), tuple(value.shape), tuple(given[key].shape)
                raise ConfigError(
                    f"networks: the {kind} of view {view} assigns its {key!r} with the shape {found}; expected {made}, as its "
                    "factory makes it"
                )
        return outputs, {f"{part}.{key}": value.detach() for key, value in anew.items()}

    def _called(self, part: str) -> tuple[str, str]:
        """The part's kind, and its view: by the name that its factory has for it, else by its number."""
        kind, _, view = part.partition(".")
        name = getattr(self._factories[part], "view", None)
        return kind, view if name is None else repr(name)

    def _sizes(self, part: str) -> tuple[int, int]:
        """Features and latents of the view."""
        view = int(part.partition(".")[2])
        return self.model.features[view], self.model.latent_dims[view]

    def _fan_in(self, part: str) -> int:
        features, latents = self._sizes(part)
        return features if part.startswith("encoder") else latents

    def _made(self, part: str) -> torch.nn.Module:
        (kind, view), sizes = self._called(part), self._sizes(part)
        try:
            module = self._factories[part](*sizes)
        except _FAILURES as error:
            found = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"networks: the {kind}'s factory for view {view}, called with {sizes[0]} features and {sizes[1]} latents, "
                f"failed: {found}"
            ) from error
        if not isinstance(module, torch.nn.Module):
            raise ConfigError(f"networks: the {kind}'s factory for view {view} gave {module!r}; expected a torch.nn.Module")
        if unfit := _unfit(module):
            raise ConfigError(
                f"networks: the {kind}'s factory for view {view} gave {unfit}; expected a plain torch.nn.Module with all its "
                "parameters (the factory is called with the numbers of features and latents), which are real floats, integers "
                "or booleans, as are its buffers, and dense"
            )
        held = [x for x in chain(module.parameters(), module.buffers()) if x.is_floating_point()]
        if all((x.dtype, x.device) == (self._like.dtype, self._like.device) for x in held):
            return module
        try:
            return copy.deepcopy(module).to(device=self._like.device, dtype=self._like.dtype)  # the factory may keep its own
        except _FAILURES as error:
            wanted, found = f"{self._like.dtype} on {self._like.device}", f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"networks: the {kind}'s factory for view {view} gave a module that cannot be copied to {wanted}: {found}"
            ) from error

    def _check(self, part: str) -> None:
        """Raise ConfigError where a module fails, or its outputs do not fit."""
        (kind, view), fan_in = self._called(part), self._fan_in(part)
        try:
            with torch.no_grad(), _mode(self._modules[part], training=False) as module:
                p = {f"{part}.{key}": x for key, x in self._own[part].items()}
                found, _ = self._applied(p, part, module, self._like.new_zeros(2, fan_in))
        except _FAILURES as error:  # for shapes that do not fit torch raises RuntimeError
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f"networks: the {kind} of view {view} fails on 2 rows of {fan_in} numbers: {reason}") from error
        self._checked(part, found, 2)

    def _checked(self, part: str, found: Any, rows: int) -> torch.Tensor:
        """A module's outputs in the engine's dtype. Raises ConfigError where their shape is another, or they are no floats."""
        (kind, view), (c, n), fan_in = self._called(part), self._sizes(part), self._fan_in(part)
        fan_out = 2 * n if kind == "encoder" else c
        gives = f"networks: for {rows} rows of {fan_in} numbers the {kind} of view {view} gives"
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        if shape != (rows, fan_out):
            meaning = "2 x latents: means, then log-variances" if kind == "encoder" else "one output per column"
            raise ConfigError(f"{gives} {shape}; expected ({rows}, {fan_out}): {meaning}")
        outputs: torch.Tensor = found
        if not outputs.is_floating_point():
            raise ConfigError(f"{gives} {outputs.dtype}; expected real floats")
        return outputs.to(self._like.dtype)

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        """Fresh values of all own networks' parameters and buffers, by their layout names; torch's generator is left alone."""
        found: dict[str, np.ndarray] = {}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for part in self._factories:
                found |= {f"{part}.{key}": as_floats(x) for key, x in _saved(self._made(part)).items()}
        return found

    @contextmanager
    def randomness(self, noise: np.ndarray) -> Iterator[None]:
        """Own networks may draw (dropout): what they draw is a function of the batch's noise, in a resumed run too."""
        if not self._modules:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(zlib.crc32(noise.tobytes()))
            yield

    def prepare(self, name: str, x: np.ndarray) -> torch.Tensor:
        """A parameter as a leaf: of dense layers, or as its module has it (dtype, trained or frozen)."""
        view_of = ".".join(name.split(".")[:2])
        held = self._own.get(view_of, {}).get(name.removeprefix(f"{view_of}."))
        tensor = torch.tensor(x, dtype=self._like.dtype if held is None else held.dtype, device=self._like.device)
        return tensor.requires_grad_(held is None or held.requires_grad)


def as_floats(x: torch.Tensor) -> np.ndarray:
    """A copy; counts and flags as float64, for files hold floats alone."""
    array = x.detach().cpu().numpy()
    return np.array(array, dtype=array.dtype if x.is_floating_point() else np.float64)


def _unfit(module: torch.nn.Module) -> str | None:
    """Why its parameters and buffers cannot stand in the layout."""
    for name, x in chain(module.named_parameters(), module.named_buffers()):
        if isinstance(x, _UNSIZED):
            return f"a module whose {name!r} has no size yet (a lazy layer)"
        if x.is_complex() or x.is_quantized:
            return f"a module whose {name!r} is of {x.dtype}"
        if x.layout != torch.strided:
            return f"a module whose {name!r} is not dense ({x.layout})"
        if x.dtype == torch.int64 and bool(((x > _EXACT) | (x < -_EXACT)).any()):
            return f"a module whose {name!r} has integers beyond 2**53, which a file cannot keep"
    return "a scripted module" if isinstance(module, torch.jit.ScriptModule) else None


def _saved(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters (one name each) and persistent buffers by name."""
    persistent = module.state_dict().keys()
    return dict(module.named_parameters()) | {name: x for name, x in module.named_buffers() if name in persistent}


@contextmanager
def _mode(module: torch.nn.Module, training: bool) -> Iterator[torch.nn.Module]:
    """The module in training or evaluation mode; in training, what was found in evaluation mode rests."""
    awake = [part for part in module.modules() if part.training]
    for part in awake:
        part.training = training
    try:
        yield module
    finally:
        for part in awake:
            part.training = True
