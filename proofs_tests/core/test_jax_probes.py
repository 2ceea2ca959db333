"""How the core is called from JAX, unusually or by mistake: each call gives what NumPy gives, or is refused by name.

The right answers are NumPy's in float64; those of gradients are ``jpvae_core.vjp``'s, which no autograd takes part in.
Several devices: test_jax_devices.py.
"""

import copy
import dataclasses
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jpvae_core as jc
from jpvae_core import vjp

RNG = np.random.default_rng(0)
Q = [np.linalg.qr(RNG.normal(size=(2, 1)))[0] for _ in range(2)]
LOGITS = RNG.normal(size=1)
PRIOR = jc.JointPrior.svd(Q[1], LOGITS, Q[0]).named("b", "a")
MEANS, LOG_VARS, NOISE = RNG.normal(size=(2, 5, 2)), RNG.normal(size=(2, 5, 2)), RNG.normal(size=(5, 4))
MASK = RNG.random((5, 2)) < 0.6
KL, DRAWN = jc.kl_divergence(PRIOR, [*MEANS], [*LOG_VARS], MASK), jc.complete(PRIOR, [*MEANS], MASK, NOISE)[1]
(MEANS_BAR, _, _) = vjp.kl_divergence(PRIOR, [*MEANS], [*LOG_VARS], MASK, np.ones(5))
JACOBIAN = [vjp.kl_divergence(PRIOR, [*MEANS], [*LOG_VARS], MASK, e)[0][0] for e in np.eye(5)]


def arrays(x, dtype=jnp.float64):
    return [jnp.asarray(one, dtype=dtype) for one in x]


P, M, V, B = PRIOR.to(jnp.zeros(1, dtype=jnp.float64)), arrays(MEANS), arrays(LOG_VARS), jnp.asarray(MASK)


def kl(prior=P, means=M, log_vars=V, mask=B, **more):
    return jc.kl_divergence(prior, means, log_vars, mask, **more)


def jitted(function, *x):
    """Compiled as a whole, which takes less time than operation by operation."""
    return jax.jit(function)(*x)


def narrow():
    return arrays(MEANS, jnp.float32), arrays(LOG_VARS, jnp.float32)


def total(means):
    return kl(means=means).sum()


@functools.partial(jax.tree_util.register_dataclass, data_fields=["prior", "bias"], meta_fields=[])
@dataclasses.dataclass
class Model:
    """A module as Equinox makes them: a pytree with a prior as a field, whose arrays are filtered out and put back."""

    prior: jc.JointPrior | None
    bias: jax.Array | None

    def __call__(self):
        return kl(self.prior) + self.bias


def filtered():
    model = Model(P, jnp.zeros(()))
    some = jax.tree.map(lambda x: x if x.ndim > 0 else None, model)
    rest = jax.tree.map(lambda x: None if x.ndim > 0 else x, model)
    whole = jax.tree.map(lambda x, y: y if x is None else x, some, rest, is_leaf=lambda x: x is None)
    return jax.jit(lambda m: m())(whole)


def stack(axis):
    """Two priors in one, mapped over."""
    other = jc.JointPrior.svd(Q[1], LOGITS + 1.0, Q[0]).named("b", "a")
    both = jax.tree.map(lambda *x: jnp.asarray(np.stack(x, axis=axis)), P, other.to(M[0]))
    return jitted(jax.vmap(kl, in_axes=(axis,)), both), np.stack([KL, jc.kl_divergence(other, [*MEANS], [*LOG_VARS], MASK)])


def carried():
    def step(prior, mean):
        return jax.tree.map(lambda x: 1.0 * x, prior), kl(prior, [mean, *M[1:]])

    last, found = jax.lax.scan(step, P, jnp.stack([M[0], M[0]]))
    assert all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(last), jax.tree.leaves(P), strict=True))
    return found, np.stack([KL, KL])


def looped():
    """A prior and its KL through a while_loop."""
    state = (0, P, jnp.zeros(5))
    return jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1], kl(s[1])), state)[2]


def averaged():
    """As an exponential moving average of parameters: that of equal ones is itself."""
    return jitted(lambda p, q: kl(jax.tree.map(lambda x, y: 0.5 * x + 0.5 * y, p, q)), P, P)


def one_row(prior, *x):
    return kl(prior, x[:2], x[2:4], x[4])


def jacobian(transform):
    return lambda: (jitted(transform(lambda m: kl(means=[m, *M[1:]])), M[0]), np.stack(JACOBIAN))


def hessian():
    """Of the first row's KL in its own latents, which is quadratic there: differences of gradients are exact."""
    found = jitted(jax.hessian(lambda m: kl(means=[m, *M[1:]])[0]), M[0])[0, :, 0]
    shifted = [[x + (e if i == 0 else 0.0) for i, x in enumerate(MEANS)] for e in np.eye(2)]
    rows = [vjp.kl_divergence(PRIOR, means, [*LOG_VARS], MASK, np.eye(5)[0])[0][0][0] - JACOBIAN[0][0] for means in shifted]
    return found, np.stack(rows)


def gradient(function):
    return lambda: (jitted(lambda m: jnp.concatenate(function(m), axis=1), M), np.concatenate(MEANS_BAR, axis=1))


def through_the_prior():
    """A gradient whose result is a prior: that of every array, of which the steps along it are linear."""
    bar, step = jitted(jax.grad(lambda p: kl(p).sum()), P), 1e-6
    assert isinstance(bar, jc.JointPrior)
    summed = jax.jit(lambda p: kl(p).sum())
    up, down = (summed(jax.tree.map(lambda x, y, h=h: np.asarray(x) + h * np.asarray(y), P, bar)) for h in (step, -step))
    square = sum((np.asarray(x) ** 2).sum() for x in jax.tree.leaves(bar))
    return (up - down) / (2 * step) / square, np.ones(())


def within(context, call=kl):
    def inside():
        with context:
            return call()

    return inside


def sharded():
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("rows",))
    placed = [jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows"))) for x in M]
    return jitted(lambda m: kl(means=m), placed)


def donated():
    """A step's parameters, given away for its result: here the prior's."""
    step = jax.jit(lambda p: (jax.tree.map(lambda x: 1.0 * x, p), kl(p)), donate_argnums=0)
    return step(jax.tree.map(jnp.array, P))[1]


def no_rows():
    rows = [x[:0] for x in M]
    total = jax.grad(lambda z: kl(means=z, log_vars=rows, mask=B[:0]).sum() + jc.fuse(P, z, rows).kl().sum())
    return jitted(total, rows)[0], MEANS[0][:0]


def of_a_name():
    """JAX sorts a dict's keys on its way into jit: names, not order."""
    columns = dict(zip("ba", jnp.asarray(MASK.T), strict=True))
    return jitted(lambda z, m: kl(means=z, mask=m), {"b": M[0], "a": M[1]}, columns)


def shapes():
    found = jax.eval_shape(kl, P, [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in M], V, B)
    return jnp.zeros(found.shape, found.dtype), np.zeros(5)


def branches():
    """Two priors as branches of one cond."""
    return jax.jit(lambda yes: jax.lax.cond(yes, lambda: kl(P), lambda: kl(jax.tree.map(jnp.zeros_like, P))))(True)


PASSES = {
    "float32": lambda: jitted(kl, PRIOR.to(np.zeros(1, np.float32)).to(jnp.zeros(1, jnp.float32)), *narrow(), B),
    "jit, a prior closed over": lambda: jitted(lambda m: kl(means=m), M),
    "jit, a prior for an argument": lambda: jitted(kl, P, M, V, B),
    "jit, a prior for a result": lambda: jitted(kl, jitted(jc.JointPrior.svd, *arrays([Q[1], LOGITS, Q[0]]))),
    "jit, a posterior for a result": lambda: (
        jitted(lambda q: q.kl(), jitted(lambda v: jc.fuse(P, M, [-jnp.abs(x) for x in v], B), V)),
        jc.fuse(PRIOR, [*MEANS], [*-np.abs(LOG_VARS)], MASK).kl(),
    ),
    "a field of a module": filtered,
    "a scan's carry": carried,
    "a while_loop's state": looped,
    "cond": branches,
    "vmap over priors": lambda: stack(0),
    "vmap over priors, last axis": lambda: stack(-1),
    "vmap over rows": lambda: jitted(jax.vmap(one_row, in_axes=(None, *[0] * 5)), P, *M, *V, B),
    "lax.map over rows": lambda: jax.lax.map(lambda x: one_row(P, *x), (*M, *V, B)),
    "tree.map over priors": averaged,
    "grad": gradient(jax.grad(total)),
    "grad of jit of checkpoint": gradient(jax.jit(jax.grad(jax.checkpoint(total)))),
    "linear_transpose of linearize": gradient(lambda m: jax.vjp(total, m)[1](jnp.ones(()))[0]),
    "grad of a prior": through_the_prior,
    "jacrev": jacobian(jax.jacrev),
    "jacfwd": jacobian(jax.jacfwd),
    "hessian": hessian,
    "eval_shape": shapes,
    "donated buffers": donated,
    "rows placed by a sharding": sharded,
    "disable_jit": within(jax.disable_jit(), lambda: jitted(kl, P, M, V, B)),
    "debug_nans": within(jax.debug_nans(True), lambda: jitted(kl, P, M, V, B)),
    "strict promotion": within(jax.numpy_dtype_promotion("strict"), lambda: jitted(kl, P, M, V, B)),
    "checking_leaks": within(jax.checking_leaks(), lambda: jitted(kl, P, M, V, B)),
    "a row without its axis": lambda: (jitted(one_row, P, *(x[0] for x in (*M, *V, B))), KL[0]),
    "no rows": no_rows,
    "a dict of views through jit": of_a_name,
    "std": lambda: jitted(lambda s: kl(log_vars=None, std=s), arrays(np.exp(0.5 * LOG_VARS))),
    "NumPy's mask": lambda: kl(mask=MASK),
    "a mask of rows of lists": lambda: kl(mask=MASK.tolist()),
    "a traced mask of floats": lambda: jitted(lambda m: kl(mask=m), jnp.asarray(MASK.astype(float))),
    "independent views under jit": lambda: (
        jitted(kl, jc.JointPrior.independent([2, 2]), M, V, B),
        jc.kl_divergence(jc.JointPrior.independent([2, 2]), [*MEANS], [*LOG_VARS], MASK),
    ),
    "noise under jit": lambda: (jitted(jc.complete, P, M, B, jnp.asarray(NOISE))[1], DRAWN),
    "deepcopy and pickle": lambda: kl(pickle.loads(pickle.dumps(copy.deepcopy(P)))),  # noqa: S301  (one's own)
}

REFUSED = {
    "integer rows": (lambda: kl(means=[x.astype(int) for x in M]), r"means\[0\] has dtype int64; expected float32"),
    "bfloat16 rows": (lambda: kl(means=[x.astype(jnp.bfloat16) for x in M]), r"means\[0\] has dtype bfloat16; expected"),
    "float32 rows, float64 prior": (
        lambda: kl(P, *narrow()),
        r"prior.arrays\[0\] has dtype float64 but means\[0\] has float32",
    ),
    "NumPy rows": (lambda: kl(means=[*MEANS]), "expected arrays of one array library, found jax.ArrayImpl, numpy.ndarray"),
    "one array for all views": (lambda: kl(means=jnp.asarray(MEANS)), r"means is one array of shape \(2, 5, 2\)"),
    "a generator": (lambda: kl(means=(x for x in M)), "means is a generator; expected a list"),
    "parameters for a prior": (lambda: kl({"logits": LOGITS}), "prior is a builtins.dict; expected a JointPrior"),
    "the prior among the rows": (lambda: kl(M, P, V), "prior is a builtins.list; expected a JointPrior, as the first"),
    "a key for noise": (lambda: jc.sample(P, jax.random.key(0)), r"noise .*expected"),
    "an unknown view": (lambda: kl(means=dict(zip("ad", M, strict=True))), r"means has the keys \['a', 'd'\]"),
    "rows and latents swapped": (lambda: kl(means=[x.T for x in M]), r"means\[0\] has shape \(2, 5\); expected last axis 2"),
    "rows swapped under jit": (lambda: jitted(kl, P, [x.T for x in M], V, B), r"means\[0\] has shape \(2, 5\)"),
    "both spreads": (lambda: kl(std=V), "both log_vars and std given"),
    "a mask of 0.5": (lambda: kl(mask=0.5 * B), "mask holds 0.5; expected True or 1"),
    "a mask of -1": (lambda: kl(mask=-B.astype(int)), "mask holds -1"),
    "a mask of NaN": (lambda: kl(mask=jnp.asarray([np.nan, 1.0])), "mask holds nan"),
    "an alpha for each direction": (
        lambda: jc.JointPrior.orthogonal(jnp.asarray(np.eye(2)), jnp.asarray([0.5, 0.5])),
        r"alpha has shape \(2,\) and rotation \(2, 2\); expected one alpha",
    ),
    "a start from a traced covariance": (lambda: jax.jit(jc.JointPrior.from_covariance)(0.5 * jnp.eye(2)), "C is traced"),
    "a check under jit": (lambda: jax.jit(lambda p: p.check().log_det())(P), "the prior is traced"),
}


@pytest.mark.parametrize("probe", PASSES)
def test_it_gives_what_numpy_gives(probe):
    """kl_divergence's stated c eps K with c < 60 and K < 60; a derivative's terms are no larger, a difference's step 1e-6."""
    found = PASSES[probe]()
    found, want = found if isinstance(found, tuple) else (found, KL)
    assert isinstance(found, jax.Array)
    assert found.shape == np.shape(want)
    eps = 2.0**-23 if probe == "float32" else 2.0**-52
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-6 if probe == "grad of a prior" else 60 * 60 * eps)


@pytest.mark.parametrize("probe", REFUSED)
def test_it_is_refused_by_name(probe):
    call, message = REFUSED[probe]
    with pytest.raises(jc.JPVAEError, match=message):
        call()
