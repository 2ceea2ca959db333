"""Input that cannot be meant is refused at the door: the error's class, and a message that names the argument, what was
found and what was expected. One row of the table per mistake."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jpvae_core as jc
from jpvae_core import vjp

Z2, Z3 = np.zeros((4, 2)), np.zeros((4, 3))
TWO = jc.JointPrior.independent([2, 3])
SVD = jc.JointPrior.svd(np.eye(3, 2), np.zeros(2), np.eye(2))
EYE = np.eye(3)
FUSED = jc.fuse(SVD, [np.zeros((4, 2)), np.zeros((4, 3))], [np.zeros((4, 2)), np.zeros((4, 3))])
MASK = np.asarray([True, False])
ROWS = np.zeros(4)

SHAPES = {
    "skew entries": (lambda: jc.skew(np.zeros(4), 3), r"params has shape \(4,\); expected last axis 3"),
    "skew scalar": (lambda: jc.skew(np.zeros(()), 3), r"params has shape \(\); expected last axis 3"),
    "skew size": (lambda: jc.skew(np.zeros(0), 0), "n is 0; expected at least 1"),
    "orthogonal entries": (lambda: jc.orthogonal(np.zeros(3), 4), r"params has shape \(3,\); expected last axis 6"),
    "frame too wide": (lambda: jc.frame(np.zeros(3), 3, 4), "d is 4; expected 1 <= d <= n = 3"),
    "frame empty": (lambda: jc.frame(np.zeros(3), 3, 0), "d is 0; expected 1 <= d <= n = 3"),
    "signs": (lambda: jc.frame(np.zeros(3), 3, 2, [1.0, 1.0]), r"signs has shape \(2,\); expected last axis 3"),
    "sign count": (lambda: jc.sign_matrix(3, 4), "r is 4; expected 0 <= r <= n = 3"),
    "cayley": (lambda: jc.cayley(np.zeros((2, 3))), r"A has shape \(2, 3\); expected \(\.\.\., n, n\)"),
    "inverse cayley": (lambda: jc.inverse_cayley(np.zeros(3)), r"Q has shape \(3,\); expected \(\.\.\., n, n\)"),
    "no views": (lambda: jc.JointPrior.independent([]), r"dims is \(\); expected one positive latent size per view"),
    "size 0": (lambda: jc.JointPrior.independent([2, 0]), r"dims is \(2, 0\); expected one positive"),
    "rotation": (
        lambda: jc.JointPrior.orthogonal(np.zeros((2, 3)), 0.5),
        r"rotation has shape \(2, 3\); expected \(\.\.\., n, n\)",
    ),
    "U is wide": (
        lambda: jc.JointPrior.svd(np.zeros((2, 3)), np.zeros(3), EYE),
        r"U has shape \(2, 3\); expected \(\.\.\., n, d\)",
    ),
    "U is a vector": (
        lambda: jc.JointPrior.svd(np.zeros(3), np.zeros(3), EYE),
        r"U has shape \(3,\); expected \(\.\.\., n, d\)",
    ),
    "U has no columns": (lambda: jc.JointPrior.svd(EYE[:, :0], np.zeros(0), EYE[:, :0]), r"U has shape \(3, 0\); expected"),
    "U is a stack of wide ones": (
        lambda: jc.JointPrior.svd(np.zeros((4, 2, 3)), np.zeros(3), EYE),
        r"U has shape \(4, 2, 3\); expected \(\.\.\., n, d\)",
    ),
    "V columns": (lambda: jc.JointPrior.svd(EYE, np.zeros(3), EYE[:, :2]), r"V has shape \(3, 2\); expected 3 columns"),
    "svd logits": (lambda: jc.JointPrior.svd(EYE, np.zeros(2), EYE), r"logits has shape \(2,\); expected last axis 3"),
    "canonical logits": (lambda: jc.JointPrior.canonical([EYE, EYE], np.zeros((3, 3))), r"logits \(3, 3\); expected M frames"),
    "no frames and one number": (lambda: jc.JointPrior.canonical(None, 0.5), "logits has shape None; expected"),
    "no frames and one row": (lambda: jc.JointPrior.canonical(None, np.zeros(3)), r"logits has shape \(3,\); expected"),
    "no frames and no view": (lambda: jc.JointPrior.canonical(None, np.zeros((0, 3))), r"logits has shape \(0, 3\); expected"),
    "canonical frames": (lambda: jc.JointPrior.canonical([EYE, EYE[:, :1]], np.zeros((2, 3))), r"\[\(3, 3\), \(3, 1\)\]"),
    "views": (lambda: jc.kl_divergence(TWO, [Z2], [Z2, Z3]), r"means has 1 arrays; expected 2, one per view \(dims \(2, 3\)\)"),
    "log_vars": (lambda: jc.kl_divergence(TWO, [Z2, Z3], [Z2]), "log_vars has 1 arrays; expected 2"),
    "latent size": (lambda: jc.kl_divergence(TWO, [Z3, Z3], [Z2, Z3]), r"means\[0\] has shape \(4, 3\); expected last axis 2"),
    "row counts": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3[:1]], [Z2, Z3]),
        r"means\[1\] has shape \(1, 3\) but means\[0\] has \(4, 2\)",
    ),
    "rows of log_vars": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3], [Z2[:1], Z3[:1]]),
        r"log_vars\[0\] has shape \(1, 2\) but means\[0\] has \(4, 2\)",
    ),
    "other rows of log_vars": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3], [Z2[:3], Z3[:3]]),
        r"log_vars\[0\] has shape \(3, 2\) but means\[0\] has \(4, 2\); expected the same leading axes",
    ),
    "rows of eq9": (lambda: jc.kl_eq9([Z3, Z3], [Z3[:1]] * 2, 0.5 * EYE), r"log_vars\[0\] has shape \(1, 3\)"),
    "no rows of eq9": (
        lambda: jc.kl_eq9([ROWS, ROWS], [ROWS, ROWS], EYE),
        r"means\[0\] has shape \(4,\); expected \(\.\.\., B",
    ),
    "rows of eq16": (lambda: jc.kl_eq16([Z3, Z3], [Z3[:1]] * 2, EYE, 0.5), r"log_vars\[0\] has shape \(1, 3\)"),
    "an alpha for each row": (
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z3], EYE, np.full(4, 0.5)),
        r"alpha has shape \(4,\) and rotation \(3, 3\); expected one alpha for each",
    ),
    "reparameterize": (
        lambda: jc.reparameterize(Z3[:3], Z3, Z3),
        r"mean and log_var and noise have shapes \[\(3, 3\), \(4, 3\)",
    ),
    "rows of a fused posterior's cotangent": (
        lambda: vjp.fuse(FUSED, np.zeros((4, FUSED.noise_dim)), ROWS, [Z2[:3], Z3[:3]]),
        r"drawn_cotangents\[0\] has shape \(3, 2\); expected \(\.\.\., 4, k\)",
    ),
    "rows of dense": (lambda: jc.kl_dense([Z3], [Z3[:1]], EYE), r"log_vars\[0\] has shape \(1, 3\)"),
    "rows of condition": (
        lambda: jc.condition(SVD, [Z2, Z3], MASK, log_vars=[Z2[:3], Z3[:3]]),
        r"log_vars\[0\] has shape \(3, 2\)",
    ),
    "draws beside subsets": (
        lambda: jc.complete(SVD, [Z2, Z3], np.ones((3, 4, 2), bool), np.zeros((2, 4, 5))),
        r"noise and mask have leading axes \[\(2, 4\), \(3, 4\)\]; expected leading axes that broadcast to one",
    ),
    "one row of noise": (lambda: jc.complete(SVD, [Z2, Z3], MASK, np.zeros((1, 5))), r"noise has shape \(1, 5\)"),
    "two rows of a mask": (
        lambda: jc.kl_divergence(SVD, [Z2, Z3], [Z2, Z3], np.ones((2, 2))),
        r"mask has shape \(2, 2\); expected .* \(4, 2\)",
    ),
    "mask columns": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3], [Z2, Z3], np.ones(3, dtype=bool)),
        r"mask has shape \(3,\); expected",
    ),
    "mask rows": (
        lambda: jc.kl_divergence(SVD, [Z2, Z3], [Z2, Z3], np.ones((3, 2))),
        r"mask has shape \(3, 2\); expected .* \(4, 2\)",
    ),
    "condition": (lambda: jc.condition(SVD, [Z3, Z3], MASK), r"latents\[0\] has shape \(4, 3\); expected last axis 2"),
    "condition log_vars": (
        lambda: jc.condition(SVD, [Z2, Z3], MASK, log_vars=[Z2]),
        "log_vars has 1 arrays; expected 2",
    ),
    "noise": (lambda: jc.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 4))), r"noise has shape \(4, 4\); expected last axis 5"),
    "sample noise": (lambda: jc.sample(SVD, np.zeros((4, 6))), r"noise has shape \(4, 6\); expected last axis 5"),
    "C is a vector": (lambda: jc.kl_eq9([Z2, Z3], [Z2, Z3], np.zeros(3)), r"C has shape \(3,\); expected \(\.\.\., n_2, n_1\)"),
    "C transposed": (
        lambda: jc.kl_eq9([Z2, Z3], [Z2, Z3], np.zeros((2, 3))),
        r"means\[0\] has shape \(4, 2\); expected last axis 3",
    ),
    "eq9 log_vars": (
        lambda: jc.kl_eq9([Z2, Z3], [Z2, Z2], np.zeros((3, 2))),
        r"log_vars\[1\] has shape \(4, 2\); expected last axis 3",
    ),
    "eq16 log_vars": (
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z2], EYE, 0.5),
        r"log_vars\[1\] has shape \(4, 2\); expected last axis 3",
    ),
    "eq16": (lambda: jc.kl_eq16([Z3, Z2], [Z3, Z3], EYE, 0.5), r"means\[1\] has shape \(4, 2\); expected last axis 3"),
    "dense": (
        lambda: jc.kl_dense([Z2, Z3], [Z2, Z3], np.eye(4)),
        r"means, concatenated, has shape \(4, 5\); expected last axis 4",
    ),
    "observed twice": (
        lambda: jc.condition_gaussian(np.zeros(3), EYE, [1, 1], Z2),
        r"observed_index is \[1, 1\]; expected distinct",
    ),
    "one of two beyond": (
        lambda: jc.condition_gaussian(np.zeros(3), EYE, [0, 3], Z2),
        r"observed_index is \[0, 3\].* in \[0, 3\)",
    ),
    "a mask for an index": (
        lambda: jc.condition_gaussian(np.zeros(3), EYE, [0, True], Z2),
        r"observed_index is \[0, True\]; expected integers, not a mask",
    ),
    "observed beyond": (
        lambda: jc.condition_gaussian(np.zeros(3), EYE, [3], Z2[:, :1]),
        r"observed_index is \[3\].* in \[0, 3\)",
    ),
    "dense log_vars": (
        lambda: jc.kl_dense([Z3], [Z2], EYE),
        r"log_vars\[0\] has shape \(4, 2\); expected last axis 3",
    ),
    "mask of a density": (
        lambda: jc.log_density(SVD, [Z2, Z3], np.ones((3, 2))),
        r"mask has shape \(3, 2\); expected .* \(4, 2\)",
    ),
    "views of a density": (lambda: jc.log_density(TWO, [Z2]), r"latents has 1 arrays; expected 2"),
    "mask of a conditional": (
        lambda: jc.conditional_mean(SVD, [Z2, Z3], np.ones(3, dtype=bool)),
        r"mask has shape \(3,\); expected",
    ),
    "gradient of means without rows": (
        lambda: vjp.kl_divergence(SVD, [Z2[0], Z3[0]], [Z2[0], Z3[0]], None, ROWS),
        r"latents\[0\] has shape \(2,\); expected .*row axis",
    ),
    "gradient of a draw without rows": (
        lambda: vjp.complete(SVD, [Z2[0], Z3[0]], MASK, np.zeros((1, 5)), [Z2[:1], Z3[:1]]),
        r"latents\[0\] has shape \(2,\); expected .*row axis",
    ),
    "rows of a draw's cotangents": (
        lambda: vjp.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5)), [Z2[:1], Z3[:1]]),
        r"cotangents\[0\] has shape \(1, 2\); expected \(\.\.\., 4, k\)",
    ),
    "an alpha for each direction of eq16": (
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z3], EYE, np.full(3, 0.5)),
        r"alpha has shape \(3,\) and rotation \(3, 3\); expected one alpha for each",
    ),
    "gradient of one log_var": (
        lambda: vjp.kl_divergence(SVD, [Z2, Z3], [Z2], None, ROWS),
        "log_vars has 1 arrays; expected 2",
    ),
    "cotangent of the KL": (
        lambda: vjp.kl_divergence(SVD, [Z2, Z3], [Z2, Z3], None, ROWS[:3]),
        r"cotangent has shape \(3,\); expected last axis 4",
    ),
    "cotangents of a draw": (
        lambda: vjp.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5)), [Z3, Z3]),
        r"cotangents\[0\] has shape \(4, 3\); expected last axis 2",
    ),
    "rows of noise": (
        lambda: jc.complete(SVD, [Z2, Z3], MASK, np.zeros((3, 5))),
        r"noise has shape \(3, 5\) but latents\[0\] has \(4, 2\)",
    ),
    "no means of dense": (lambda: jc.kl_dense([], [Z3], EYE), r"means has 0 arrays; expected at least one"),
    "no views of dense": (lambda: jc.kl_dense([], [], EYE), r"means has 0 arrays; expected at least one"),
    "values": (lambda: jc.condition_gaussian(np.zeros(3), EYE, [0], Z2), r"values has shape \(4, 2\); expected last axis 1"),
    "mean": (lambda: jc.condition_gaussian(np.zeros(2), EYE, [0], Z2[:, :1]), r"mean has shape \(2,\); expected last axis 3"),
}


def half(x):
    return x.astype(np.float16)


DTYPES = {
    "half skew": (lambda: jc.skew(half(np.zeros(3)), 3), "params has dtype float16; expected float32 or float64"),
    "integer skew": (lambda: jc.skew(np.zeros(3, dtype=int), 3), "params has dtype int64; expected float32 or float64"),
    "complex cayley": (lambda: jc.cayley(EYE.astype(complex)), "A has dtype complex128; expected float32 or float64"),
    "bfloat16": (
        lambda: jc.cayley(torch.eye(2, dtype=torch.bfloat16)),
        "A has dtype torch.bfloat16; expected float32 or float64",
    ),
    "integer inverse cayley": (lambda: jc.inverse_cayley(EYE.astype(int)), "Q has dtype int64; expected float32 or float64"),
    "half sigmoid": (lambda: jc.sigmoid_bound(half(EYE)), "logits has dtype float16; expected float32 or float64"),
    "half tanh": (lambda: jc.tanh_bound(half(EYE)), "logits has dtype float16; expected float32 or float64"),
    "mixed number": (lambda: jc.number_bound(np.float32(EYE), EYE), "like has dtype float64 but alpha has float32"),
    "integer rotation": (lambda: jc.JointPrior.orthogonal(EYE.astype(int), 0.5), "rotation has dtype int64; expected"),
    "integer skew matrix": (lambda: jc.skew_entries(np.zeros((3, 3), dtype=int)), "A has dtype int64; expected float32"),
    "integer like": (lambda: jc.JointPrior.independent([2, 3], like=EYE.astype(int)), "like has dtype int64; expected"),
    "integer C": (lambda: jc.JointPrior.from_covariance(EYE.astype(int)), "C has dtype int64; expected float32 or float64"),
    "narrow weight": (
        lambda: jc.subset_loss(TWO, [ROWS[None]] * 2, ROWS[None], np.ones((1, 1, 2)), beta=np.float32(ROWS)),
        "beta has dtype float32 but kl has float64",
    ),
    "a number like integers": (lambda: jc.number_bound(0.5, EYE.astype(int)), "like has dtype int64; expected float32"),
    "integer frame": (lambda: jc.inverse_frame(EYE.astype(int)), "Q has dtype int64; expected float32 or float64"),
    "half U": (lambda: jc.JointPrior.svd(half(EYE), np.zeros(3), EYE), "U has dtype float16; expected"),
    "half V": (lambda: jc.JointPrior.svd(EYE, np.zeros(3), half(EYE)), "V has dtype float16"),
    "integer frames": (
        lambda: jc.JointPrior.canonical([EYE.astype(int)] * 2, np.zeros((2, 3))),
        r"frames\[0\] has dtype int64",
    ),
    "narrow cotangent of the KL": (
        lambda: vjp.kl_divergence(SVD, [Z2, Z3], [Z2, Z3], None, np.float32(ROWS)),
        r"means\[0\] has dtype float64 but cotangent has float32",
    ),
    "narrow log_vars of a gradient": (
        lambda: vjp.kl_divergence(SVD, [Z2, Z3], [np.float32(Z2), Z3], None, ROWS),
        r"log_vars\[0\] has dtype float32 but means\[0\] has float64",
    ),
    "narrow noise of a gradient": (
        lambda: vjp.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5), np.float32), [Z2, Z3]),
        r"latents\[0\] has dtype float64 but noise has float32",
    ),
    "narrow cotangents of a draw": (
        lambda: vjp.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5)), [np.float32(Z2), Z3]),
        r"cotangents\[0\] has dtype float32 but noise has float64",
    ),
    "narrow cotangent of a sample": (
        lambda: vjp.reparameterize(Z2, Z2, np.float32(Z2)),
        "cotangent has dtype float32 but log_var has float64",
    ),
    "narrow cotangent of a frame": (
        lambda: vjp.frame(np.zeros(3), EYE, np.float32(EYE)),
        "cotangent has dtype float32 but params has float64",
    ),
    "narrow latents of a density": (
        lambda: jc.log_density(TWO, [Z2, np.float32(Z3)]),
        r"latents\[1\] has dtype float32 but latents\[0\] has float64",
    ),
    "half logits": (lambda: jc.JointPrior.svd(EYE, half(np.zeros(3)), EYE), "logits has dtype float16; expected"),
    "mixed svd": (lambda: jc.JointPrior.svd(EYE, np.zeros(3, np.float32), EYE), "logits has dtype float32 but U has float64"),
    "mixed rows": (
        lambda: jc.kl_divergence(TWO, [Z2, np.float32(Z3)], [Z2, Z3]),
        r"means\[1\] has dtype float32 but means\[0\] has float64",
    ),
    "mixed eq9": (
        lambda: jc.kl_eq9([Z2, Z3], [Z2, Z3], np.zeros((3, 2), np.float32)),
        r"means\[0\] has dtype float64 but C has float32",
    ),
    "mixed eq16": (
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z3], np.float32(EYE), 0.5),
        r"means\[0\] has dtype float64 but rotation has float32",
    ),
    "mixed dense": (
        lambda: jc.kl_dense([Z3], [Z3], np.float32(EYE)),
        r"means\[0\] has dtype float64 but covariance has float32",
    ),
    "mixed log_vars": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3], [Z2, np.float32(Z3)]),
        r"log_vars\[1\] has dtype float32 but means\[0\] has float64",
    ),
    "mixed prior": (
        lambda: jc.kl_divergence(SVD, *[[np.float32(Z2), np.float32(Z3)]] * 2),
        r"prior.arrays\[0\] has dtype float64",
    ),
    "integer latents": (
        lambda: jc.conditional_mean(TWO, [Z2.astype(int), Z3], MASK),
        r"latents\[0\] has dtype int64; expected",
    ),
    "noise": (
        lambda: jc.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5), np.float32)),
        "latents has dtype float64 but noise has float32",
    ),
    "reparameterize": (lambda: jc.reparameterize(Z2, np.float32(Z2), Z2), "log_var has dtype float32 but mean has float64"),
    "values": (
        lambda: jc.condition_gaussian(np.zeros(3), EYE, [0], np.float32(Z2[:, :1])),
        "values has dtype float32 but cov has float64",
    ),
}

LIBRARIES = {
    "numpy and torch": (lambda: jc.kl_divergence(TWO, [Z2, torch.zeros(4, 3)], [Z2, Z3]), r"numpy.ndarray, torch.Tensor"),
    "torch and jax": (lambda: jc.JointPrior.svd(torch.eye(3), jnp.zeros(3), torch.eye(3)), "torch.Tensor"),
    "numpy prior": (
        lambda: jc.kl_divergence(SVD, *[[torch.zeros(4, 2), torch.zeros(4, 3)]] * 2),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch log_vars of condition": (
        lambda: jc.condition(SVD, [Z2, Z3], MASK, log_vars=[torch.zeros(4, 2), torch.zeros(4, 3)]),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch mask": (lambda: jc.conditional_mean(TWO, [Z2, Z3], torch.tensor([True, False])), "numpy.ndarray, torch.Tensor"),
    "numpy noise": (lambda: jc.reparameterize(torch.zeros(2), torch.zeros(2), np.zeros(2)), "numpy.ndarray, torch.Tensor"),
    "torch log_vars of eq9": (
        lambda: jc.kl_eq9([Z2, Z3], [torch.zeros(4, 2), torch.zeros(4, 3)], np.zeros((3, 2))),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch means of eq16": (
        lambda: jc.kl_eq16([torch.zeros(4, 3)] * 2, [Z3, Z3], EYE, 0.5),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch weight": (
        lambda: jc.subset_loss(TWO, [ROWS[None]] * 2, ROWS[None], np.ones((1, 1, 2)), cross=torch.zeros(4)),
        "kl is a numpy.ndarray|numpy.ndarray, torch.Tensor",
    ),
    "torch means of dense": (lambda: jc.kl_dense([torch.zeros(4, 3)], [Z3], EYE), "numpy.ndarray, torch.Tensor"),
    "torch log_vars": (
        lambda: jc.condition(SVD, [Z2, Z3], MASK, log_vars=[torch.zeros(4, 2), torch.zeros(4, 3)]),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch alpha of a rotation": (lambda: jc.JointPrior.orthogonal(EYE, torch.tensor(0.5)), "numpy.ndarray, torch.Tensor"),
    "torch alpha of eq16": (
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z3], EYE, torch.tensor(0.5)),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch U": (lambda: jc.JointPrior.svd(torch.eye(3), np.zeros(3), EYE), "numpy.ndarray, torch.Tensor"),
    "torch V": (lambda: jc.JointPrior.svd(EYE, np.zeros(3), torch.eye(3)), "numpy.ndarray, torch.Tensor"),
    "torch logits of frames": (
        lambda: jc.JointPrior.canonical([EYE, EYE], torch.zeros((2, 3))),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch log_vars of the KL": (
        lambda: jc.kl_divergence(TWO, [Z2, Z3], [torch.zeros(4, 2), torch.zeros(4, 3)]),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch means of eq9": (
        lambda: jc.kl_eq9([torch.zeros(4, 2), torch.zeros(4, 3)], [Z2, Z3], np.zeros((3, 2))),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch log_vars of eq16": (
        lambda: jc.kl_eq16([Z3, Z3], [torch.zeros(4, 3)] * 2, EYE, 0.5),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch log_vars of dense": (lambda: jc.kl_dense([Z3], [torch.zeros(4, 3)], EYE), "numpy.ndarray, torch.Tensor"),
    "torch mean": (lambda: jc.reparameterize(torch.zeros(2), np.zeros(2), np.zeros(2)), "numpy.ndarray, torch.Tensor"),
    "torch log_var": (lambda: jc.reparameterize(np.zeros(2), torch.zeros(2), np.zeros(2)), "numpy.ndarray, torch.Tensor"),
    "torch noise": (
        lambda: jc.complete(TWO, [Z2, Z3], MASK, torch.zeros(4, 5)),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch log_vars of a gradient": (
        lambda: vjp.kl_divergence(SVD, [Z2, Z3], [torch.zeros(4, 2), torch.zeros(4, 3)], None, ROWS),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch means of a gradient": (
        lambda: vjp.kl_divergence(SVD, [torch.zeros(4, 2), torch.zeros(4, 3)], [Z2, Z3], None, ROWS),
        "numpy.ndarray, torch.Tensor",
    ),
    "torch cotangents of a draw": (
        lambda: vjp.complete(SVD, [Z2, Z3], MASK, np.zeros((4, 5)), [torch.zeros(4, 2), torch.zeros(4, 3)]),
        "numpy.ndarray, torch.Tensor",
    ),
    "rows are a list": (lambda: jc.Moments().update([[1.0]]), "is a list; expected an array"),
    "torch signs": (lambda: jc.frame(np.zeros(3), 3, 2, torch.ones(3)), "numpy.ndarray, torch.Tensor"),
    "a list": (lambda: jc.skew([1.0, 2.0, 3.0], 3), "is a list; expected an array"),
}


TABLES = ((SHAPES, jc.ShapeError, ValueError), (DTYPES, jc.DtypeError, TypeError), (LIBRARIES, jc.LibraryError, TypeError))
REFUSED = [pytest.param(*row, *kinds, id=mistake) for table, *kinds in TABLES for mistake, row in table.items()]


@pytest.mark.parametrize(("call", "message", "error", "builtin"), REFUSED)
def test_refused_with_a_message_that_names_the_argument(call, message, error, builtin):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, builtin)
    assert isinstance(caught.value, jc.JPVAEError)


@pytest.mark.parametrize("alpha", [1, 1.0, -1.0, -1.2, float("nan"), float("inf"), np.float32(1.5)])
def test_alpha_outside_the_open_interval(alpha):
    for call in (
        lambda: jc.JointPrior.orthogonal(EYE, alpha),
        lambda: jc.number_bound(alpha, EYE),
        lambda: jc.kl_eq16([Z3, Z3], [Z3, Z3], EYE, alpha),
    ):
        with pytest.raises(jc.NotAContraction, match=f"alpha is {alpha}; expected -1 < alpha < 1"):
            call()


@pytest.mark.parametrize("signs", [[1, 2, 1], [0, 0, 0], np.asarray([1.0, -1.0, 0.5])])
def test_signs_that_are_none(signs):
    for call in (lambda: jc.frame(np.zeros(3), 3, 2, signs), lambda: jc.orthogonal(np.zeros(3), 3, signs=signs)):
        with pytest.raises(ValueError, match=r"signs is .*; expected \+1 and -1 only"):
            call()


def test_unknown_bound():
    with pytest.raises(ValueError, match=r"bound is 'relu'; expected one of \['sigmoid', 'tanh'\]"):
        jc.JointPrior.svd(EYE, np.zeros(3), EYE, bound="relu")


def test_a_message_about_something_huge_is_cut():
    """A long word in its middle, many words in theirs; what stands at the ends stays."""
    with pytest.raises(jc.ArgumentError) as caught:
        jc.JointPrior.svd(EYE, np.zeros(3), EYE, bound="x" * 5_000)
    assert str(caught.value) == f"bound is '{'x' * 79}...{'x' * 18}'; expected one of ['sigmoid', 'tanh']"
    with pytest.raises(jc.ArgumentError) as caught:
        jc.JointPrior.svd(EYE, np.zeros(3), EYE, bound="of words " * 1_000)
    assert len(str(caught.value)) == 4_005
    assert str(caught.value).startswith("bound is 'of words of")
    assert str(caught.value).endswith("expected one of ['sigmoid', 'tanh']")
