"""What a report was made of: the commands of the fit and of the page, the files with their checksums, all versions and options.

What the model's file has of its fit is anybody's text: it is cut at a length, without control characters, and nothing reads it
but people.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..options import Options
from ..predicting import Predicting
from ..source import source_commit
from ..versions import versions

PACKAGES = ("jpvae", "numpy", "scipy", "scikit-learn", "pandas", "torch", "jax", "vl-convert-python")
LONGEST = 4_000  # characters of a command
_LONGEST_VALUE = 120  # of an option


@dataclass(frozen=True)
class File:
    """A file as it was read."""

    role: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Option:
    """value: as a person reads it; code: as Python does; given: whether it is another than the default; came_to: what it was in
    this fit, "" where that is it."""

    name: str
    value: str
    code: str
    given: bool
    came_to: str = ""


@dataclass(frozen=True)
class Provenance:
    """fit: how the model was made, as a command or a call of Python; command: that made the page, "" where that is the fit's;
    versions: (name, of the fit's process, of the page's), "" where there is none; made: the time in UTC."""

    fit: str
    command: str
    files: tuple[File, ...]
    options: tuple[Option, ...]
    versions: tuple[tuple[str, str, str], ...]
    made: str


def provenance(command: str, model: Predicting, files: Sequence[tuple[str, Path]]) -> Provenance:
    """command: that is writing the page; files: (what it is, where it is)."""
    fit, ours = fit_of(model), plain(command, LONGEST)
    return Provenance(
        fit,
        "" if ours == fit else ours,
        tuple(_file(role, path) for role, path in files),
        options(model),
        _versions(model.versions_),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def fit_of(model: Predicting) -> str:
    """The command that trained the model, as it kept it; else the call of Python that its options are of."""
    kept = model.metadata_.get("command")
    if isinstance(kept, str) and kept:
        return plain(kept, LONGEST)
    given = ", ".join(f"{option.name}={option.code}" for option in options(model) if option.given)
    return plain(f"JPVAE({given}).fit(views, mask)", LONGEST)


def options(model: Predicting) -> tuple[Option, ...]:
    """Those of the training, first what was given; ``progress`` and ``threads`` change no result."""
    ours = Options.of(model)
    plain_values, default, found = ours.to_json(), Options().to_json(), []
    came_to: dict[str, Any] = {"latent_dims": model.model_.latent_dims, "hidden": model.model_.hidden}
    came_to |= {"steps": model.n_iter_, "seed": model.seed_}
    for name, value in plain_values.items():
        shown = value if name in ("backend", "beta") else getattr(ours, name)  # these two may be objects
        other = "" if came_to.get(name, shown) == shown else plain(_listed(came_to[name]), _LONGEST_VALUE)
        words, code = (plain(text, _LONGEST_VALUE) for text in (_listed(shown), repr(shown)))
        found.append(Option(name, words, code, value != default[name], other))
    return tuple(sorted(found, key=lambda option: not option.given))


def _listed(value: Any) -> str:
    """Without the signs of Python around numbers and texts."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_listed(part)}" for name, part in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(_listed, value))
    return {None: "–", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def plain(text: str, longest: int) -> str:
    """Without what cannot be printed (control characters, marks that turn the writing round), and no longer than that."""
    shown = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _file(role: str, path: Path) -> File:
    with path.open("rb") as file:
        return File(role, plain(str(path), LONGEST), path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _versions(of_fit: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """Row by row; the page's commit and system at the end."""
    here = versions()
    for name in PACKAGES:
        try:
            here.setdefault(name, version(name))
        except PackageNotFoundError:
            continue
    here |= {"commit": commit} if (commit := source_commit()) else {}
    here |= {"system": platform.platform()}
    return tuple((name, of_fit.get(name, ""), here.get(name, "")) for name in [*dict.fromkeys([*here, *of_fit])])
