"""What a caller of ``fit`` asks for besides views and mask, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from .atomic import check_folder
from .errors import ConfigError
from .option_values import as_json, at_least
from .options import Missing
from .processes import share
from .training.callbacks import Callback, OnLog, check
from .training.progress import progress_bar


@dataclass(frozen=True)
class Request:
    """The keywords of ``JPVAE.fit``, which documents them."""

    missing: Missing | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 1000
    on_log: Callable[[dict[str, Any]], None] | None = None
    callbacks: Sequence[Callback] = ()
    metadata: Mapping[str, Any] | None = None

    def checked(self, seed: Any) -> Request:
        """Itself with plain values; ``seed`` is the estimator's option. Raises ConfigError, CheckpointError."""
        check(self.callbacks)
        if self.on_log is not None and not callable(self.on_log):
            raise ConfigError(f"on_log is {self.on_log!r}; expected a function that takes a record, or None")
        plain = replace(
            self, metadata=as_json(self.metadata), checkpoint_every=at_least("checkpoint_every", self.checkpoint_every, 1)
        )
        if self.checkpoint is not None:
            check_folder(self.checkpoint)
            if not isinstance(seed, Integral):
                raise ConfigError(f"seed is {seed!r}; expected an integer with checkpoint, so that the run can be resumed")
        _, ranks = share()
        if ranks > 1 and not isinstance(seed, Integral):
            raise ConfigError(f"seed is {seed!r}; expected an integer in {ranks} processes, the same in all of them")
        return plain

    def listeners(self, progress: bool | str) -> Sequence[Callback]:
        """Who hears of the training: in a group of processes only the first one's."""
        if share()[0] > 0:
            return ()
        return [*progress_bar(progress), *self.callbacks, *([OnLog(self.on_log)] if self.on_log else [])]
