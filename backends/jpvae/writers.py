"""One writer at a time for a path: a lock beside it that names its owner, held by the operating system for the process.

The file ``.NAME.lock`` is there while somebody writes; the lock itself is the kernel's, so that it ends with its owner however
that ends, and a file that a killed process left behind locks nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CheckpointError, unwritten

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)  # a file system that has none: nothing can be promised there


@contextmanager
def only_writer(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of ``path``. Raises CheckpointError naming who holds it."""
    place = Path(os.path.realpath(path))
    lock = place.with_name(f".{place.name}.lock")
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _BUSY + _NO_LOCKS:
                os.close(descriptor)
                raise
            if error.errno in _BUSY:
                owner = _first_line(descriptor)
                os.close(descriptor)
                raise CheckpointError(
                    f"path is {str(path)!r}, which another process is writing ({owner}); wait until it has finished, or choose "
                    "another path"
                ) from error
        if _is(lock, descriptor):
            break
        os.close(descriptor)  # its owner removed it between our opening and our locking it
    try:
        try:
            _write_owner(descriptor)
        except OSError as error:  # of a full disk, which names no path
            raise unwritten(error, path, "nothing was written") from error
        yield
    finally:
        _remove(lock, descriptor)


def _write_owner(descriptor: int) -> None:
    program = " ".join([Path(sys.argv[0] or "python").name, *sys.argv[1:3]])[:80]
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}, {program}, since {since}\n".encode())


def _first_line(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        return os.read(descriptor, 500).decode(errors="replace").strip() or "its owner is not known"
    except OSError:  # Windows does not let a locked file be read
        return "its owner is not known"


def _is(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _remove(lock: Path, descriptor: int) -> None:
        os.close(descriptor)
        lock.unlink(missing_ok=True)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _remove(lock: Path, descriptor: int) -> None:
        lock.unlink(
            missing_ok=True
        )  # before the lock ends: no other process may find an unlocked one that is about to be removed
        os.close(descriptor)
