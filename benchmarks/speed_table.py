"""Where the speed targets stand: one run, one table, in docs/performance.md between its marks.

    python benchmarks/speed_table.py                     measures, keeps results/speed.json, writes the table
    python benchmarks/speed_table.py kl steps-32         some of its parts anew
    python benchmarks/speed_table.py --page              writes the table from what is kept

The methods of a row take turns, call by call, so that whatever else the machine does hits all alike. A number is a ratio of
minimal CPU times of one process on one thread; the one in ms is such a time itself.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # read when the libraries are imported
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks/results/speed.json", ROOT / "docs/performance.md"
BEGIN, END = "<!-- written by benchmarks/speed_table.py -->\n", "<!-- end -->\n"
ROWS = (32, 64, 128, 512)
SECONDS, FEWEST = 4.0, 20  # of a row of the table; turns


def minima(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The least CPU seconds of each, taking turns; three turns before that warm up."""
    least, begin, turns = dict.fromkeys(calls, float("inf")), time.perf_counter(), 0
    while turns < FEWEST + 3 or time.perf_counter() - begin < SECONDS:
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turns >= 3:
                least[name] = min(least[name], time.process_time() - start)
        turns += 1
    return least


def line(what: str, value: float, target: float, unit: str = "") -> dict[str, Any]:
    """A row of the table."""
    return {"what": what, "value": round(value, 3), "target": target, "unit": unit}


def steps(rows: int) -> list[dict[str, Any]]:
    """Of the paper's model: each engine over the peer, and the fused posterior over the factorised."""
    from test_bench_training import MODEL, first_noise, peer_from

    from jpvae.training.batches import Batches
    from jpvae.training.plan import Plan
    from jpvae.training.schedules import Constant, LearningRate
    from jpvae_jax import Engine as JaxEngine
    from jpvae_numpy import Engine as NumpyEngine
    from jpvae_torch import Engine as TorchEngine

    ink = [(np.random.default_rng(i).random((rows, 392)) < 0.2).astype(np.float32) for i in range(2)]
    start = MODEL.initial_parameters(0)
    peer = peer_from(start)

    def stepper(engine: Any, model: Any, objective: str, **changed: Any) -> Callable[[], Any]:
        plan = Plan(1, rows, Constant(), LearningRate(), objective)
        batch = replace(Batches(ink, np.ones((rows, 2), bool), model, plan).at(0), **changed)
        state = engine.start(start, None)
        return lambda: float(engine.train_step(state, batch, beta=1.0, learning_rate=1e-3, coupling_rate=1.0)["loss"])

    noise = first_noise(peer, rows)
    engines = {"torch": TorchEngine(MODEL), "NumPy": NumpyEngine(MODEL, threads=1), "JAX": JaxEngine(MODEL)}
    calls = {name: stepper(engine, MODEL, "elbo", posterior_noise=noise) for name, engine in engines.items()}
    least = minima(calls | {"peer": lambda: peer.step(tuple(ink))})
    targets = {"torch": 0.9, "NumPy": 1.0, "JAX": 1.0}
    found = [
        line(f"step, {name} engine / JAX peer, {rows} rows", least[name] / least["peer"], at) for name, at in targets.items()
    ]
    fused = replace(MODEL, posterior="fused")
    frames = replace(fused, coordinates="frame")
    for objective, ours in (("subset", {"": fused}), ("elbo", {"": fused, ", in frames": frames})):
        calls = {where: stepper(TorchEngine(model), model, objective) for where, model in ours.items()}
        least = minima(calls | {"factorised": stepper(engines["torch"], MODEL, objective)})
        for where in ours:
            what = f"step, torch engine, {objective}, fused{where} / factorised posterior, {rows} rows"
            found.append(line(what, least[where] / least["factorised"], 1.15))
    return found


def kl() -> list[dict[str, Any]]:
    """Forward and backward in eager torch, two views of 20, 32 rows."""
    from test_bench_kl import OURS, draw, torch_step

    least = minima({OURS: torch_step(OURS, draw("orthogonal", 2, 20, 32))[0]})
    return [line("KL, forward + backward, eager torch, n = 20, B = 32", 1e3 * least[OURS], 0.3, "ms")]


def cayley() -> list[dict[str, Any]]:
    """Value and gradient of an orthogonal matrix, ours over torch's Cayley map."""
    import torch
    from test_bench_parameterizations import CAYLEY, METHODS, OURS, entries

    found = []
    for n in (8, 16, 32, 64):
        X, G = entries(n, 0), entries(n, 2)
        calls = {}
        for method in (OURS, CAYLEY):
            params, make = METHODS[method](X)
            calls[method] = lambda params=params, make=make: torch.autograd.grad((G * make()).sum(), [params])  # noqa: B023
        least = minima(calls)
        what = f"orthogonal matrix, value + gradient, ours / torch's Cayley map, n = {n}"
        found.append(line(what, least[OURS] / least[CAYLEY], 1.0))
    return found


def section(found: Sequence[dict[str, Any]], made_with: dict[str, Any]) -> str:
    """What stands between the marks."""
    met = sum(one["value"] <= one["target"] for one in found)
    lines = [
        f"{met} of {len(found)} targets met. Commit {made_with['commit']}, {made_with['machine']}, load {made_with['load']}.",
        "",
        "| quantity | measured | at most | |",
        "|---|---|---|---|",
    ]
    for one in found:
        unit = f" {one['unit']}" if one["unit"] else ""
        verdict = "met" if one["value"] <= one["target"] else "missed"
        lines.append(f"| {one['what']} | {one['value']:.2f}{unit} | {one['target']:g}{unit} | {verdict} |")
    return "\n".join(lines) + "\n"


def written(page: str, kept: dict[str, Any]) -> str:
    """The page with the section of what is kept."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + section(kept["lines"], kept["made_with"]) + END + rest.partition(END)[2]


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "cayley": cayley,
    "kl": kl,
    **{f"steps-{rows}": partial(steps, rows) for rows in ROWS},
}


def main() -> None:
    """Measures, unless --page is given; writes after each part."""
    import suites
    import torch

    torch.set_num_threads(1)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"lines": []}
    for part in [] if "--page" in sys.argv else sys.argv[1:] or PARTS:
        found = {one["what"]: one for one in [*kept["lines"], *PARTS[part]()]}
        made = suites.made_with()
        kept["made_with"] = {"commit": made["commit"], "machine": made["machine"], "load": f"{os.getloadavg()[0]:.1f}"}
        kept["lines"] = list(found.values())
        RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), kept), encoding="utf-8")


if __name__ == "__main__":
    main()
