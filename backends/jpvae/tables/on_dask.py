"""Partitions filled by the workers of a Dask cluster: one that dies has its partition filled by another.

What was filled is read from the marks on the disk, never fetched from a worker: a result that was only in the memory of one
that has died since would be computed anew. A run that no worker is left for ends with an error; its marks stay.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingDependency, ProcessLost
from .partitions import Partition, Task, fill

LOCAL = "local"
_TRIES = 5  # workers that may die over one partition
_SECONDS = 30  # that a scheduler has to answer, and workers to end
_POLL = 0.1  # seconds
_ALONE = 600  # seconds without any worker after which a run ends


def on_dask(parts: Sequence[Partition], task: Task, scheduler: str) -> Iterator[Partition]:
    """Each as soon as it is done. scheduler: "local" for a worker of one thread on each core of this machine, an address, or a
    scheduler's file. Workers see the files under the same names.

    Raises ConfigError where there is no scheduler, MissingDependency, ProcessLost where no worker is left."""
    with _dask() as distributed:
        if scheduler == LOCAL:
            with local_workers() as client:
                yield from fill_with(client, parts, task)
            return
        named = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
        try:
            client = distributed.Client(**named, timeout=_SECONDS)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--dask is {scheduler!r}, where no scheduler answers ({error}); expected 'local', an address such as "
                "tcp://host:8786, or a scheduler's file"
            ) from error
        with client:
            yield from fill_with(client, parts, task)


@contextmanager
def local_workers(count: int | None = None) -> Iterator[Any]:
    """A client of so many workers on this machine, by default one on each core."""
    with _dask() as distributed:
        cluster = distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None)
        client = distributed.Client(cluster)
        try:
            yield client
        finally:
            with suppress(TimeoutError):  # they are daemons, which end with this process at the latest
                client.close(timeout=_SECONDS)
                cluster.close(timeout=_SECONDS)


@contextmanager
def _dask() -> Iterator[Any]:
    try:
        dask, distributed = import_module("dask"), import_module("distributed")
    except ModuleNotFoundError as error:
        raise MissingDependency(f"--dask needs {error.name}: pip install 'jpvae[cluster]'") from error
    options = {
        "distributed.scheduler.allowed-failures": _TRIES,
        # A local cluster gives up a worker that does not come back within 15 s, which a busy machine takes to start Python;
        # once it has given up all of them, everybody waits for ever.
        "distributed.deploy.lost-worker-timeout": f"{_ALONE}s",
    }
    with dask.config.set(options):
        yield distributed


def fill_with(client: Any, parts: Sequence[Partition], task: Task) -> Iterator[Partition]:
    """By the workers of a client, as they come. Raises what ``fill`` raised on a worker, ProcessLost."""
    futures = client.map(fill, parts, task=task, pure=False)
    part_of = dict(zip(futures, parts, strict=True))
    waiting, seen = import_module("distributed").as_completed(futures), time.monotonic()
    while not waiting.is_empty():
        batch = waiting.next_batch(block=False)
        if not batch:
            time.sleep(_POLL)
            seen = _last_seen(client, seen)
        for future in batch:
            if future.status == "error":
                future.result()
            elif future.status != "finished":
                raise ProcessLost(f"the scheduler has ended ({future.status}); start again: what was filled stays filled")
            yield part_of[future]


def _last_seen(client: Any, before: float) -> float:
    """When there was a worker last, asked only once that is a while ago. Raises ProcessLost."""
    now = time.monotonic()
    if now - before < _SECONDS / 2:
        return before
    if client.nthreads():
        return now
    if now - before > _ALONE:
        raise ProcessLost(
            f"no worker has been there for {_ALONE} s; start again with workers that live: what was filled stays filled"
        )
    return before
