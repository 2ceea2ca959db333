"""Which classifiers a trained model is judged by, on which images they are tested, and how their training goes on after a stop.

Inputs are decoder logits of one posterior sample per image; an imputation decodes Eq. 12's mean with the moments of the split
that it is made of. Five classifiers per model: on each single view and on [X1; X2]; on the images themselves, three.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jpvae_core as jc

from ...files import checkpoints
from ...streams import Stream, generator
from ..measures import decoder_logits, eq12, sampled_latents
from .digits import Split
from .perceptrons import CLASSES, Perceptrons
from .runs import fitted

if TYPE_CHECKING:
    import torch

Inputs = dict[str, np.ndarray]
_ORDER = 1000  # of the stream of initial weights, whose numbers are below
SINGLE = ("1", "1|2", "2", "2|1")
TESTED = {"1": ("1", "1|2"), "1|2": ("1|2",), "2": ("2", "2|1"), "2|1": ("2|1",)}  # trained on: tested on
BOTH = (("1", "2"), ("1", "2|1"), ("1|2", "2"), ("1|2", "2|1"))  # what the classifier of [1; 2] is tested on


def of_model(folder: Path, train: Split, test: Split, work: Path, *, epochs: int, seed: int, device: str) -> dict[str, Any]:
    """Accuracies {"trained on > tested on": part}, and the seconds they took. work: where a stopped training goes on."""
    seen, new = (logits_of(folder, split) for split in (train, test))
    return _trained(SINGLE, TESTED, BOTH, (seen, train.labels), (new, test.labels), work, epochs, seed, device)


def of_originals(train: Split, test: Split, work: Path, *, epochs: int, seed: int, device: str) -> dict[str, Any]:
    """The same on the images themselves, raw bytes 0 to 255."""
    seen, new = ({"1": x[:, :392], "2": x[:, 392:]} for x in (_flat(train), _flat(test)))
    tested = {"1": ("1",), "2": ("2",)}
    return _trained(("1", "2"), tested, BOTH[:1], (seen, train.labels), (new, test.labels), work, epochs, seed, device)


def _flat(split: Split) -> np.ndarray:
    return split.images.reshape(len(split.images), -1).astype(np.float32)


def logits_of(folder: Path, split: Split) -> Inputs:
    """Decoder logits of the reconstructions "1", "2" and the imputations "1|2", "2|1", (N, 392) each."""
    predictor = fitted(folder).predictor()
    samples = sampled_latents(predictor, split.views)
    n1 = predictor.model.latent_dims[0]
    imputed = eq12(samples, jc.Moments().update(samples), n1)
    latents = dict(zip(("1", "2", "1|2", "2|1"), [*np.split(samples, [n1], axis=1), *imputed], strict=True))
    return {name: decoder_logits(predictor, int(name[0]) - 1, z) for name, z in latents.items()}


def _trained(
    single: tuple[str, ...],
    tested: Mapping[str, tuple[str, ...]],
    both: tuple[tuple[str, str], ...],
    train: tuple[Inputs, np.ndarray],
    test: tuple[Inputs, np.ndarray],
    work: Path,
    epochs: int,
    seed: int,
    device: str,
) -> dict[str, Any]:
    import torch

    (seen, seen_labels), (new, new_labels) = _mixed(*train), test
    labels = torch.as_tensor(seen_labels.astype(np.int64), device=device)
    targets = torch.nn.functional.one_hot(labels, CLASSES).float()
    truth = torch.as_tensor(new_labels.astype(np.int64), device=device)

    def stacked(inputs: list[np.ndarray]) -> torch.Tensor:
        return torch.as_tensor(np.stack(inputs), device=device)

    accuracy: dict[str, float] = {}
    seconds = 0.0
    # One by one on a CPU, whose cache holds the weights of one (benchmarks/stacked_classifiers.py); a GPU wants them stacked.
    groups = [(name,) for name in single] if device == "cpu" else [single]
    for g, group in enumerate(groups):
        x = stacked([seen[name] for name in group])
        models, spent = _fit(x, targets, [(seed, single.index(name)) for name in group], epochs, work / f"{g}.safetensors")
        seconds += spent
        on_training = models.accuracy(x, labels)
        for k, name in enumerate(group):
            accuracy[f"{name} > train"] = on_training[k]
            for other in tested[name]:  # every model of the stack sees the images; the one that is meant is kept
                accuracy[f"{name} > {other}"] = models.accuracy(stacked([new[other]] * len(group)), truth)[k]
    x = stacked([np.concatenate([seen["1"], seen["2"]], axis=1)])
    model, spent = _fit(x, targets, [(seed, len(SINGLE))], epochs, work / "both.safetensors")
    accuracy["[1; 2] > train"] = model.accuracy(x, labels)[0]
    for parts in both:
        tested_on = stacked([np.concatenate([new[part] for part in parts], axis=1)])
        accuracy[f"[1; 2] > [{parts[0]}; {parts[1]}]"] = model.accuracy(tested_on, truth)[0]
    return {"accuracy": accuracy, "epochs": epochs, "cpu_seconds": seconds + spent}


def _mixed(inputs: Inputs, labels: np.ndarray) -> tuple[Inputs, np.ndarray]:
    """The images in one fixed random order, for every seed the same.

    The published program goes through tensorflow-datasets' MNIST in that file's order, which is mixed. In the order of the
    original files plain SGD is slower to learn view 2, by up to 4 % of the images (docs/reproduction.md).
    """
    order = generator(0, Stream.CLASSIFIER, _ORDER).permutation(len(labels))
    return {name: x[order] for name, x in inputs.items()}, labels[order]


def _fit(
    x: torch.Tensor, targets: torch.Tensor, seeds: list[tuple[int, int]], epochs: int, path: Path
) -> tuple[Perceptrons, float]:
    """Train a stack; ``path`` holds it after each epoch, and a training that was stopped goes on from there. -> CPU seconds."""
    models, first, seconds = Perceptrons.initial(seeds, x.shape[-1], device=str(x.device)), 0, 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        arrays, header = checkpoints.load(path)
        models.restore(arrays)
        first, seconds = int(header["epoch"]), float(header["cpu_seconds"])
    for epoch in range(first, epochs):
        begin = time.process_time()
        models.epoch(x, targets)
        seconds += time.process_time() - begin
        checkpoints.save(path, models.arrays(), {"epoch": epoch + 1, "cpu_seconds": seconds})
    return models, seconds
