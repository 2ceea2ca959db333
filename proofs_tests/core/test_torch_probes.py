"""How the core is called from PyTorch, unusually or by mistake: each call gives what NumPy gives, or is refused by name.

The right answers are NumPy's in float64; those of gradients are ``jpvae_core.vjp``'s, which no autograd takes part in.
"""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Normal

import jpvae_core as jc
from jpvae_core import vjp
from jpvae_torch import JointPriorModule

RNG = np.random.default_rng(0)
DIMS = (3, 2, 4)
Q = [np.linalg.qr(RNG.normal(size=(n, 2)))[0] for n in DIMS]
LOGITS = RNG.normal(size=(3, 2))
PRIOR = jc.JointPrior.canonical(Q, LOGITS).named("c", "a", "b")
MEANS, LOG_VARS = ([RNG.normal(size=(5, n)) for n in DIMS] for _ in range(2))
MASK = RNG.random((5, 3)) < 0.6
KL, ALL = (jc.kl_divergence(PRIOR, MEANS, LOG_VARS, mask) for mask in (MASK, None))
(MEANS_BAR, _, _) = vjp.kl_divergence(PRIOR, MEANS, LOG_VARS, MASK, np.ones(5))
JACOBIAN = [vjp.kl_divergence(PRIOR, MEANS, LOG_VARS, MASK, e)[0][0] for e in np.eye(5)]


def tensors(arrays, dtype=torch.float64, **more):
    return [torch.tensor(x, dtype=dtype, **more) for x in arrays]


P, M, V, B = PRIOR.to(torch.zeros(1, dtype=torch.float64)), tensors(MEANS), tensors(LOG_VARS), torch.tensor(MASK)


def kl(prior=P, means=M, log_vars=V, mask=B, **more):
    return jc.kl_divergence(prior, means, log_vars, mask, **more)


class Rows(torch.Tensor):
    """A subclass, as libraries make them."""


class Holder(torch.nn.Module):
    """The prior within somebody's model."""

    def __init__(self):
        super().__init__()
        self.prior = JointPriorModule.of(P)

    def forward(self, *means):
        return kl(self.prior(), means)


def wanting_gradients():
    rows = tensors(MEANS, requires_grad=True)
    kl(means=rows).sum().backward()
    return torch.cat([x.grad for x in rows], dim=1), np.concatenate(MEANS_BAR, axis=1)


def within(context, call=kl):
    def inside():
        with context():
            return call()

    return inside


def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        return kl()
    finally:
        torch.set_default_dtype(torch.float32)


def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        return kl()
    finally:
        torch.use_deterministic_algorithms(False)


def batched(function, **more):
    return torch.func.vmap(function, **more)


def one_row(*x):
    return kl(means=x[:3], log_vars=x[3:6], mask=x[6])


def stack_of_modules():
    modules = [JointPriorModule((3, 2, 4), "canonical", seed=k, rank=2, dtype=torch.float64) for k in range(2)]
    stacked, fixed = torch.func.stack_module_state(modules)

    def one(state, buffers):
        return kl(torch.func.functional_call(modules[0], (state, buffers)))

    wanted = [jc.kl_divergence(module().to(np.zeros(1)), MEANS, LOG_VARS, MASK) for module in modules]
    return batched(one)(stacked, fixed), np.stack(wanted)


def any_number_of_rows():
    torch._dynamo.reset()
    run = torch.compile(lambda *x: jc.kl_divergence(P, x[:3], x[3:]), backend="eager", fullgraph=True, dynamic=True)
    first = run(*M, *V)
    return torch.cat([first, run(*(x[:3] for x in (*M, *V)))]), np.concatenate([ALL, ALL[:3]])


def by_deviations():
    """Of two views, read by name, in one graph."""
    torch._dynamo.reset()

    def divergence(means, std):
        prior = P.marginal(["a", "b"])
        return jc.kl_divergence(prior, means, std=std, mask=jc.subsets(prior, B[:, 1:], [["a"], [True, False]])[0])

    run = torch.compile(divergence, backend="eager", fullgraph=True)
    want = jc.kl_divergence(PRIOR.marginal([1, 2]), MEANS[1:], LOG_VARS[1:], MASK[:, 1:])
    return run(M[1:], [torch.exp(0.5 * x) for x in V[1:]]), want


def saved_state():
    buffer, other = io.BytesIO(), Holder()
    torch.save(Holder().state_dict(), buffer)
    buffer.seek(0)
    with torch.no_grad():
        other.prior.logits.zero_()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other(*M)


def fake():
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        shape = kl(means=[mode.from_tensor(x) for x in M], log_vars=[mode.from_tensor(x) for x in V]).shape
    return torch.zeros(shape)


def no_rows():
    rows = [x[:0].requires_grad_() for x in tensors(MEANS)]
    q = jc.fuse(P, rows, [x - 1.0 for x in rows])
    (kl(means=rows, log_vars=rows, mask=B[:0]).sum() + q.kl().sum() + q.mean()[0].sum()).backward()
    return rows[0].grad, np.zeros((0, 3))


def chunks():
    """Halves of one output, as most encoders end."""
    both = [torch.cat([m, v], dim=1) for m, v in zip(M, V, strict=True)]
    means, log_vars = zip(*(x.chunk(2, dim=1) for x in both), strict=True)
    return kl(means=means, log_vars=log_vars)


def jacobian(transform):
    return lambda: (transform(lambda m: kl(means=[m, *M[1:]]))(M[0]), np.stack(JACOBIAN))


def hessian():
    """Of the first row's KL in its own latents, which is quadratic there: differences of gradients are exact."""
    found = torch.func.hessian(lambda m: kl(means=[m, *M[1:]])[0])(M[0])[0, :, 0]
    shifted = [[x + (e if i == 0 else 0.0) for i, x in enumerate(MEANS)] for e in np.eye(3)]
    rows = [vjp.kl_divergence(PRIOR, means, LOG_VARS, MASK, np.eye(5)[0])[0][0][0] - JACOBIAN[0][0] for means in shifted]
    return found, np.stack(rows)


PASSES = {
    "float32": lambda: kl(P.to(dtype="float32"), *(tensors(x, torch.float32) for x in (MEANS, LOG_VARS))),
    "rows that want gradients": wanting_gradients,
    "parameters and detached rows": lambda: kl(means=[torch.nn.Parameter(x).detach() for x in M]),
    "transposed rows": lambda: kl(means=[x.T.contiguous().T for x in M]),
    "one row expanded": lambda: (
        jc.kl_divergence(P, [x[:1].expand(5, -1) for x in M], V),
        jc.kl_divergence(PRIOR, [np.repeat(x[:1], 5, 0) for x in MEANS], LOG_VARS),
    ),
    "two chunks of one output": chunks,
    "a subclass of Tensor": lambda: kl(means=[x.as_subclass(Rows) for x in M]),
    "ParameterList": lambda: kl(means=torch.nn.ParameterList(M)),
    "ParameterDict, another order": lambda: kl(means=torch.nn.ParameterDict({"a": M[1], "b": M[2], "c": M[0]})),
    "a row without its axis": lambda: (kl(means=[x[0] for x in M], log_vars=[x[0] for x in V], mask=B[0]), KL[0]),
    "no rows": no_rows,
    "draws of rows": lambda: (kl(means=[x.expand(2, 5, -1) for x in M], log_vars=[x.expand(2, 5, -1) for x in V]), [KL, KL]),
    "std": lambda: kl(log_vars=None, std=[torch.exp(0.5 * x) for x in V]),
    "a mask of bytes": lambda: kl(mask=B.to(torch.uint8)),
    "a mask of halves 0.0 and 1.0": lambda: kl(mask=B.half()),
    "NumPy's mask": lambda: kl(mask=MASK),
    "columns, tensors beside lists": lambda: kl(mask={"c": B[:, 0], "a": B[:, 1].float(), "b": MASK[:, 2]}),
    "rows of lists": lambda: kl(mask=MASK.tolist()),
    "no_grad": within(torch.no_grad),
    "inference_mode": within(torch.inference_mode, lambda: kl(means=tensors(MEANS))),
    "autocast": within(lambda: torch.autocast("cpu", dtype=torch.bfloat16)),
    "another default device": within(lambda: torch.device("meta"), lambda: kl(P, M, V, MASK)),
    "another default dtype": default_dtype,
    "deterministic algorithms": deterministic,
    "detect_anomaly": within(torch.autograd.detect_anomaly, wanting_gradients),
    "vmap over rows": lambda: batched(one_row)(*M, *V, B),
    "vmap over rows, rows last": lambda: batched(one_row, in_dims=-1)(*(x.mT for x in (*M, *V, B))),
    "jacrev": jacobian(torch.func.jacrev),
    "jacfwd": jacobian(torch.func.jacfwd),
    "hessian": hessian,
    "functional_call of a stack": stack_of_modules,
    "compile, any number of rows": any_number_of_rows,
    "compile, standard deviations of some views": by_deviations,
    "meta": lambda: (torch.zeros(kl(P.to(device="meta"), *([x.to("meta") for x in y] for y in (M, V))).shape), np.zeros(5)),
    "fake tensors": lambda: (fake(), np.zeros(5)),
    "deepcopy and pickle": lambda: kl(pickle.loads(pickle.dumps(copy.deepcopy(P)))),  # noqa: S301  (one's own)
    "a pickled module": lambda: pickle.loads(pickle.dumps(Holder()))(*M),  # noqa: S301
    "a saved state": saved_state,
    "DataParallel": lambda: torch.nn.DataParallel(Holder())(*M),
}

HALF = [x.half() for x in M]
REFUSED = {
    "integer rows": (lambda: kl(means=[x.long() for x in M]), r"means\[0\] has dtype torch.int64; expected float32"),
    "half rows": (lambda: kl(means=HALF), r"means\[0\] has dtype torch.float16; expected float32 or float64"),
    "float32 rows, float64 prior": (
        lambda: jc.kl_divergence(P, *(tensors(x, torch.float32) for x in (MEANS, LOG_VARS))),
        r"prior.arrays\[0\] has dtype torch.float64 but means\[0\] has torch.float32",
    ),
    "NumPy rows": (lambda: kl(means=MEANS), "expected arrays of one array library, found numpy.ndarray, torch.Tensor"),
    "sparse rows": (lambda: kl(means=[x.to_sparse() for x in M]), r"means\[0\] is sparse"),
    "one tensor for all views": (lambda: kl(means=torch.stack([M[0]] * 3)), r"means is one array of shape \(3, 5, 3\)"),
    "a generator": (lambda: kl(means=(x for x in M)), "means is a generator; expected a list"),
    "a distribution": (lambda: kl(means=Normal(0.0, 1.0)), "means is a Normal; expected a list"),
    "a module that was not called": (lambda: kl(Holder().prior), "JointPriorModule; expected a JointPrior.* called first"),
    "the prior among the rows": (lambda: kl(M, P, V), "prior is a builtins.list; expected a JointPrior, as the first"),
    "an unknown view": (lambda: kl(means=dict(zip("cad", M, strict=True))), r"means has the keys \['c', 'a', 'd'\]"),
    "rows and latents swapped": (lambda: kl(means=[x.T for x in M]), r"means\[0\] has shape \(3, 5\); expected last axis 3"),
    "one log-variance for all": (lambda: kl(log_vars=[x[:, :1] for x in V]), r"log_vars\[0\] has shape \(5, 1\)"),
    "both spreads": (lambda: kl(std=V), "both log_vars and std given"),
    "a mask with its axes swapped": (lambda: kl(mask=B.T), r"mask has shape \(3, 5\); expected last axis 3"),
    "a mask of 0.5": (lambda: kl(mask=0.5 * B), r"mask holds tensor\(0.5000\)|mask holds 0.5"),
    "a mask of -1": (lambda: kl(mask=-B.int()), "mask holds .*-1"),
    "a mask of NaN": (lambda: kl(mask=torch.full((3,), torch.nan)), "mask holds .*nan"),
    "rows on two devices": (
        lambda: kl(means=[M[0], M[1].to("meta"), M[2]]),
        r"means\[1\] is on the device meta but means\[0\]",
    ),
    "an alpha for each direction": (
        lambda: jc.JointPrior.orthogonal(torch.eye(3), torch.full((3,), 0.5)),
        r"alpha has shape \(3,\) and rotation \(3, 3\); expected one alpha",
    ),
    "alpha in another dtype": (
        lambda: jc.JointPrior.orthogonal(torch.eye(3).double(), torch.tensor(0.5)),
        "alpha has dtype torch.float32 but rotation has torch.float64",
    ),
    "alpha of 1 in a tensor": (
        lambda: jc.JointPrior.orthogonal(torch.eye(3), torch.tensor(1.0), validate=True),
        "Check alpha",
    ),
    "noise of one view": (lambda: jc.sample(P, torch.zeros(5, 3).double()), r"noise has shape \(5, 3\); expected last axis 11"),
}


@pytest.mark.parametrize("probe", PASSES)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled", "ignore:`torch.jit.script` is deprecated")
def test_it_gives_what_numpy_gives(probe):
    """kl_divergence's stated c eps K with c < 60 and K < 60; a derivative's terms are no larger."""
    found = PASSES[probe]()
    found, want = found if isinstance(found, tuple) else (found, KL)
    assert not isinstance(found, np.ndarray)
    assert tuple(found.shape) == np.shape(want)
    eps = 2.0**-23 if found.dtype == torch.float32 and "float32" in probe else 2.0**-52
    np.testing.assert_allclose(found.detach().numpy(), want, rtol=0, atol=60 * 60 * eps)


@pytest.mark.parametrize("probe", REFUSED)
def test_it_is_refused_by_name(probe):
    call, message = REFUSED[probe]
    with pytest.raises(jc.JPVAEError, match=message):
        call()
