"""A training in progress: the parameters with Adam's moments. Equal layers of views of equal sizes are one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .adam import Adam, Trained


class State:
    """Parameters and moments by name, in the model's layout (views of the tensors that are trained).

    shapes: of the parameters, by name; ``like`` gives dtype and device. All are 0 at first.
    """

    def __init__(self, model: Any, shapes: Mapping[str, tuple[int, ...]], like: torch.Tensor) -> None:
        sizes = [tuple(model.layers("encoder", i)) for i in range(model.views)]
        self.groups = [tuple(i for i, s in enumerate(sizes) if s == size) for size in dict.fromkeys(sizes)]
        self.adam = Adam(like)
        self.layers: dict[tuple[str, tuple[int, ...]], list[Trained]] = {}  # of a group's encoders, of one decoder, ...
        self.own: dict[str, Trained] = {}  # what is in no layer
        self.parameters, self.m, self.v = named = {}, {}, {}

        def publish(names: list[str], trained: Trained) -> None:
            for into, tensors in zip(named, trained, strict=True):
                into |= zip(names, tensors, strict=True)

        for part in ("encoder", "decoder"):
            for group in self.groups:
                stacks = [
                    Trained.zeros([(len(group), *shapes[f"{part}.{group[0]}.{k}.{kind}"]) for kind in ("weight", "bias")], like)
                    for k in range(model.depth(group[0]))
                ]
                self.layers[part, group] = stacks
                for at, i in enumerate(group):
                    alone = self.layers[part, (i,)] = [stack.one(at) for stack in stacks]
                    for k, layer in enumerate(alone):
                        names = [f"{part}.{i}.{k}.weight", f"{part}.{i}.{k}.bias"]
                        publish(names, Trained(*([x[0] for x in tensors] for tensors in layer)))
        for name in shapes.keys() - self.parameters.keys():
            self.own[name] = Trained.zeros([shapes[name]], like)
            publish([name], self.own[name])

    def step(self, name: str, gradient: torch.Tensor, rate: float) -> None:
        """Adam's step of a parameter that is in no layer."""
        self.adam.step(self.own[name], [gradient], rate)
