"""What the paper concludes from its tables, claim by claim, and whether the means found under each protocol bear it out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..protocols import protocol_named
from .results import Results
from .runs import VARIANTS

_ZERO_ORTHOGONAL = ("zero", "orthogonal")
_CONDITIONALS = ("log p, view 2 given 1", "log p, view 1 given 2")
MISSING, HOLDS, FAILS = "missing", "holds", "does not hold"


@dataclass(frozen=True)
class Claim:
    """Each measure gets better (lower or higher) from one variant to the next."""

    text: str
    measures: Sequence[str]
    higher: bool
    variants: Sequence[str] = VARIANTS

    def verdict(self, results: Results, protocol: str) -> str:
        """Whether it holds for all measures, with the means; "missing" where one of them is."""
        verdicts, texts = [], []
        for measure in self.measures:
            means = [_mean(results, protocol, variant, measure) for variant in self.variants]
            gains = [(b - a) * (1 if self.higher else -1) for a, b in itertools.pairwise(means)]
            verdicts.append(MISSING if any(map(math.isnan, means)) else HOLDS if min(gains) > 0 else FAILS)
            texts.append(" → ".join(f"{mean:.2f}" for mean in means))
        if MISSING in verdicts:
            return MISSING
        return f"{FAILS if FAILS in verdicts else HOLDS}: {'; '.join(texts)}"


CLAIMS = (
    Claim("Reconstruction improves: C = 0 → σ₁ < 1 → orthogonal (Table 1)", ("reconstruction 1", "reconstruction 2"), False),
    Claim("Imputation improves: C = 0 → σ₁ < 1 → orthogonal (Table 1)", ("imputation 1|2", "imputation 2|1"), False),
    Claim("More units are active: C = 0 → σ₁ < 1 → orthogonal, % (Table 2)", ("active units",), True),
    Claim(
        "The latents' cross-correlation rises: C = 0 → orthogonal (Figure 4)",
        ("cross-correlation norm",),
        True,
        _ZERO_ORTHOGONAL,
    ),
    Claim("Classifiers of reconstructions do better on imputations, % (Table 3)", ("1 > 1|2", "2 > 2|1"), True),
    Claim("Classifiers of imputations do better, % (Table 3)", ("1|2 > 1|2", "2|1 > 2|1"), True),
    *(
        Claim(f"{text}, C = 0 → {label} (Section 1.1)", measures, higher, ("zero", variant))
        for variant, label in (("svd", "σ₁ < 1"), ("orthogonal", "orthogonal"))
        for text, measures, higher in (
            ('"Better predictive likelihood": log p(x₂ given x₁), log p(x₁ given x₂)', _CONDITIONALS, True),
            ("… log p(x₁, x₂)", ("log p, joint",), True),
            ("… and the bound that is trained, −ELBO", ("-ELBO",), False),
        )
    ),
)


def to_markdown(results: Results) -> str:
    """Claims against protocols."""
    protocols = results.protocols
    lines = [f"| The paper's claim | {' | '.join(protocols)} |", "|---" * (len(protocols) + 1) + "|"]
    for claim in CLAIMS:
        lines.append(f"| {claim.text} | {' | '.join(claim.verdict(results, protocol) for protocol in protocols)} |")
    return "\n".join(lines)


def _mean(results: Results, protocol: str, variant: str, measure: str) -> float:
    if measure.startswith("imputation") and protocol_named(protocol).moments == "training":
        measure = measure.replace("imputation", "imputation, training moments")
    values = list(results.values(protocol, variant, measure).values())
    return float(np.mean(values)) if values else math.nan
