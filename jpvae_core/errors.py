"""What the core raises. Each is also the built-in error that a caller would expect to catch."""

import re

_LONG = 4_000  # characters of a message


class JPVAEError(Exception):
    """Base of every error that this library raises on purpose."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(brief(x) if isinstance(x, str) else x for x in arguments))


def brief(message: str) -> str:
    """A message that quotes whole cells or lists, cut: long words in the middle, then its own middle."""
    if len(message) <= _LONG:
        return message
    message = re.sub(r"(\S{80})\S{40,}(\S{20})", r"\1...\2", message)
    return message if len(message) <= _LONG else f"{message[: _LONG // 2]} ... {message[-_LONG // 2 :]}"


class ShapeError(JPVAEError, ValueError):
    """An array's shape does not fit; the message names the argument, what was found and what was expected."""


class DtypeError(JPVAEError, TypeError):
    """An array is not float32 or float64, or two arrays that must agree in dtype do not."""


class LibraryError(JPVAEError, TypeError):
    """Arrays of two libraries (say NumPy and torch) or devices were mixed in one call, or something is no array at all."""


class ArgumentError(JPVAEError, ValueError):
    """An argument that cannot be meant: no prior where one belongs, a generator for a list, an unknown name, a mask of 0.5."""


class NotOrthogonal(JPVAEError, ValueError):
    """A frame's columns are not orthonormal: the prior would not have identity blocks, nor the singular values it reports."""


class NotAContraction(JPVAEError, ValueError):
    """A cross-covariance would have a singular value of 1 or more: the joint prior would not be positive definite (Thm 2.1)."""
