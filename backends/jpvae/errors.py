"""What the estimator and the command raise: each message names the argument, what was found, and what to do."""

import errno
import os

from jpvae_core import JPVAEError
from jpvae_core.errors import brief


class ViewError(JPVAEError, ValueError):
    """The data handed in do not fit: rows, columns, values or the mask."""


class ConfigError(JPVAEError, ValueError):
    """A hyper-parameter is out of its range, or two of them contradict each other."""


class NotFitted(JPVAEError, ValueError, AttributeError):
    """Results were requested before ``fit`` (or ``load``). The estimator's is also scikit-learn's NotFittedError."""


class CheckpointError(JPVAEError, ValueError):
    """A file is no checkpoint of ours, is damaged, or was made by a newer version."""


class TrainingDiverged(JPVAEError, ArithmeticError):
    """The loss stopped being a finite number."""


class ProcessLost(JPVAEError, RuntimeError):
    """One of the processes that train together has ended, and so do the others; or those that fill a dataset have."""


class MissingDependency(JPVAEError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class JPVAEWarning(UserWarning):
    """The request can be carried out, but is probably not what was meant."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(brief(x) if isinstance(x, str) else x for x in arguments))


def unwritten(error: OSError, path: str | os.PathLike[str], state: str) -> OSError:
    """The same failure with a message that names the file and what became of it; a full disk's own names none."""
    reason = os.strerror(error.errno) if error.errno else error  # the same words whichever library met the failure
    return OSError(error.errno or errno.EIO, f"{reason}; {state}", str(path))
