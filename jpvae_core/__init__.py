"""The joint Gaussian prior over several latent spaces: parameterizations, KL divergence, conditioning, sampling.

Works on NumPy, torch, JAX and any other array-API library, in float32 and float64; imports none of the frameworks.

    prior = JointPrior.orthogonal(orthogonal(entries, n), 0.95)     or .svd, .canonical, .independent, .from_covariance
    kl_divergence(prior, means, log_vars, mask)                     replaces the sum of the views' KL divergences
    conditional_mean, complete, condition                           the missing views' latents, given the observed ones
    masks = subsets(prior, mask)                                    what a model has to train on to impute well: each row's
    q = fuse(prior, means, log_vars, masks)                         views, then parts of them; the posterior of all latents
    subset_loss(prior, log_probs, q.kl(), masks).mean()             given each part; and the loss (subsets.py has its formula)
"""

from .bounds import Bounded, number_bound, sigmoid_bound, tanh_bound
from .cayley import cayley, inverse_cayley
from .conditioning import Conditional, condition, condition_gaussian, conditional_mean
from .density import log_density
from .errors import ArgumentError, DtypeError, JPVAEError, LibraryError, NotAContraction, NotOrthogonal, ShapeError
from .frames import frame, inverse_frame, orthogonal
from .fused import fuse
from .fused_frames import FusedInFrames
from .fused_latents import Fused
from .kl import kl_divergence
from .moments import Moments
from .prior import JointPrior
from .pytrees import register_jax
from .reference_kl import kl_dense, kl_eq9, kl_eq16
from .sampling import complete, reparameterize, sample
from .signs import sign_matrix
from .skew import skew, skew_entries
from .subsets import subset_loss, subsets

__version__ = "0.1.0"  # the one place: the build, jpvae.__version__ and `jpvae --version` read it here
__all__ = [
    "ArgumentError",
    "Bounded",
    "Conditional",
    "DtypeError",
    "Fused",
    "FusedInFrames",
    "JPVAEError",
    "JointPrior",
    "LibraryError",
    "Moments",
    "NotAContraction",
    "NotOrthogonal",
    "ShapeError",
    "cayley",
    "complete",
    "condition",
    "condition_gaussian",
    "conditional_mean",
    "frame",
    "fuse",
    "inverse_cayley",
    "inverse_frame",
    "kl_dense",
    "kl_divergence",
    "kl_eq9",
    "kl_eq16",
    "log_density",
    "number_bound",
    "orthogonal",
    "register_jax",
    "reparameterize",
    "sample",
    "sigmoid_bound",
    "sign_matrix",
    "skew",
    "skew_entries",
    "subset_loss",
    "subsets",
    "tanh_bound",
]
