"""Each array of each function alone is of another dtype, has an entry, a row or a view more than the others, or no axis: all of
these are refused by the package's own errors, which name an array. Nothing is stretched, promoted or left to NumPy's words."""

import numpy as np
import pytest

import jpvae_core as jc
from jpvae_core import vjp
from jpvae_core.errors import DtypeError, JPVAEError, ShapeError

rng = np.random.default_rng(0)
ROWS, DIMS, RANK = 4, (2, 3), 2
U, V = jc.frame(rng.standard_normal(3), 3, RANK), jc.frame(rng.standard_normal(1), 2, RANK)
PRIORS = {
    "svd": jc.JointPrior.svd(U, rng.standard_normal(RANK), V),
    "canonical": jc.JointPrior.canonical([V, U], rng.standard_normal((2, RANK))),
    "independent": jc.JointPrior.independent(DIMS),
    "square": jc.JointPrior.orthogonal(jc.orthogonal(rng.standard_normal(1), 2), 0.5),
}
MASK = np.asarray([True, False])


def views(dims=DIMS):
    return [rng.standard_normal((ROWS, n)) for n in dims]


def spreads(dims=DIMS):
    return [-np.exp(rng.standard_normal((ROWS, n))) for n in dims]


def noise(size=5):
    return rng.standard_normal((ROWS, size))


def of_prior(prior):
    """The functions of a prior and data: name -> call, arrays (one, or one per view)."""
    dims = prior.dims
    posterior, k = {"means": views(dims), "log_vars": spreads(dims)}, prior.noise_dim
    found = {
        "kl_divergence": (lambda **a: jc.kl_divergence(prior, **a), posterior),
        "log_density": (lambda **a: jc.log_density(prior, **a), {"latents": views(dims)}),
        "conditional_mean": (lambda **a: jc.conditional_mean(prior, mask=MASK, **a), {"latents": views(dims)}),
        "condition": (lambda **a: jc.condition(prior, mask=MASK, **a), {"latents": views(dims), "log_vars": spreads(dims)}),
        "complete": (lambda **a: jc.complete(prior, mask=MASK, **a), {"latents": views(dims), "noise": noise(k)}),
        "sample": (lambda **a: jc.sample(prior, **a), {"noise": noise(k)}),
        "vjp.kl_divergence": (
            lambda **a: vjp.kl_divergence(prior, mask=None, **a),
            posterior | {"cotangent": rng.standard_normal(ROWS)},
        ),
        "vjp.complete": (
            lambda **a: vjp.complete(prior, mask=MASK, **a),
            {"latents": views(dims), "noise": noise(k), "cotangents": views(dims)},
        ),
        "vjp.conditional_mean": (
            lambda **a: vjp.conditional_mean(prior, mask=MASK, **a),
            {"latents": views(dims), "cotangents": views(dims)},
        ),
    }
    for form in ("latent", "frame") if dims == (2, 2) else ("latent",):
        q = jc.fuse(prior, views(dims), spreads(dims), MASK, form)
        back = {"kl_cotangent": rng.standard_normal(ROWS), "drawn_cotangents": views(dims)}
        found |= {
            f"fuse {form}": (lambda form=form, **a: jc.fuse(prior, mask=MASK, coordinates=form, **a).kl(), posterior),
            f"draw {form}": (q.draw, {"noise": noise(q.noise_dim)}),
            f"density {form}": (q.log_density, {"latents": views(dims)}),
            f"vjp.fuse {form}": (lambda q=q, **a: vjp.fuse(q, **a), {"noise": noise(q.noise_dim)} | back),
        }
    return found


EQUAL = {"means": views((3, 3)), "log_vars": spreads((3, 3))}
ROTATION = jc.orthogonal(rng.standard_normal(3), 3)
CALLS = {
    **{f"{name}, {kind}": call for kind, prior in PRIORS.items() for name, call in of_prior(prior).items()},
    "reparameterize": (jc.reparameterize, {"mean": noise(), "log_var": noise(), "noise": noise()}),
    "kl_eq9": (jc.kl_eq9, {"means": views(), "log_vars": spreads(), "C": 0.1 * rng.standard_normal((3, 2))}),
    "kl_eq16": (lambda **a: jc.kl_eq16(alpha=0.5, **a), EQUAL | {"rotation": ROTATION}),
    "kl_dense": (jc.kl_dense, {"means": views(), "log_vars": spreads(), "covariance": np.eye(5)}),
    "condition_gaussian": (
        lambda **a: jc.condition_gaussian(observed_index=[1], **a),
        {"mean": np.zeros(3), "cov": np.eye(3), "values": noise(1)},
    ),
    "svd": (jc.JointPrior.svd, {"U": U, "logits": np.zeros(RANK), "V": V}),
    "canonical": (jc.JointPrior.canonical, {"frames": [V, U], "logits": np.zeros((2, RANK))}),
    "vjp.reparameterize": (vjp.reparameterize, {"log_var": noise(), "noise": noise(), "cotangent": noise()}),
    "vjp.frame": (vjp.frame, {"params": np.zeros(3), "Q": np.eye(3, 2), "cotangent": np.eye(3, 2)}),
    "vjp.orthogonal": (vjp.orthogonal, {"params": np.zeros(3), "Q": np.eye(3), "cotangent": np.eye(3)}),
}
ROWS_FREE = {  # how many rows, says the array itself
    *(f"{name}, {kind}" for name in ("sample", "draw latent", "draw frame") for kind in PRIORS),
    *("svd", "canonical", "condition_gaussian"),
}


def slots(arrays):
    """(argument, place in its list or None, the array) of every array."""
    for argument, value in arrays.items():
        if isinstance(value, list):
            yield from ((argument, i, x) for i, x in enumerate(value))
        else:
            yield argument, None, value


def with_one(arrays, argument, i, x):
    """The arguments with another array in one place."""
    if i is None:
        return arrays | {argument: x}
    return arrays | {argument: [x if k == i else y for k, y in enumerate(arrays[argument])]}


def longer(x, axis):
    return np.concatenate([x, np.take(x, [0], axis)], axis)


@pytest.mark.parametrize("name", CALLS)
def test_of_another_dtype(name):
    call, arrays = CALLS[name]
    call(**arrays)
    for argument, i, x in slots(arrays):
        word = argument if i is None else rf"{argument}\[{i}\]"
        with pytest.raises(DtypeError, match=word if i is None else f"{word}|{argument} has"):
            call(**with_one(arrays, argument, i, x.astype(np.float16)))
        if len(list(slots(arrays))) > 1 or "prior" in name:
            with pytest.raises(DtypeError, match="float32"):
                call(**with_one(arrays, argument, i, x.astype(np.float32)))


@pytest.mark.parametrize("name", [name for name in CALLS if "reparameterize" not in name])  # which broadcasts
def test_of_another_shape(name):
    call, arrays = CALLS[name]
    for argument, i, x in slots(arrays):
        for axis in range(-min(x.ndim, 2), 0):
            if not (name in ROWS_FREE and axis == -2):
                with pytest.raises(ShapeError):
                    call(**with_one(arrays, argument, i, longer(x, axis)))
        with pytest.raises(ShapeError):
            call(**with_one(arrays, argument, i, np.asarray(x[(0,) * x.ndim])))


@pytest.mark.parametrize(
    "name", [name for name, (_, arrays) in CALLS.items() if any(isinstance(x, list) for x in arrays.values())]
)
def test_another_number_of_views(name):
    call, arrays = CALLS[name]
    for argument, value in arrays.items():
        if isinstance(value, list):
            for changed in ([*value, value[0]], value[:1], []):
                with pytest.raises(JPVAEError):
                    call(**arrays | {argument: changed})
