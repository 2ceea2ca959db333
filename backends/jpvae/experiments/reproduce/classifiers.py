"""Which classifiers a trained model is judged by, on which images they are tested, and how their training goes on after a stop.

Inputs are decoder logits of one posterior sample per image; an imputation decodes Eq. 12's mean with the moments of the split
that it is made of. Five classifiers per model: on each single view and on [X1; X2]; on the images themselves, three.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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


def of_models(
    folders: Sequence[Path], train: Split, test: Split, work: Path, *, epochs: int, seeds: Sequence[int], device: str
) -> list[dict[str, Any]]:
    """Of each trained model: accuracies {"trained on > tested on": part}, and the seconds they took.

    work: where a stopped training goes on; one model's, or that of these models together.
    """
    inputs = [tuple(logits_of(folder, split) for split in (train, test)) for folder in folders]
    return _trained(SINGLE, TESTED, BOTH, inputs, train.labels, test.labels, work, epochs, seeds, device)


def of_originals(train: Split, test: Split, work: Path, *, epochs: int, seed: int, device: str) -> dict[str, Any]:
    """The same on the images themselves, raw bytes 0 to 255."""
    inputs = tuple({"1": x[:, :392], "2": x[:, 392:]} for x in (_flat(train), _flat(test)))
    tested = {"1": ("1",), "2": ("2",)}
    return _trained(("1", "2"), tested, BOTH[:1], [inputs], train.labels, test.labels, work, epochs, [seed], device)[0]


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
    inputs: Sequence[tuple[Inputs, ...]],
    labels: np.ndarray,
    new_labels: np.ndarray,
    work: Path,
    epochs: int,
    seeds: Sequence[int],
    device: str,
) -> list[dict[str, Any]]:
    """inputs: of each model, for training and new; -> of each model its accuracies."""
    import torch

    order = _order(labels)
    seen_labels = torch.as_tensor(labels[order].astype(np.int64), device=device)
    targets = torch.nn.functional.one_hot(seen_labels, CLASSES).float()
    truth = torch.as_tensor(new_labels.astype(np.int64), device=device)
    accuracy: list[dict[str, float]] = [{} for _ in seeds]

    def joined(which: int, jobs: Sequence[tuple[int, tuple[str, ...]]]) -> torch.Tensor:
        """Inputs of each job, a model and the names of its parts, for training (0) or new (1)."""
        parts = [np.concatenate([inputs[m][which][name] for name in names], axis=1) for m, names in jobs]
        return torch.as_tensor(np.stack([x if which else x[order] for x in parts]), device=device)

    def judged(jobs: Sequence[tuple[int, tuple[str, ...]]], numbers: Sequence[int], others: Any, path: Path) -> float:
        """Train a classifier for each job and note what it gets right; the seconds."""
        x = joined(0, jobs)
        models, spent = _fit(x, targets, [(seeds[m], n) for (m, _), n in zip(jobs, numbers, strict=True)], epochs, path)
        on_training = models.accuracy(x, seen_labels)
        for k, (m, names) in enumerate(jobs):
            accuracy[m][f"{_title(names)} > train"] = on_training[k]
        for parts in others:  # on all classifiers of the stack at once; those that are meant are kept
            found = models.accuracy(joined(1, [(m, parts.get(names, names)) for m, names in jobs]), truth)
            for k, (m, names) in enumerate(jobs):
                if names in parts:
                    accuracy[m][f"{_title(names)} > {_title(parts[names])}"] = found[k]
        return spent

    # One by one on a CPU, whose cache holds the weights of one (benchmarks/stacked_classifiers.py); a GPU wants them stacked.
    groups = [(name,) for name in single] if device == "cpu" else [single]
    most = max(map(len, tested.values()))
    on = [{(name,): (others[k],) for name, others in tested.items() if k < len(others)} for k in range(most)]
    every, seconds = range(len(seeds)), 0.0
    for g, group in enumerate(groups):
        jobs = [(m, (name,)) for m in every for name in group]
        numbers = [single.index(name) for _ in every for name in group]
        chosen = [{names: other for names, other in parts.items() if names[0] in group} for parts in on]
        seconds += judged(jobs, numbers, filter(None, chosen), work / f"{g}.safetensors")
    pairs = [{("1", "2"): parts} for parts in both]
    numbers = [len(single)] * len(seeds)
    seconds += judged([(m, ("1", "2")) for m in every], numbers, pairs, work / "both.safetensors")
    return [{"accuracy": each, "epochs": epochs, "cpu_seconds": seconds / len(seeds)} for each in accuracy]


def _title(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"[{'; '.join(names)}]"


def _order(labels: np.ndarray) -> np.ndarray:
    """One fixed random order of the images, for every seed the same.

    The published program goes through tensorflow-datasets' MNIST in that file's order, which is mixed. In the order of the
    original files plain SGD is slower to learn view 2, by up to 4 % of the images (docs/reproduction.md).
    """
    return generator(0, Stream.CLASSIFIER, _ORDER).permutation(len(labels))


def _fit(
    x: torch.Tensor, targets: torch.Tensor, seeds: list[tuple[int, int]], epochs: int, path: Path
) -> tuple[Perceptrons, float]:
    """Train a stack; ``path`` holds it after each epoch, and a training that was stopped goes on from there.

    -> CPU seconds, or a GPU's.
    """
    models, first, seconds = Perceptrons.initial(seeds, x.shape[-1], device=str(x.device)), 0, 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        arrays, header = checkpoints.load(path)
        models.restore(arrays)
        first, seconds = int(header["epoch"]), float(header["cpu_seconds"])
    if first >= epochs:
        return models, seconds
    one_epoch, clock = models.repeated_epoch(x, targets), time.process_time if x.device.type == "cpu" else time.perf_counter
    for epoch in range(first, epochs):
        begin = clock()
        one_epoch()
        arrays = models.arrays()  # waits for a GPU
        seconds += clock() - begin
        checkpoints.save(path, arrays, {"epoch": epoch + 1, "cpu_seconds": seconds})
    return models, seconds
