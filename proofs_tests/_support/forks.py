"""Work in forked processes: as many at a time as there are slots, which another program may add to; each silent."""

from __future__ import annotations

import itertools
import os
import pickle
import resource
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

MEMORY = 8 << 30  # bytes that a child may allocate: a slip in a size must not take the machine down
GLANCE = 0.05  # seconds between two looks at the slots while children run
GRACE = 15.0  # seconds that those still running have when time is up
STOPPED = 0  # in place of a signal, of a child that was stopped because time was up


@dataclass(frozen=True)
class Slots:
    """A pipe that holds one byte for every process that may still be started."""

    reader: int
    writer: int

    @classmethod
    def of(cls, count: int) -> Slots:
        """So many free slots."""
        reader, writer = os.pipe()
        os.write(writer, bytes(count))
        os.set_blocking(reader, False)
        return cls(reader, writer)

    def take(self) -> bool:
        """Whether a slot was free, and is taken."""
        try:
            return len(os.read(self.reader, 1)) == 1
        except BlockingIOError:
            return False

    def give(self) -> None:
        """Free a slot."""
        os.write(self.writer, bytes(1))

    def hand_over(self, others: Iterable[Slots]) -> None:
        """Give the free slots to the others in turn."""
        for other in itertools.cycle(list(others)):
            if not self.take():
                return
            other.give()


@dataclass
class Ended:
    """How a child ended: what it returned, or what it raised, or the signal that ended it (STOPPED where time was up)."""

    job: Any
    answer: Any = None
    raised: str = ""
    signal: int | None = None


@dataclass
class Child:
    """A running process, and what has come of its answer."""

    job: Any
    process: int
    answer: bytearray = field(default_factory=bytearray)

    def ended(self) -> Ended:
        """Wait for its end."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        if status < 0:
            return Ended(self.job, signal=-status)
        answer, raised = pickle.loads(self.answer) if self.answer else (None, f"it ended with status {status}")  # noqa: S301 (our own)
        return Ended(self.job, answer, raised)


def fork(job: Any, work: Callable[[Any], Any]) -> tuple[Child, int]:
    """A process that computes ``work(job)``, and where its pickled answer can be read."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return Child(job, process), reader
    answer = None
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silence, stream)
        answer = work(job)
    finally:  # whatever happens, SystemExit too, the child must not go on as a second parent
        raised = traceback.format_exc() if sys.exc_info()[0] else ""
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(pickle.dumps((answer, raised)))
        os._exit(0)


def in_children(jobs: Iterable[Any], work: Callable[[Any], Any], slots: Slots, end: float) -> Iterator[Ended]:
    """How each job's process ended, in the order of their ends. From the time ``end`` on no more are started, and GRACE
    seconds later those that still run are stopped."""
    waiting, selector = iter(jobs), selectors.DefaultSelector()
    job, nothing = None, object()
    while True:
        while (job := next(waiting, nothing) if job is None else job) is not nothing and time.time() < end and slots.take():
            child, reader = fork(job, work)
            selector.register(reader, selectors.EVENT_READ, child)
            job = None
        if not selector.get_map():
            if job is nothing or time.time() >= end:
                return
            time.sleep(GLANCE)
        for key, _ in selector.select(GLANCE):
            child = key.data
            if part := os.read(key.fd, 1 << 16):
                child.answer += part
                continue
            selector.unregister(key.fileobj)
            os.close(key.fd)
            slots.give()
            yield child.ended()
        if time.time() >= end + GRACE:
            for key in list(selector.get_map().values()):
                os.killpg(key.data.process, signal.SIGKILL)
                os.waitpid(key.data.process, 0)
                selector.unregister(key.fileobj)
                os.close(key.fd)
                slots.give()
                yield Ended(key.data.job, signal=STOPPED)
