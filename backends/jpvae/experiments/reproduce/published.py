"""What was published, as facts: means and standard deviations over five seeds (published.csv beside this file).

    files   computed from the result files beside the authors' experiment code (github.com/eso28599/JPVAE) for alpha = 0.1, 0.5
            and 0.9; the sample standard deviation, which is the printed one where both exist
    paper   printed in the paper (arXiv 2411.03097): Tables 1 to 3, Figures 1, 4 and 8; its text gives alpha = 0.95

Units: nats per image; per cent for active units and accuracies. No standard deviation: NaN.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OF_THE_TABLES = 0.9  # the alpha of the paper's tables


@dataclass(frozen=True)
class Published:
    """A published mean and its standard deviation over five seeds."""

    mean: float
    sd: float


NOT_PUBLISHED = Published(math.nan, math.nan)


@cache
def _facts() -> dict[tuple[str, str, str, str], Published]:
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["source"], row["alpha"], row["variant"], row["measure"]): Published(
                float(row["mean"]), float(row["sd"] or "nan")
            )
            for row in csv.DictReader(file)
        }


def in_files(variant: str, measure: str, alpha: float | str | None = OF_THE_TABLES) -> Published:
    """What the authors' result files give."""
    return _facts().get(("files", str(alpha), variant, measure), NOT_PUBLISHED)


def in_paper(variant: str, measure: str) -> Published:
    """What the paper prints."""
    return _facts().get(("paper", "", variant, measure), NOT_PUBLISHED)
