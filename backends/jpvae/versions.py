"""Which versions compute: a fit keeps those of its own process in its file."""

from __future__ import annotations

import platform
import sys

from jpvae_core import __version__

LIBRARIES = ("numpy", "torch", "jax")


def versions() -> dict[str, str]:
    """Of Python, jpvae and the array libraries that this process has loaded, by name."""
    loaded = {name: getattr(sys.modules[name], "__version__", "unknown") for name in LIBRARIES if name in sys.modules}
    return {"Python": platform.python_version(), "jpvae": __version__} | {name: str(found) for name, found in loaded.items()}
