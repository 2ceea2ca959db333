"""One mathematics under every transformation: vmap over models and over rows, torch.compile, batch axes, gradients.

Each must give what the plain call gives, model by model and row by row, on NumPy in float64; and every gradient what torch
gives in the plain call (held against 80 digits in test_gradients.py, and here against differences). jax.jit is not listed:
whatever a test calls on JAX through ``xp.call`` is jitted. ``Moments`` accumulates in NumPy and is not traced.
"""

import functools
import itertools

import calls
import jax
import numpy as np
import oracles
import pytest
import torch
from libraries import Backend, Library
from strategies import Model, Structure, posterior, skew_entries
from traced_calls import MODELS, ROWS, STRUCTURES, everything, inputs, maps, rarely_traced

import jpvae_core as jc
from jpvae_core._xp import namespace
from jpvae_core.skew import _KEPT

NUMPY = Backend(Library.NUMPY, "float64")
every_constructor = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
# Under JAX's vmap with gradients, where three views take long to compile (they are compiled with leading axes), two.
SMALL = [*STRUCTURES[:4], Structure("canonical", (2, 3), 1)]


def is_long(structure, transformation):
    """Thoroughly: the independent prior, which has no array; the bounds of an SVD prior, which test_parameterizations traces;
    and the other SVD prior where it is compiled: the orthogonal one is a pair too, the canonical one has other frames."""
    compiled = transformation in ("jax.vmap", "torch.compile")
    return structure.kind in ("independent", "svd-tanh") or (compiled and structure.kind == "svd-sigmoid")


def few_of(structures, transformation):
    """The structures under one transformation."""
    cases = [pytest.param(s, marks=[pytest.mark.thorough] * is_long(s, transformation), id=s.kind) for s in structures]
    return pytest.mark.parametrize("structure", cases)


def few_under(*transformations):
    """The small structures under each."""
    cases = [
        pytest.param(t, s, marks=[pytest.mark.thorough] * is_long(s, t), id=f"{t}-{s.kind}")
        for t, s in itertools.product(transformations, SMALL)
    ]
    return pytest.mark.parametrize(("transformation", "structure"), cases)


def fused(structure, parameters, latents, log_vars, mask, noise):
    """The fused posterior in every form that the prior has; log-variances at most 0. Its draws' noise: one column repeated."""
    prior, forms = structure.prior(parameters), ["latent", "frame"] if set(structure.dims) == {structure.rank} else ["latent"]
    outputs = {}
    for form in forms:
        q = jc.fuse(prior, latents, [v - 1.0 for v in log_vars], mask, form)
        drawn = q.draw(namespace(noise).concat([noise[..., :1]] * q.noise_dim, axis=-1))
        outputs[form] = [q.kl(), *q.mean(), *drawn, q.log_density(drawn), q.covariance()]
    return outputs


def fused_with_loss(structure, leaves, fixed):
    """As ``with_loss``."""
    signs, mask, noise = fixed
    outputs = fused(structure, leaves["prior"] | signs, leaves["latents"], leaves["log_vars"], mask, noise)
    return sum(x.sum() for form in outputs.values() for x in form), outputs


def loss(outputs):
    """What is differentiated: the KL and a function of the completed latents, summed."""
    return outputs["kl"][0].sum() + sum((z * z).sum() for z in outputs["completed"])


def stacked(stack):
    """One tree with a leading axis of models."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *stack)


def split(parameters, latents, log_vars, mask, noise):
    """One model's inputs as what is differentiated (a dict) and what is not."""
    fixed = ({"signs": parameters["signs"]} if parameters else {}, mask, noise)
    continuous = {name: x for name, x in parameters.items() if name != "signs"}
    return {"prior": continuous, "latents": latents, "log_vars": log_vars}, fixed


def with_loss(structure, leaves, fixed):
    """The loss, and everything beside it."""
    signs, mask, noise = fixed
    outputs = everything(structure, leaves["prior"] | signs, leaves["latents"], leaves["log_vars"], mask, noise)
    return loss(outputs), outputs


def tolerance(structure, eps, want):
    """Two evaluations of one formula differ by twice its error: oracles.kl_and_condition with inputs of a few units; by
    inversion (twice the stiffness) where the output is one of the paper's forms."""
    models = [Model(structure, seed, reach=2.0) for seed in range(MODELS)]
    worst = max(oracles.rounding(model, eps) * oracles.stiffness(model) ** 2 for model in models)
    return 2 * worst * (1 + np.abs(want).max())


def agree(structure, got, eps, function=everything):
    """Every output of the stack equals the plain call on its model."""
    for k, one in enumerate(inputs(structure)):
        wanted = jax.tree.leaves(function(structure, *one))
        for x, want in zip(jax.tree.leaves(got), wanted, strict=True):
            x = np.asarray(x[k].detach() if isinstance(x, torch.Tensor) else x[k], dtype=float)
            assert x.shape == want.shape
            assert np.all(np.abs(x - want) <= tolerance(structure, eps, want))


def backward(function, structure, one):
    """Outputs and gradients, in the order of jax.tree.leaves, by torch's backward through ``function``."""
    leaves, fixed = jax.tree.map(torch.tensor, split(*one))
    flat, tree = jax.tree.flatten(leaves)
    flat = [x.requires_grad_() for x in flat]
    value, outputs = function(structure, jax.tree.unflatten(tree, flat), fixed)
    value.backward()
    return outputs, [torch.zeros_like(x) if x.grad is None else x.grad for x in flat]


@functools.cache
def plain_gradients(structure):
    """Per model, the gradients without any transformation."""
    return [backward(with_loss, structure, one)[1] for one in inputs(structure)]


def gradients_agree(structure, got):
    """A gradient's error is that of the outputs times kappa, from the adjoint solve of the Cayley transform."""
    kappa = max(oracles.frame_condition(Model(structure, seed, reach=2.0)) for seed in range(MODELS))
    for k, wanted in enumerate(plain_gradients(structure)):
        largest = np.concatenate([np.ravel(want) for want in wanted])
        for x, want in zip(jax.tree.leaves(got), wanted, strict=True):
            error = np.abs(np.asarray(x[k]) - want.numpy())
            assert np.all(error <= kappa * tolerance(structure, 2.0**-52, largest))


def stack_models(trees):
    """Outputs of one model after the other, as one tree with a leading axis."""
    return jax.tree.map(lambda *leaves: torch.stack(leaves), *trees)


@every_constructor
def test_leading_axes_on_the_parameters_are_a_loop_over_models(xp, structure):
    """(Leading axes on the free parameters of the frames: test_parameterizations.)"""
    stack = [(Model(structure, seed, reach=2.0).framed(xp), *one[1:]) for seed, one in enumerate(inputs(structure))]
    agree(structure, xp.call(everything, structure, *stacked(stack)), xp.eps)


@few_of(SMALL, "jax.vmap")
def test_jax_vmap_and_gradient(structure):
    run = jax.jit(jax.vmap(jax.grad(functools.partial(with_loss, structure), has_aux=True)))
    gradients, outputs = run(*split(*stacked(inputs(structure))))
    agree(structure, outputs, 2.0**-52)
    gradients_agree(structure, gradients)


@every_constructor
def test_torch_vmap_and_gradient(structure):
    run = torch.func.vmap(torch.func.grad(functools.partial(with_loss, structure), has_aux=True))
    gradients, outputs = run(*jax.tree.map(torch.tensor, split(*stacked(inputs(structure)))))
    agree(structure, outputs, 2.0**-52)
    gradients_agree(structure, gradients)


@few_of(STRUCTURES, "torch.compile")
def test_torch_compile_without_a_graph_break(structure):
    torch._dynamo.reset()
    run = torch.compile(with_loss, fullgraph=True, backend="eager")
    outputs, gradients = zip(*(backward(run, structure, one) for one in inputs(structure)), strict=True)
    agree(structure, stack_models(outputs), 2.0**-52)
    gradients_agree(structure, stack_models(gradients))


def test_torch_compile_may_be_the_first_to_meet_a_size():
    """What the core keeps of each size is made while tracing."""
    torch._dynamo.reset()
    entries, size = torch.linspace(-1.0, 1.0, 21, dtype=torch.float64), 7
    _KEPT.pop(size, None)
    compiled = torch.compile(lambda x: jc.orthogonal(x, size), fullgraph=True, backend="eager")(entries)
    assert torch.equal(compiled, jc.orthogonal(entries, size))


@few_under("jax.vmap", "torch.vmap", "torch.compile")
def test_the_other_functions_of_a_prior(transformation, structure):
    stack = inputs(structure)
    if transformation == "jax.vmap":
        got = jax.jit(jax.vmap(functools.partial(rarely_traced, structure)))(*stacked(stack))
    elif transformation == "torch.vmap":
        got = torch.func.vmap(functools.partial(rarely_traced, structure))(*jax.tree.map(torch.tensor, stacked(stack)))
    else:
        torch._dynamo.reset()
        run = torch.compile(rarely_traced, fullgraph=True, backend="eager")
        got = stack_models([run(structure, *jax.tree.map(torch.tensor, one)) for one in stack])
    agree(structure, got, 2.0**-52, rarely_traced)


@few_under("jax.vmap", "torch.vmap", "torch.compile", "leading axes")
def test_the_fused_posterior(transformation, structure):
    """Its outputs; its gradient through torch.compile and torch.func.vmap is the plain one."""
    stack = inputs(structure)
    if transformation == "jax.vmap":
        agree(structure, jax.jit(jax.vmap(functools.partial(fused, structure)))(*stacked(stack)), 2.0**-52, fused)
        return
    if transformation == "leading axes":
        stack = [(Model(structure, seed, reach=2.0).framed(NUMPY), *one[1:]) for seed, one in enumerate(stack)]
        agree(structure, fused(structure, *stacked(stack)), 2.0**-52, fused)
        return
    plain = [backward(fused_with_loss, structure, one)[1] for one in stack]
    if transformation == "torch.vmap":
        run = torch.func.vmap(torch.func.grad(functools.partial(fused_with_loss, structure), has_aux=True))
        found, outputs = run(*jax.tree.map(torch.tensor, split(*stacked(stack))))
    else:
        torch._dynamo.reset()
        run = torch.compile(fused_with_loss, fullgraph=True, backend="eager")
        outputs, gradients = zip(*(backward(run, structure, one) for one in stack), strict=True)
        outputs, found = stack_models(outputs), stack_models(gradients)
    agree(structure, outputs, 2.0**-52, fused)
    for k, wanted in enumerate(plain):
        size = max(float(x.abs().max()) for x in wanted if x.numel())
        for x, want in zip(jax.tree.leaves(found), wanted, strict=True):
            assert np.all(np.abs(x[k].numpy() - want.numpy()) <= 100 * tolerance(structure, 2.0**-52, np.asarray(size)))


@every_constructor
def test_the_plain_gradient_is_the_limit_of_differences(structure):
    """Along one random direction: central differences with step h err by c h^2, so those with h and h/2 differ by 3/4 of
    the first's error; rounding adds 1000 eps |loss| / h."""
    rng, h = np.random.default_rng(7), 1e-3
    for one, gradient in zip(inputs(structure), plain_gradients(structure), strict=True):
        leaves, fixed = split(*one)
        direction = jax.tree.map(lambda x: rng.uniform(-1, 1, np.shape(x)), leaves)
        ends = [jax.tree.map(lambda x, d, t=t: x + t * d, leaves, direction) for t in (h, -h, h / 2, -h / 2)]
        values = [float(with_loss(structure, end, fixed)[0]) for end in ends]
        coarse, fine = (values[0] - values[1]) / (2 * h), (values[2] - values[3]) / h
        want = sum(np.sum(g.numpy() * d) for g, d in zip(gradient, jax.tree.leaves(direction), strict=True))
        error = abs(coarse - fine) + 1000 * 2.0**-52 * abs(values[0]) / h
        assert abs(fine - want) <= error
        assert error < 1e-3 * abs(want)


@pytest.mark.parametrize("transformation", ["jax.jit", "jax.vmap", "torch.vmap", "torch.compile", "torch axes", "jax axes"])
def test_parameterizations(transformation):
    stack = [tuple(skew_entries(seed + k, 3, 1.0) for k in range(3)) for seed in range(MODELS)]
    plain, one_by_one = functools.partial(maps, None), transformation in ("jax.jit", "torch.compile")
    if transformation == "torch.compile":
        torch._dynamo.reset()
    run = {
        "jax.jit": lambda: jax.jit(plain),
        "jax.vmap": lambda: jax.jit(jax.vmap(plain)),
        "torch.vmap": lambda: torch.func.vmap(plain),
        "torch.compile": lambda: torch.compile(lambda *one: maps(None, *one), fullgraph=True, backend="eager"),
        "torch axes": lambda: plain,
        "jax axes": lambda: jax.jit(plain),
    }[transformation]()
    array = torch.tensor if transformation.startswith("torch") else np.asarray
    if one_by_one:
        got = [np.stack(x) for x in zip(*(run(*map(array, one)) for one in stack), strict=True)]
    else:
        got = run(*(array(np.stack(x)) for x in zip(*stack, strict=True)))
    kappa = max(oracles.cayley_condition(entries, 3) for entries, _, _ in stack)
    for k, one in enumerate(stack):
        for x, want in zip(got, plain(*one), strict=True):
            # Numbers of order 1; the inverse of a Cayley matrix is the worst (test_cayley.py's round trip), twice.
            assert np.all(np.abs(np.asarray(x[k]) - want) <= 12 * 3**2.5 * kappa**3 * 2.0**-52)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_vmap_over_rows(framework):
    """A row alone: (n_i,) in, () out; mapped over the rows it is the batch."""
    structure = STRUCTURES[-1]
    parameters, latents, log_vars, _, _ = inputs(structure)[0]

    def one_row(mean, log_var, parameters):
        return calls.kl(structure, parameters, mean, log_var)

    vmap, array = (jax.vmap, jax.numpy.asarray) if framework == "jax" else (torch.func.vmap, torch.tensor)
    run = vmap(one_row, in_dims=(0, 0, None)) if framework == "torch" else jax.jit(vmap(one_row, in_axes=(0, 0, None)))
    got = np.asarray(run(*jax.tree.map(array, (latents, log_vars, parameters))))
    want = calls.kl(structure, parameters, latents, log_vars)
    assert np.all(np.abs(got - want) <= tolerance(structure, 2.0**-52, want))


def test_jax_without_jit():
    """The other tests of JAX run under jit; this one dispatches operation by operation."""
    model = Model(Structure("canonical", (2,), 2), 1)
    latents, log_vars = posterior((2,), ROWS, 1)
    arrays = jax.tree.map(jax.numpy.asarray, (model.parameters, list(latents), list(log_vars)))
    got = np.asarray(calls.kl(model.structure, *arrays))
    want, condition = oracles.kl_rows(model, latents, log_vars)
    assert np.all(np.abs(got - want) <= condition * 2.0**-52)


def trained(structure, parameters, latents, log_vars, mask, noise):
    """What a training or imputing step calls."""
    prior = structure.prior(parameters)
    return (
        jc.kl_divergence(prior, latents, log_vars, mask),
        jc.complete(prior, latents, mask, noise),
        *jc.condition(prior, latents, mask),
    )


def test_jax_with_all_optimizations():
    """The tests compile without most of XLA's optimizations (conftest.py). With them, in float32: within the same bounds."""
    structure = Structure("canonical", (2, 1, 3), 1)
    one = inputs(structure)[0]
    rounded = jax.tree.map(lambda x: x if x.dtype == bool else x.astype(np.float32), one)  # (the inputs are float32 values)
    # The options of a plain JAX; given here, because a second compile() under another configuration returns the first's result.
    options = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
    if jax.__version_info__ >= (0, 10):
        options["xla_cpu_use_fusion_emitters"] = True
    fast = jax.jit(functools.partial(trained, structure)).lower(*rounded).compile(compiler_options=options)
    for x, want in zip(jax.tree.leaves(fast(*rounded)), jax.tree.leaves(trained(structure, *one)), strict=True):
        assert x.dtype == "float32"
        assert np.all(np.abs(np.asarray(x) - want) <= tolerance(structure, 2.0**-23, want))
