"""Joint-prior multi-view VAEs on a person's tables: the estimator `JPVAE` and the `jpvae` command.

Importing this package loads no framework and no optional dependency; the estimator does when it is used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["JPVAE", "__version__"]

if TYPE_CHECKING:
    from .estimator import JPVAE


def __getattr__(name: str) -> Any:
    if name == "JPVAE":
        from .estimator import JPVAE

        return JPVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
