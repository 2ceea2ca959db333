"""Which commit of the sources is running."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_commit() -> str | None:
    """The commit of these sources; None where git is absent or this file is not one that it tracks (an installed wheel)."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    changed = git("status", "--porcelain", "--untracked-files=no", ":/backends", ":/jpvae_core")
    return f"{git('rev-parse', 'HEAD')}{' with local changes' if changed else ''}"
