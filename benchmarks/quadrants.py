"""Measure who fills quadrants of Fashion-MNIST best, for all 14 patterns of missing quadrants: results/quadrants.json.

    python benchmarks/quadrants.py                                  every method that is not yet there; half an hour of one core
    python benchmarks/quadrants.py --method cvae --seeds 3 --again  measure this one anew, with three seeds
    python benchmarks/quadrants.py --tune                           the validation scores by which the settings were chosen
    python benchmarks/quadrants.py --steps 100000 --device cuda --out long.json     longer, on a GPU, into a file of its own

Images are 28 x 28 grey levels in [0, 1], a view is a quadrant of 196 pixels. Training: the first 50,000 training images, with
all views; validation: the first 500 of the other 10,000; test: the first 1,000 test images. Every method is trained on the
cross-entropy of grey levels (Bernoulli), for as many Adam steps of 128 images (the regressors: each of the 14 networks), and
fills what a pattern hides, with 64 draws where it draws (16 in --tune). Scores of a pattern, over its hidden pixels:

error   root mean square of filled less true grey level, where the mean of the draws is filled in
pixel   - log of the mean of the draws' probabilities, pixel by pixel, of the image made black and white (a pixel is white with
        its grey level as probability; one fixed draw), nats per hidden quadrant
joint   - log of the mean over the draws of the probability of all hidden pixels, of the same image, nats per hidden quadrant

seconds: of the CPU on the CPU, of the clock on a device, for the training. quadrants_page.py makes docs/quadrants.md of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import suites
import torch
from quadrants_peers import BATCH, MAKE, PATTERNS, PIXELS, VIEWS

from jpvae import JPVAE
from jpvae.atomic import write_atomically
from jpvae.errors import JPVAEWarning
from jpvae.experiments.data import fashion_mnist, quadrants

KEPT = suites.RESULTS / "quadrants.json"
TRAINING, VALIDATION, TEST, ROWS = 50_000, 500, 1_000, 250
STEPS, TUNING_STEPS, DRAWS, TUNING_DRAWS, SHOWN = 2_000, 800, 64, 16, (0, 1)
_JPVAE: dict[str, Any] = {"latent_dims": 32, "hidden": [256], "learning_rate": 5e-3, "coordinates": "frame"}
_NET: dict[str, Any] = {"hidden": [256], "rate": 1e-3}
_CROSS, _FAST, _FASTER, _DEEP = {"cross_weight": 1.0}, {"rate": 3e-3}, {"rate": 1e-2}, {"hidden": [256, 256]}
TRIED: dict[str, list[dict[str, Any]]] = {  # by --tune
    "jpvae": [_JPVAE | change for change in ({}, _CROSS, _CROSS | {"learning_rate": 1e-2})],
    "regressor": [_NET | change for change in (_FAST, _FAST | _DEEP)],
    "cvae": [{"latents": 32} | _NET | change for change in ({}, _FAST, _FASTER, _DEEP, {"latents": 16})],
    "mopoe": [
        {"latents": 32} | _NET | change for change in ({}, _FAST, _FASTER, _DEEP, {"latents": 64}, _FAST | {"latents": 64})
    ],
}
SETTINGS: dict[str, dict[str, Any]] = {  # of those, the ones with the best joint score
    "jpvae": _JPVAE | _CROSS | {"learning_rate": 1e-2},
    "regressor": _NET | _FAST | _DEEP,
    "cvae": {"latents": 32} | _NET | _FASTER,
    "mopoe": {"latents": 64} | _NET | _FAST,
}
# images (R, 4, 196), the pattern and the number of draws S -> probabilities (S, R, hidden)
Fill = Callable[[np.ndarray, tuple[bool, ...], int], np.ndarray]


def images(split: str) -> np.ndarray:
    """(N, 4, 196) in [0, 1] of "train", "validation" or "test"."""
    whole = fashion_mnist("test" if split == "test" else "train")
    part = {"train": slice(TRAINING), "validation": slice(TRAINING, TRAINING + VALIDATION), "test": slice(TEST)}[split]
    return np.stack(quadrants(whole[part]), axis=1)


def fit_jpvae(x: np.ndarray, setting: Mapping[str, Any], *, steps: int, seed: int, device: str) -> tuple[Fill, int]:
    """The estimator as a user calls it. How it fills, and its number of parameters."""
    chosen = {"likelihood": "bernoulli", "backend": "torch", "steps": steps, "batch_size": BATCH, "calibration": 0.0}
    model = JPVAE(**chosen | dict(setting), seed=seed, device=device, threads=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JPVAEWarning)  # of pixels that are black in every image
        model.fit(list(x.swapaxes(0, 1)))

    def fill(rows: np.ndarray, seen: tuple[bool, ...], draws: int) -> np.ndarray:
        predictor, hidden = model.predictor(), [j for j in range(VIEWS) if not seen[j]]
        found = np.empty((draws, len(rows), len(hidden), PIXELS), np.float32)
        given = [
            np.ascontiguousarray(rows[:, i]) if seen[i] else np.zeros((len(rows), PIXELS), np.float32) for i in range(VIEWS)
        ]
        for block in predictor.blocks(given, np.tile(seen, (len(rows), 1))):
            for j, which, means in predictor.decoded_draws(block, hidden, draws):
                found[which, block.rows, hidden.index(j)] = means[:, : block.size]
        return found.reshape(draws, len(rows), -1)

    return fill, sum(np.size(p) for p in model.parameters_.values())


def fit_peer(method: str, x: np.ndarray, setting: Mapping[str, Any], *, steps: int, seed: int, device: str) -> tuple[Fill, int]:
    """One of quadrants_peers.py."""
    torch.manual_seed(seed)
    model = MAKE[method](**{name: value for name, value in setting.items() if name != "rate"}).to(device)
    model.fit(torch.tensor(x, device=device), steps=steps, rate=setting["rate"], seed=seed)

    def fill(rows: np.ndarray, seen: tuple[bool, ...], draws: int) -> np.ndarray:
        found: np.ndarray = model.probabilities(torch.tensor(rows, device=device), seen, draws).cpu().numpy()
        return found

    return fill, sum(p.numel() for p in model.parameters())


def hidden_pixels(x: np.ndarray, seen: tuple[bool, ...]) -> np.ndarray:
    """(R, hidden) of (R, 4, 196)."""
    return x[:, ~np.array(seen)].reshape(len(x), -1)


def black_and_white(x: np.ndarray) -> np.ndarray:
    """Every pixel white with its grey level as probability; one draw, the same for all methods."""
    white: np.ndarray = np.random.default_rng(0).random(x.shape) < x
    return white


def scores(p: np.ndarray, grey: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Sums over the rows of (squared error per pixel, pixel, joint); p (S, R, hidden), grey and white (R, hidden)."""
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    mean, quarters = p.mean(axis=0), grey.shape[1] / PIXELS
    joint = np.log(np.where(white, p, 1.0 - p)).sum(axis=-1, dtype=np.float64)
    pixel = np.log(np.where(white, mean, 1.0 - mean)).sum(dtype=np.float64)
    log_mean = np.logaddexp.reduce(joint, axis=0) - np.log(len(p))
    squared = ((mean - grey) ** 2).mean(axis=-1, dtype=np.float64).sum()
    return np.array([squared, -pixel / quarters, -log_mean.sum() / quarters])


def measure(fill: Fill, x: np.ndarray, draws: int) -> dict[str, dict[str, float]]:
    """{pattern: scores}; a pattern is written as "1001", 1 where a quadrant is seen."""
    white, found = black_and_white(x), {}
    for seen in PATTERNS:
        total = np.zeros(3)
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            total += scores(fill(x[rows], seen, draws), hidden_pixels(x[rows], seen), hidden_pixels(white[rows], seen))
        squared, pixel, joint = total / len(x)
        found[name_of(seen)] = {"error": round(float(np.sqrt(squared)), 5), "pixel": round(pixel, 3), "joint": round(joint, 3)}
    return found


def name_of(seen: Sequence[bool]) -> str:
    """ "1001"."""
    return "".join("1" if each else "0" for each in seen)


def run(
    method: str, setting: Mapping[str, Any], asked: argparse.Namespace, *, steps: int, seed: int, split: str
) -> dict[str, Any]:
    """One line of the results; of a test the pictures too."""
    x, clock = images("train"), time.process_time if asked.device == "cpu" else time.perf_counter
    began = clock()
    options = {"steps": steps, "seed": seed, "device": asked.device}
    fill, parameters = fit_jpvae(x, setting, **options) if method == "jpvae" else fit_peer(method, x, setting, **options)
    seconds = round(clock() - began, 1)
    line = {
        "method": method,
        "seed": seed,
        "steps": steps,
        "setting": dict(setting),
        "parameters": parameters,
        "seconds": seconds,
    }
    made = {key: value for key, value in suites.made_with().items() if key in ("commit", "machine")}
    rows = images(split)
    if split == "test" and seed == 0:
        keep_pictures(asked.out.with_suffix(".npz"), method, fill, rows[list(SHOWN)])
    return line | made | {"device": asked.device, "patterns": measure(fill, rows, DRAWS if split == "test" else TUNING_DRAWS)}


def keep_pictures(path: Path, method: str, fill: Fill, shown: np.ndarray) -> None:
    """The filled images (14, shown, 4, 196) as bytes, under the method's name; the images themselves under "truth"."""
    kept = dict(np.load(path)) if path.is_file() else {}
    filled = np.repeat(shown[None], len(PATTERNS), axis=0)
    for k, seen in enumerate(PATTERNS):
        filled[k][:, ~np.array(seen)] = fill(shown, seen, DRAWS).mean(axis=0).reshape(len(shown), -1, PIXELS)
    kept |= {method: np.round(255 * filled).astype(np.uint8), "truth": np.round(255 * shown).astype(np.uint8)}
    with open(path, "wb") as file:
        np.savez_compressed(file, **kept)


def mean_score(line: Mapping[str, Any], score: str) -> float:
    """Over the patterns."""
    return float(np.mean([found[score] for found in line["patterns"].values()]))


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """{"tried": lines on validation images, "cases": lines on test images}."""
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.is_file() else {"tried": [], "cases": []}
    return found


def key(line: Mapping[str, Any]) -> tuple[str, int, str]:
    """What a line is about."""
    return line["method"], line["seed"], json.dumps([line["setting"], line["steps"]], sort_keys=True)


def keep(path: Path, kind: str, line: Mapping[str, Any]) -> None:
    """Add a line, in place of one that it supersedes; the file is whole after each."""
    kept, same = read(path), key if kind == "tried" else lambda one: (one["method"], one["seed"])
    kept[kind] = [*(other for other in kept[kind] if same(other) != same(line)), dict(line)]
    kept[kind].sort(key=lambda one: (list(SETTINGS).index(one["method"]), one["seed"]))
    parts = [f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, lines)) + "\n ]" for name, lines in kept.items()]
    write_atomically(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, help=f"of Adam; {STEPS:,}, or {TUNING_STEPS:,} with --tune")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", help="the data folder, in place of JPVAE_DATA; the files are in its folder fashion-mnist")
    parser.add_argument("--out", type=Path, default=KEPT)
    parser.add_argument("--tune", action="store_true", help="try the settings on validation images")
    parser.add_argument("--again", action="store_true", help="measure anew what is already there")
    asked = parser.parse_args()
    if asked.data is not None:
        os.environ["JPVAE_DATA"] = asked.data
    torch.set_num_threads(1)
    kind, split, steps = ("tried", "validation", TUNING_STEPS) if asked.tune else ("cases", "test", STEPS)
    for seed in range(asked.seeds):
        for method in asked.method:
            for setting in TRIED[method] if asked.tune else [SETTINGS[method]]:
                of = asked.steps or steps
                about = {"method": method, "seed": seed, "setting": setting, "steps": of}
                if not asked.again and key(about) in map(key, read(asked.out)[kind]):
                    continue
                line = run(method, setting, asked, steps=of, seed=seed, split=split)
                keep(asked.out, kind, line)
                shown = ", ".join(f"{score} {mean_score(line, score):.4f}" for score in ("error", "pixel", "joint"))
                print(method, seed, setting, f"{line['parameters']:,} parameters, {line['seconds']} s:", shown, flush=True)


if __name__ == "__main__":
    main()
