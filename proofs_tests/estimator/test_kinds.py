"""What likelihood="infer" takes columns of numbers for: tables as they are met, and no guess that refuses the next patient."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from scipy.stats import skew
from synthetic import OPTIONS

from jpvae import JPVAE
from jpvae.errors import JPVAEWarning
from jpvae.views.dataframes import read_table
from jpvae.views.inferring import columns_of
from jpvae.views.kinds import are_counts, summaries

N = 60
RNG = np.random.default_rng(0)
SMOKER, FEMALE = RNG.random(N) < 0.3, RNG.random(N) < 0.5
AGE, CHILDREN = RNG.integers(25, 85, N), np.minimum(RNG.poisson(1.2, N), 5)
CLINIC = pd.DataFrame({"age": AGE, "smoker": SMOKER.astype(int), "children": CHILDREN, "female": FEMALE.astype(int)})
LABS = {
    "systolic": np.round(RNG.normal(130, 18, N)),
    "heart_rate": np.round(RNG.normal(75, 11, N)),
    "cholesterol": np.round(RNG.normal(200, 38, N)),
    "triglycerides": np.round(np.exp(RNG.normal(4.8, 0.45, N))),
    "visits": RNG.poisson(4.0, N),
    "platelets": np.round(RNG.normal(250, 60, N)),
}
DEPTH = np.exp(RNG.normal(0.0, 0.4, (N, 1)))
MEANS = np.exp(RNG.normal(2.0, 2.0, 40))
READS = RNG.poisson(DEPTH * MEANS * RNG.gamma(2.5, 1 / 2.5, (N, 40)))  # dispersion 0.4
BULK = RNG.poisson(DEPTH * np.exp(RNG.normal(3.5, 2.5, 60)) * RNG.gamma(10.0, 0.1, (N, 60)))
UMI = RNG.poisson(DEPTH * np.exp(RNG.normal(-1.0, 1.8, 80)) * RNG.gamma(2.0, 0.5, (N, 80)))
COPIES = RNG.choice([-2, -1, 0, 1, 2], (N, 12), p=[0.02, 0.2, 0.5, 0.26, 0.02])
COPIES[:, 3] = RNG.random(N) < 0.2  # neither lost in these patients nor doubled
RARE_COPIES = np.where(RNG.random((N, 30)) < 0.04, RNG.choice([-1, 2], (N, 30)), RNG.random((N, 30)) < 0.1)
DOSES = RNG.binomial(2, RNG.uniform(0.03, 0.5, 30), (N, 30))
ITEMS = RNG.binomial(4, RNG.uniform(0.3, 0.7, 10), (N, 10))
PAIN = np.round(10 * RNG.beta(1.0, 1.2, (N, 10)))
MUTATED = (RNG.random((N, 25)) < 0.06).astype(int)
MUTATED[:, 7] = 0
STATUS = np.column_stack([ITEMS, SMOKER, FEMALE])
ENZYMES = np.round(np.exp(RNG.normal(3.5, 0.7, (N, 8)))).astype(int)
ENZYMES[5, 2] = 0
MINUTES = 5 * RNG.negative_binomial(0.6, 0.08, (N, 6))  # of exercise in a week, many of none
MINUTES[:, 0] += RNG.random(N) < 0.2  # somebody looked at the clock
HABITS = np.column_stack([RNG.poisson(m, N) * (RNG.random(N) < 0.5) for m in (3, 15, 4, 30, 6, 9)])  # drinks, cigarettes, ...
ACCESSIBLE = RNG.binomial(2, 0.05, (N, 50))  # of which few have a 2 in these cells
EVENTS = np.random.default_rng(5).negative_binomial(0.8, 0.8 / (0.8 + np.linspace(4, 40, 12)), (N, 12))  # visits, days, lesions
PEPTIDES = RNG.poisson(np.exp(RNG.normal(1.0, 1.5, 25)), (N, 25))
PEPTIDES[:, 4] = RNG.random(N) < 0.2  # rare, but a count
PROFILES = 600.0 + 180 * (RNG.standard_normal((N, 4)) @ RNG.standard_normal((4, 40)) / 2 + RNG.standard_normal((N, 40)))
PROFILES = np.maximum(np.round(PROFILES), 0.0)  # large whole numbers, some columns with a 0, as often far below as far above
GAUSSIAN, ZERO_ONE, COUNTS = "gaussian", "bernoulli", "negative_binomial"
TABLES = {
    "a clinic with one zero": (CLINIC, [GAUSSIAN, ZERO_ONE, GAUSSIAN, ZERO_ONE]),
    "a clinic with laboratory values": (CLINIC.assign(**LABS), [GAUSSIAN, ZERO_ONE, GAUSSIAN, ZERO_ONE, *6 * [GAUSSIAN]]),
    "reads": (READS, 40 * [COUNTS]),
    "what happened to patients": (EVENTS, 12 * [COUNTS]),
    "reads of expressed genes": (BULK, 60 * [COUNTS]),
    "reads of single cells": (UMI, 80 * [COUNTS]),
    "copy numbers": (COPIES, 12 * [GAUSSIAN]),
    "copy numbers that hardly vary": (RARE_COPIES, 30 * [GAUSSIAN]),
    "doses of alleles": (DOSES, 30 * [GAUSSIAN]),
    "items of a questionnaire": (ITEMS, 10 * [GAUSSIAN]),
    "pain from 0 to 10": (PAIN, 10 * [GAUSSIAN]),
    "items beside zeros and ones": (STATUS, 10 * [GAUSSIAN] + 2 * [ZERO_ONE]),
    "mutations, one in nobody": (MUTATED, 25 * [ZERO_ONE]),
    "a constant": (np.column_stack([RNG.standard_normal(N), np.zeros(N)]), 2 * [GAUSSIAN]),
    "enzymes, one of which is 0 in somebody": (ENZYMES, 8 * [GAUSSIAN]),
    "minutes, many of them 0": (MINUTES, 6 * [GAUSSIAN]),
    "habits, many of them 0": (HABITS, 6 * [GAUSSIAN]),
    "chromatin that is nearly all 0 and 1": (ACCESSIBLE, 50 * [GAUSSIAN]),
    "counts of which one is rare": (PEPTIDES, 25 * [GAUSSIAN]),
    "whole numbers on both sides of their mean": (PROFILES, 40 * [GAUSSIAN]),
    "single counts": (np.column_stack([RNG.poisson(3.0, N), RNG.poisson(30.0, N)]), 2 * [GAUSSIAN]),
    "booleans": (pd.DataFrame({"a": SMOKER, "b": FEMALE & SMOKER, "c": np.arange(N)}), [ZERO_ONE, ZERO_ONE, GAUSSIAN]),
}


@pytest.mark.parametrize(("table", "families"), TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize("holes", [False, True])
def test_families(table, families, holes):
    if holes:  # booleans become numbers
        table = pd.DataFrame(table).astype(float).mask(np.random.default_rng(1).random(np.shape(table)) < 0.1)
    unsure = families[0] == COUNTS and len(families) < 50  # clinical counts may look so
    with pytest.warns(JPVAEWarning, match=r"view 'v': its \d+ .* 'gaussian'") if unsure else nullcontext():
        columns = columns_of("infer", read_table(table, "v"), np.ones(N, dtype=bool))
    found = {j: group.likelihood for group in columns.groups for j in group.columns}
    assert [found[j] for j in range(len(families))] == families


def test_skewness_is_scipy_s():
    """Pieces: test_large_tables.py, whose sums of the cubes are another computation."""
    values = np.random.default_rng(3).gamma(2.0, 3.0, (200, 4)) - 1e3
    found = [c.skewness for c in summaries(values)]
    # of third powers of differences of numbers of 1,000, each to an eps of 1,000: 3 * 1,000 eps over a deviation of 4
    assert found == pytest.approx(skew(values, axis=0), rel=200 * 3 * 1e3 / 4 * np.finfo(float).eps)


def test_what_leans_to_the_right_is_a_table_of_counts_and_what_does_not_is_none():
    """Poisson counts have a skewness of their coefficient of variation, where a fifth of 15 large columns has a zero."""
    rng = np.random.default_rng(4)
    gammas = np.round(rng.gamma(1.5, 100.0, (500, 15)))
    gammas[0] = 0
    assert are_counts(summaries(gammas))
    assert not are_counts(summaries(np.max(gammas) - gammas))


def test_the_next_patient_s_copy_number_is_taken():
    options = {"latent_dims": 1, "prior": "independent", "likelihood": "infer", "hidden": (2,), "steps": 1}
    fitted = JPVAE(**OPTIONS | options).fit([COPIES[:52]])
    later = COPIES[52:].copy()
    later[:, 3] = -1
    assert np.array_equal(fitted.impute([later])[0], later)
