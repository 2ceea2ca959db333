"""Callbacks: what ``fit(callbacks=[...])`` calls while it trains, and ready-made listeners.

    on_start(run, step, steps)      before the first step; ``step`` are done already (a resumed run), ``steps`` are planned
    on_step(step, report)           after each; ``step`` are done, report is the engine's (loss, reconstruction, kl)
    on_fold(fold, folds)            of few rows: before each further model that only calibrates, ``folds`` in all with the first
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
    """A training that is about to start.

    Attributes
    ----------
    options : Options
        The estimator's.
    seed : int
    model : Model
    view_names : tuple of str
    columns : tuple of Columns
        One per view.
    history : tuple of dict
        The records so far, of a resumed run; else empty.

    Examples
    --------
    >>> from jpvae.training.callbacks import Callback
    >>> class Announce(Callback):
    ...     def on_start(self, run, step, steps):
    ...         print(f"{len(run.view_names)} views, seed {run.seed}, steps {step} to {steps}")
    """

    options: Options
    seed: int
    model: Model
    view_names: tuple[str, ...]
    columns: tuple[Columns, ...]
    history: tuple[Mapping[str, Any], ...]


class StopTraining(Exception):
    """Raised in ``on_step``, ``on_fold`` or ``on_log``: training ends, the model is fitted, its checkpoint can be resumed."""


class Callback:
    """A listener that does nothing. Subclass it and write the methods that are needed.

    Examples
    --------
    >>> from jpvae.training.callbacks import Callback, StopTraining
    >>> class StopBelow(Callback):
    ...     def on_step(self, step, report):
    ...         if report["loss"] < 10.0:
    ...             raise StopTraining
    >>> listener = StopBelow()
    >>> listener.on_step(1, {"loss": 12.0})

    ``JPVAE.fit(views, callbacks=[listener])`` calls its methods: ``listener.on_start(run, step, steps)``, ``listener.on_step``,
    ``listener.on_fold(fold, folds)``, ``listener.on_log(record)`` and ``listener.on_end()``.
    """

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Before the first step.

        Parameters
        ----------
        run : Run
            What is trained.
        step : int
            The steps that a resumed run has made already; else 0.
        steps : int
            The steps that are planned.
        """

    def on_step(self, step: int, report: Mapping[str, Any]) -> None:
        """After each step.

        Parameters
        ----------
        step : int
            The steps that have been made.
        report : dict
            The engine's: "loss", "kl" and "reconstruction" (one number per view), in nats per row.
        """

    def on_fold(self, fold: int, folds: int) -> None:
        """Before each further model of a table of few rows, which is trained for the calibration alone; they report no steps.

        Parameters
        ----------
        fold : int
            From 2 on: the first is the model itself.
        folds : int
        """

    def on_log(self, record: Mapping[str, Any]) -> None:
        """With each record of the history.

        Parameters
        ----------
        record : dict
            As ``history_`` has it.
        """

    def on_end(self) -> None:
        """At the end, after an error too."""


class OnLog(Callback):
    """A function that is called with each record."""

    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self.on_log = function  # type: ignore[method-assign,assignment]


class JSONLines(Callback):
    """Keeps a .jsonl file, one record per line; a resumed run first takes it back to where its checkpoint stands.

    Parameters
    ----------
    path : path

    Examples
    --------
    >>> import json, os, tempfile
    >>> import numpy as np
    >>> from jpvae import JPVAE
    >>> from jpvae.training.callbacks import JSONLines
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "history.jsonl")
    >>> model, rows = JPVAE(1, steps=2, progress=False), np.eye(4)
    >>> model = model.fit([rows, rows], callbacks=[JSONLines(path)])
    >>> with open(path) as file:
    ...     [json.loads(line) for line in file] == model.history_
    True
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Write the records so far.

        Parameters
        ----------
        run : Run
        step, steps : int
            As for ``Callback``.

        Raises
        ------
        CheckpointError
            If the file cannot be written.
        """
        write_atomically(self.path, "".join(json.dumps(record) + "\n" for record in run.history).encode())

    def on_log(self, record: Mapping[str, Any]) -> None:
        """Append one line.

        Parameters
        ----------
        record : dict
        """
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


class TensorBoard(Callback):
    """Writes every number of a record as a scalar, for ``tensorboard --logdir folder``.

    Parameters
    ----------
    folder : path

    Raises
    ------
    MissingDependency
        If torch or tensorboard is not installed.

    Examples
    --------
    >>> from jpvae import JPVAE
    >>> from jpvae.training.callbacks import TensorBoard
    >>> def train(views):
    ...     return JPVAE(likelihood="infer").fit(views, callbacks=[TensorBoard("runs/first")])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise MissingDependency(f"TensorBoard needs {error.name}: pip install torch tensorboard") from error
        self._open, self._folder = SummaryWriter, str(folder)

    def on_start(self, run: Run, step: int, steps: int) -> None:
        """Open the folder; a resumed run hides what was written after its checkpoint.

        Parameters
        ----------
        run : Run
        step, steps : int
            As for ``Callback``.
        """
        self._writer, self._names = self._open(self._folder, purge_step=step + 1), run.view_names

    def on_log(self, record: Mapping[str, Any]) -> None:
        """Numbers under their names, a number per view under name/view.

        Parameters
        ----------
        record : dict
        """
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
