"""Where downloaded data lie: $JPVAE_DATA, or the platform's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """$JPVAE_DATA, or the platform's cache folder."""
    return Path(os.environ["JPVAE_DATA"]) if "JPVAE_DATA" in os.environ else cache()


def cache() -> Path:
    """The platform's cache folder for jpvae."""
    import pooch

    return Path(pooch.os_cache("jpvae"))
