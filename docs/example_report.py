"""Make docs/example/report.html and its two screenshots: the report on real tables, three views of 569 breast cancers.

    python docs/example_report.py        some minutes; needs pip install 'jpvae[report]' playwright, and Chromium

The tables are scikit-learn's (Wisconsin): ten measures of the nuclei of cells, their mean, standard error and worst value in a
table each, and the diagnosis beside the means. Every view is missing in 30 % of the rows at random. The page names its commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

DOCS = Path(__file__).parent
VIEWS = ["--view", "mean=mean.csv", "--view", "error=error.csv", "--view", "worst=worst.csv"]
COMMANDS = [
    [
        "fit",
        *VIEWS,
        "--id",
        "patient",
        "--out",
        "breast-cancer.safetensors",
        "--backend",
        "numpy",
    ],
    ["report", "breast-cancer.safetensors", *VIEWS, "--out", "report.html"],
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def make_tables(folder: Path) -> None:
    """The three files."""
    data, rng = load_breast_cancer(), np.random.default_rng(0)
    names = [name.removeprefix("mean ").replace(" ", "_") for name in data.feature_names[:10]]
    patient = pd.Series([f"w{k:03}" for k in range(len(data.data))], name="patient")
    has = rng.random((len(patient), 3)) < 0.7
    has[~has.any(axis=1), 0] = True
    for k, view in enumerate(("mean", "error", "worst")):
        table = pd.DataFrame(data.data[:, 10 * k : 10 * k + 10], columns=names)
        if view == "mean":
            table["diagnosis"] = np.where(data.target == 1, "benign", "malignant")
        pd.concat([patient, table], axis=1)[has[:, k]].to_csv(folder / f"{view}.csv", index=False)


def photograph(page: Path) -> None:
    """Screenshots of the top of the page on a desktop and on a phone, beside it."""
    from playwright.sync_api import sync_playwright

    path = next(found for name in BROWSERS if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, width, height in (("desktop", 1100, 1250), ("phone", 390, 1250)):
            shown = browser.new_page(viewport={"width": width, "height": height})
            shown.goto(page.as_uri())
            shown.wait_for_selector("body[data-ready]")
            shown.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
            shown.screenshot(path=DOCS / f"report-{name}.png")
            shown.evaluate("document.getElementById('columns').scrollIntoView()")
            shown.screenshot(path=DOCS / f"report-columns-{name}.png")
        browser.close()


def main() -> None:
    """Tables, commands, page, screenshots."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        make_tables(Path(name))
        for command in COMMANDS:
            subprocess.run([sys.executable, "-m", "jpvae", *command], cwd=name, env=environment, check=True)
        (DOCS / "example").mkdir(exist_ok=True)
        page = DOCS / "example" / "report.html"
        page.write_bytes((Path(name) / "report.html").read_bytes())
    photograph(page)


if __name__ == "__main__":
    main()
