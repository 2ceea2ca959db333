"""Joint-prior multi-view VAEs on a person's tables: the estimator `JPVAE`, `pool` for multiple imputation, the command `jpvae`;
`Likelihood` is the base class of a person's own families, `Filler` what a cluster's tools call for each frame.

Importing this package loads no framework and no optional dependency; what it exports does when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["JPVAE", "Filler", "Likelihood", "__version__", "pool"]

if TYPE_CHECKING:
    from jpvae_core import __version__

    from .estimator import JPVAE
    from .model.likelihoods import Likelihood
    from .pooling import pool
    from .tables.filler import Filler

_HOMES = {
    "JPVAE": ".estimator",
    "Likelihood": ".model.likelihoods",
    "pool": ".pooling",
    "Filler": ".tables.filler",
    "__version__": "jpvae_core",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as error:
        from .errors import MissingDependency

        raise MissingDependency(f"{name} needs {error.name}: pip install 'jpvae[train]'") from error
