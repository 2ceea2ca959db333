"""Every public name: what the packages' ``__all__`` lists, the other classes that docs/api shows, and their public members."""

import inspect
from importlib import import_module

PACKAGES = ["jpvae", "jpvae.testing", "jpvae_core", "jpvae_jax", "jpvae_numpy", "jpvae_torch"]
SHOWN = {  # of modules without an ``__all__``
    "jpvae.engines": ["Engine"],
    "jpvae.figures.plots": ["Plots"],
    "jpvae.model.likelihoods": ["observed_moments", "over_rows"],
    "jpvae.pooling": ["Pooled"],
    "jpvae.training.callbacks": ["Callback", "JSONLines", "Run", "StopTraining", "TensorBoard"],
    "jpvae_torch.distributions": ["JointNormal"],
}


def objects():
    """ "module.name" -> the function or class."""
    listed = {package: import_module(package).__all__ for package in PACKAGES} | SHOWN
    found = {f"{module}.{name}": getattr(import_module(module), name) for module, names in listed.items() for name in names}
    return {name: x for name, x in found.items() if inspect.isclass(x) or inspect.isfunction(x)}


def members(cls):
    """Name -> function or property, of a class's public ones that are written here (torch and Python document theirs)."""
    found = {}
    for home in reversed(cls.__mro__):
        if home.__module__.startswith("jpvae"):
            found |= {name: getattr(x, "__func__", x) for name, x in vars(home).items() if not name.startswith("_")}
    return {name: x for name, x in found.items() if inspect.isfunction(x) or isinstance(x, property)}
