"""From the cotangent of a prior to those of its free parameters, by the closed forms of ``jpvae_core.vjp``."""

import jpvae_core as jc
from jpvae_core import vjp


def to_parameters(structure, parameters, frames, signs, bar):
    """From the cotangent of a prior to those of its free parameters."""
    if structure.kind == "independent":
        return {}
    per_view = zip(parameters["entries"], frames, bar.frames, signs, strict=True)
    entries = [0.0 * p if q_bar is None else vjp.frame(p, q, q_bar, s) for p, q, q_bar, s in per_view]
    if structure.kind == "orthogonal":
        inner = jc.Bounded(*(t[..., 0] for t in bar.coupling))
        return {"entries": entries, "alpha": vjp.number_bound(parameters["alpha"], inner)}
    if structure.kind == "canonical":
        return {"entries": entries, "logits": bar.coupling}
    bound = {"svd-sigmoid": vjp.sigmoid_bound, "svd-tanh": vjp.tanh_bound}[structure.kind]
    return {"entries": entries, "logits": bound(parameters["logits"], bar.coupling)}
