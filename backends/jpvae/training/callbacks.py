"""Callbacks: what ``fit(callbacks=[...])`` calls while it trains, and ready-made listeners.

    on_start(run, step, steps)      before the first step; ``step`` are done already (a resumed run), ``steps`` are planned
    on_step(step, report)           after each; ``step`` are done, report is the engine's (loss, reconstruction, kl)
    on_log(record)                  with each record of ``history_``
    on_end()                        at the end, after an error too

What a callback raises goes through ``fit``, but StopTraining, which ends the training as if its last step had come. The
estimator is not fitted yet while it trains: ``run`` has what there is to read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import write_atomically
from ..errors import ConfigError, MissingDependency
from ..model.model import Model
from ..options import Options
from ..views.columns import Columns


@dataclass(frozen=True)
class Run:
    """A training that is about to start: its options and seed, the model, the views' names and columns, and the history so far
    (of a resumed run; else empty)."""

    options: Options
    seed: int
    model: Model
    view_names: tuple[str, ...]
    columns: tuple[Columns, ...]
    history: tuple[Mapping[str, Any], ...]


class StopTraining(Exception):
    """Raised in ``on_step`` or ``on_log`` to end a training early; the model is fitted, its checkpoint can be gone on from."""


class Callback:
    """A listener that does nothing. Subclass it and write the methods that are needed.

    >>> class StopBelow(Callback):
    ...     def on_step(self, step, report):
    ...         if report["loss"] < 10.0:
    ...             raise StopTraining
    """

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Before the first step."""

    def on_step(self, step: int, report: Mapping[str, Any]) -> None:
        """After each step."""

    def on_log(self, record: Mapping[str, Any]) -> None:
        """With each record of the history."""

    def on_end(self) -> None:
        """At the end, after an error too."""


class OnLog(Callback):
    """A function that is called with each record."""

    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self.on_log = function  # type: ignore[method-assign,assignment]


class JSONLines(Callback):
    """Keeps a .jsonl file, one record per line; a resumed run first takes it back to where its checkpoint stands."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Raises CheckpointError where the file cannot be written."""
        write_atomically(self.path, "".join(json.dumps(record) + "\n" for record in run.history).encode())

    def on_log(self, record: Mapping[str, Any]) -> None:
        """One line."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


class TensorBoard(Callback):
    """Writes every number of a record as a scalar to ``folder``, for ``tensorboard --logdir folder``.

    Raises MissingDependency where torch or tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise MissingDependency(f"TensorBoard needs {error.name}: pip install torch tensorboard") from error
        self._open, self._folder = SummaryWriter, str(folder)

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """A resumed run hides what was written after its checkpoint."""
        self._writer, self._names = self._open(self._folder, purge_step=step + 1), run.view_names

    def on_log(self, record: Mapping[str, Any]) -> None:
        """Numbers under their names, a number per view under name/view."""
        for name, value in record.items():
            many = zip(self._names, value, strict=True) if isinstance(value, list) else [(None, value)]
            for view, number in many:
                self._writer.add_scalar(name if view is None else f"{name}/{view}", number, record["step"])

    def on_end(self) -> None:
        """Close the file."""
        self._writer.close()


def check(callbacks: Any) -> None:
    """Raise ConfigError, naming the first that is no callback."""
    if not isinstance(callbacks, Sequence):
        raise ConfigError(f"callbacks is {callbacks!r}; expected a sequence of callbacks")
    for one in callbacks:
        if isinstance(one, type) or not isinstance(one, Callback):
            raise ConfigError(
                f"callbacks has {one!r}; expected objects of a subclass of jpvae.training.callbacks.Callback, with the "
                "methods that you need"
            )


@contextmanager
def listening(callbacks: Sequence[Callback], run: Run, step: int, steps: int) -> Iterator[None]:
    """Start them, and end those that have started, the last one first, however the block ends."""
    with ExitStack() as started:
        for one in callbacks:
            one.on_start(run, step, steps)
            started.callback(one.on_end)
        yield
