"""Three views of five rows in the plainest form, lists of NumPy's arrays: what every other form and class is held to."""

import numpy as np

import jpvae_core as jc

RNG = np.random.default_rng(0)
DIMS = (3, 2, 4)
PRIOR = jc.JointPrior.canonical([np.linalg.qr(RNG.normal(size=(n, 2)))[0] for n in DIMS], RNG.normal(size=(3, 2)))
NAMED = PRIOR.named("c", "a", "b")
MEANS = [RNG.normal(size=(5, n)) for n in DIMS]
LOG_VARS = [-np.abs(RNG.normal(size=(5, n))) for n in DIMS]
MASK = RNG.random((5, 3)) < 0.6
