"""Engines that are wrong in one thing each, and what check_engine must say of each (test_conformance.py).

They are made of the PyTorch engine by the methods of the protocol alone, whatever is inside it.
"""

import numpy as np
import torch

import jpvae_torch


class HalfKL(jpvae_torch.Engine):
    def train_step(self, state, batch, *, beta, **rates):
        return super().train_step(state, batch, beta=beta / 2, **rates)


class KLOfAllViews(jpvae_torch.Engine):
    """Reports another KL than that of the observed views."""

    def train_step(self, state, batch, **options):
        found = super().train_step(state, batch, **options)
        return found | {"kl": found["kl"] + 1e-6}


class NoMask(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        seen = np.ones_like(batch.observed)
        subsets = np.where(np.arange(len(batch.subsets))[:, None, None] == 0, True, batch.subsets)
        return super().train_step(state, type(batch)(**vars(batch) | {"observed": seen, "subsets": subsets}), **options)


class NoViewWeights(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        return super().train_step(state, type(batch)(**vars(batch) | {"view_weights": None}), **options)


class NoColumnWeights(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        return super().train_step(state, type(batch)(**vars(batch) | {"column_weights": None}), **options)


class CellsThatAreMissingCount(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        targets = batch.targets
        if self.model.entries == "marginalise":
            targets = tuple(
                np.concatenate([t[:, :-c], np.ones((len(t), c))], axis=1)
                for t, c in zip(targets, self.model.features, strict=True)
            )
        return super().train_step(state, type(batch)(**vars(batch) | {"targets": targets}), **options)


class TargetsOfOtherRows(jpvae_torch.Engine):
    """Where a likelihood's target is not what the encoder reads, it takes another row's."""

    def train_step(self, state, batch, **options):
        targets = None if batch.targets is None else tuple(np.roll(t, 1, axis=0) for t in batch.targets)
        return super().train_step(state, type(batch)(**vars(batch) | {"targets": targets}), **options)


class NoBiasCorrection(jpvae_torch.Engine):
    def train_step(self, state, batch, *, learning_rate, **options):
        t = 1 + int(self.to_arrays(state)[1].get("step", 0))
        rate = learning_rate * (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
        return super().train_step(state, batch, learning_rate=rate, **options)


class OneRate(jpvae_torch.Engine):
    def train_step(self, state, batch, *, coupling_rate, **options):
        return super().train_step(state, batch, coupling_rate=1.0, **options)


def true_gradient(engine, p, batch, beta):
    first = engine.start(p, None)
    jpvae_torch.Engine.train_step(engine, first, batch, beta=beta, learning_rate=0.0, coupling_rate=1.0)
    return {name: engine.to_arrays(first)[1][f"m.{name}"] / 0.1 for name in p}


def descend(self, state, batch, *, beta, learning_rate, coupling_rate, **guard):
    """A train_step that reports the truth, and goes by Adam where self.gradient(p, batch, beta, t) says."""
    if guard or np.isnan(batch.views[0]).any():  # of these the checks come later
        rates = {"beta": beta, "learning_rate": learning_rate, "coupling_rate": coupling_rate}
        return jpvae_torch.Engine.train_step(self, state, batch, **rates, **guard)
    p, old = self.to_arrays(state)
    found = jpvae_torch.Engine.train_step(self, self.start(p), batch, beta=beta, learning_rate=0.0, coupling_rate=1.0)
    t, new = int(old.get("step", 0)) + 1, {}
    for name, g in self.gradient(p, batch, beta, t).items():
        m = new[f"m.{name}"] = 0.9 * old.get(f"m.{name}", 0 * g) + 0.1 * g
        v = new[f"v.{name}"] = 0.999 * old.get(f"v.{name}", 0 * g) + 0.001 * g**2
        rate = learning_rate * (coupling_rate if name in ("prior.logits", "prior.alpha") else 1.0)
        p[name] = p[name] - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    vars(state).update(vars(self.start(p, new | {"step": np.asarray(float(t))})))
    return found


class FrozenRotation(jpvae_torch.Engine):
    """Its loss is right; a rotation has half its gradient."""

    train_step = descend

    def gradient(self, p, batch, beta, t):
        return {name: 0.5 * g if "rotation" in name else g for name, g in true_gradient(self, p, batch, beta).items()}


class Ascends(jpvae_torch.Engine):
    """In float32, the training dtype, it goes up; in float64 it trains."""

    train_step = descend

    def gradient(self, p, batch, beta, t):
        return {name: -g if g.dtype == np.float32 else g for name, g in true_gradient(self, p, batch, beta).items()}


class StopsAfterOneStep(jpvae_torch.Engine):
    train_step = descend

    def gradient(self, p, batch, beta, t):
        return {name: float(t == 1) * g for name, g in true_gradient(self, p, batch, beta).items()}


class NoGradientOfTheKL(jpvae_torch.Engine):
    """For complete data and the subset objective, in one dtype."""

    train_step, dtypes = descend, ("float64", "float32")

    def gradient(self, p, batch, beta, t):
        wrong = batch.observed.all() and len(batch.subsets) > 1 and p["encoder.0.0.bias"].dtype in self.dtypes
        return true_gradient(self, p, batch, 0.0 if wrong else beta)


class NoGradientOfTheKLInFloat32(jpvae_torch.Engine):
    train_step, dtypes, gradient = descend, ("float32",), NoGradientOfTheKL.gradient


class DropsAMoment(jpvae_torch.Engine):
    def to_arrays(self, state):
        p, moments = super().to_arrays(state)
        return p, {name: x for name, x in moments.items() if name != "v.decoder.1.0.bias"}


class ForgetsMoments(jpvae_torch.Engine):
    def start(self, parameters, optimizer=None):
        return super().start(parameters, {k: x if k == "step" else 0 * x for k, x in (optimizer or {}).items()})


class ChangesTheBatch(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        found = super().train_step(state, batch, **options)
        batch.posterior_noise[:] *= 2
        return found


class TrainsWhatItGave(jpvae_torch.Engine):
    def to_arrays(self, state):
        return {name: p.numpy() for name, p in self.parameters(state).items()}, super().to_arrays(state)[1]


class Undetermined(jpvae_torch.Engine):
    steps = 0

    def train_step(self, state, batch, *, learning_rate, **options):
        self.steps += 1
        return super().train_step(state, batch, learning_rate=learning_rate * (1 + self.steps * 2.0**-52), **options)


class OtherEncoder(jpvae_torch.Engine):
    """What it predicts with is not what it trains."""

    def decode(self, p, view, z):
        out = super().decode(p, view, z)
        return out if out.requires_grad else torch.relu(out)


class ClipsNothing(jpvae_torch.Engine):
    """Reports the norm, and goes on as if there were no limit."""

    def train_step(self, state, batch, *, max_gradient_norm=None, **rates):
        return super().train_step(state, batch, max_gradient_norm=max_gradient_norm and np.inf, **rates)


class HalvesTheNorm(jpvae_torch.Engine):
    def train_step(self, state, batch, *, max_gradient_norm=None, **rates):
        found = super().train_step(state, batch, max_gradient_norm=max_gradient_norm, **rates)
        if max_gradient_norm is not None:
            found["gradient_norm"] /= 2
        return found


class StepsOnNaN(jpvae_torch.Engine):
    def train_step(self, state, batch, *, max_gradient_norm=None, **rates):
        wrong = np.isnan(batch.views[0]).any()
        found = super().train_step(state, batch, max_gradient_norm=None if wrong else max_gradient_norm, **rates)
        return found | {"gradient_norm": np.nan} if wrong else found


class ForgetsWeightDecay(jpvae_torch.Engine):
    def train_step(self, state, batch, *, weight_decay=0.0, **options):
        return super().train_step(state, batch, **options)


class DecaysInTheGradient(jpvae_torch.Engine):
    """L2 regularisation in Adam's gradient, in place of decoupled weight decay."""

    def start(self, parameters, optimizer=None):
        state = super().start(parameters, optimizer)
        groups = [{**group, "weight_decay": 0.0} for group in state.optimizer.param_groups]
        for group in groups:
            group.pop("decoupled_weight_decay", None)
        saved = dict(state.optimizer.state)
        state.optimizer = torch.optim.Adam(groups, fused=True)
        state.optimizer.state.update(saved)
        return state


class DecaysEverything(jpvae_torch.Engine):
    def train_step(self, state, batch, *, weight_decay=0.0, **options):
        found = super().train_step(state, batch, weight_decay=weight_decay, **options)
        for name, x in self.parameters(state).items():
            if not self.model.decay(name, x.ndim):
                x.mul_(1 - options["learning_rate"] * weight_decay)
        return found


class BlamesAllRows(jpvae_torch.Engine):
    def train_step(self, state, batch, **options):
        found = super().train_step(state, batch, **options)
        return found | {"rows": {k: x * np.nan for k, x in found["rows"].items()}} if "rows" in found else found


class HalfPrecision(jpvae_torch.Engine):
    def asarray(self, x):
        made = super().asarray(x)
        return made.half().to(made.dtype) if made.is_floating_point() else made


BROKEN_ENGINES = {
    HalfKL: r"loss is .*; expected .*: error .*, bound .* \(model 'independent', complete, elbo, float64, step 1\)",
    KLOfAllViews: r"kl is .*model 'independent'",
    NoMask: r"loss is .*model 'independent', holes, elbo, float64",
    NoColumnWeights: r"loss is .*model 'missing cells', complete, elbo, float64",
    NoViewWeights: r"loss is .*model 'missing cells', complete, elbo, float64",
    CellsThatAreMissingCount: r"loss is .*model 'missing cells', complete, elbo, float64",
    TargetsOfOtherRows: r"loss is .*model 'every likelihood', complete, elbo, float64",
    NoBiasCorrection: r"Adam's step is .*model 'independent', complete, elbo, float64",
    OneRate: r"Adam's step is .*model 'orthogonal, learned'",
    FrozenRotation: r"gradient of prior.rotation is .*model 'orthogonal', complete, elbo, float64",
    Ascends: r"gradient of encoder.0.0.weight is .*; .*bound .*model 'independent', complete, elbo, float32, step 1",
    StopsAfterOneStep: r"gradient of encoder.0.0.weight is 0; .*model 'independent', complete, elbo, float64, step 2",
    NoGradientOfTheKL: r"gradient of encoder.* is .*model 'independent', complete, subset, float64, step 1",
    NoGradientOfTheKLInFloat32: r"gradient of encoder.* is .*model 'independent', complete, subset, float32, step 1",
    DropsAMoment: r"to_arrays differs from step, m.<name> and v.<name> in \['v.decoder.1.0.bias'\]",
    ForgetsMoments: r"start from to_arrays has other numbers: m\.",
    ChangesTheBatch: r"train_step changed its batch: posterior_noise",
    TrainsWhatItGave: r"to_arrays shares memory with the state: encoder",
    Undetermined: r"a resumed run has other numbers",
    OtherEncoder: r"decode is .*model 'independent', holes, elbo, float64",
    ClipsNothing: r"max_gradient_norm is .*model 'independent', holes, subset, float64",
    HalvesTheNorm: r"gradient_norm is .*model 'independent', holes, subset, float64",
    StepsOnNaN: r"a gradient that is not finite moved: .*model 'independent', holes, subset, float64",
    ForgetsWeightDecay: r"weight_decay is .*model 'independent', holes, subset, float64",
    DecaysInTheGradient: r"Adam's moments under weight_decay is .*model 'independent', holes, subset, float64",
    DecaysEverything: r"weight_decay is .*model 'independent', holes, subset, float64",
    BlamesAllRows: r"rows posterior finite: \[False.*model 'independent', holes, subset, float64",
    HalfPrecision: r"loss is .*model 'independent', complete, elbo, float64, step 1",
}
