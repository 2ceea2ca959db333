"""The report page at 20,000 columns: seconds to make it, to open it in a headless Chromium, to search and to sort.

python benchmarks/wide_report.py --columns 20000        about a minute; needs pip install "jpvae[report]" playwright, Chromium
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from jpvae import JPVAE
from jpvae.report.content import content
from jpvae.report.page import render
from jpvae.report.provenance import Provenance

ORDERS = ("name", "shift", "r2-high", "r2-low", "imputed", "order")


def page(columns: int, rows: int) -> str:
    """The report on two views of so many columns together; a short training, for the page does not depend on it."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((rows, 5))
    half = (rows, columns // 2)
    views = {name: u @ rng.standard_normal((5, half[1])) + rng.standard_normal(half) for name in ("rna", "methylation")}
    has = rng.random((rows, 2)) < 0.8
    has[~has.any(axis=1)] = True
    model = JPVAE(
        8, likelihood="gaussian", steps=10, hidden=(16,), backend="numpy", missing="nan", progress=False, calibration=0.0
    )
    return render(content("wide", model.fit(views, has), views, has, ids=None, made=Provenance((), (), (), "now")))


def timed(shown: Any, element: str, value: str, event: str) -> float:
    """Seconds that the page's script takes after an event."""
    script = """([id, value, event]) => {
        const e = document.getElementById(id), start = performance.now();
        if (event === "click") e.click(); else { e.value = value; e.dispatchEvent(new Event(event)); }
        return (performance.now() - start) / 1000; }"""
    return round(shown.evaluate(script, [element, value, event]), 3)


def opened(path: Path) -> dict[str, Any]:
    """What a reader waits for."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shown, start = browser.new_page(), time.perf_counter()
        shown.goto(path.as_uri())
        shown.wait_for_selector("body[data-ready]")
        found: dict[str, Any] = {"load": round(time.perf_counter() - start, 2)}
        found["search"] = timed(shown, "column-search", "77", "input")
        timed(shown, "column-search", "", "input")
        found["sort"] = {order: timed(shown, "column-sort", order, "change") for order in ORDERS}
        found["next"] = timed(shown, "column-after", "", "click")
        browser.close()
    return found


def main() -> None:
    """One line of JSON, in seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=60)
    asked = parser.parse_args()
    start, cpu = time.perf_counter(), time.process_time()
    text = page(asked.columns, asked.rows)
    made = {"made": round(time.perf_counter() - start, 1), "cpu": round(time.process_time() - cpu, 1)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.html"
        path.write_text(text, encoding="utf-8")
        print(json.dumps({"columns": asked.columns, "megabytes": round(len(text.encode()) / 1e6, 1), **made, **opened(path)}))


if __name__ == "__main__":
    main()
