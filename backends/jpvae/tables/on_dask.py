"""Partitions filled by the workers of a Dask cluster: one that dies has its partition filled by another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingDependency
from .partitions import Partition, Task, fill

LOCAL = "local"
_TRIES = 5  # workers that may die over one partition
_SECONDS = 30  # that a scheduler has to answer


def on_dask(parts: Sequence[Partition], task: Task, scheduler: str) -> Iterator[dict[str, Any]]:
    """As they come. scheduler: "local" for a worker of one thread on each core of this machine, an address, or a scheduler's
    file. Workers see the files under the same names. Raises ConfigError where there is no scheduler, MissingDependency."""
    try:
        dask, distributed = import_module("dask"), import_module("distributed")
    except ModuleNotFoundError as error:
        raise MissingDependency(f"--dask needs {error.name}: pip install 'jpvae[cluster]'") from error
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _TRIES}))
        if scheduler == LOCAL:
            cluster = stack.enter_context(distributed.LocalCluster(threads_per_worker=1, dashboard_address=None))
            client = stack.enter_context(distributed.Client(cluster))
        else:
            named = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
            try:
                client = stack.enter_context(distributed.Client(**named, timeout=_SECONDS))
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"--dask is {scheduler!r}, where no scheduler answers ({error}); expected 'local', an address such as "
                    "tcp://host:8786, or a scheduler's file"
                ) from error
        yield from fill_with(client, parts, task, distributed.as_completed)


def fill_with(client: Any, parts: Sequence[Partition], task: Task, as_completed: Any) -> Iterator[dict[str, Any]]:
    """By the workers of a client, as they come."""
    futures = client.map(fill, parts, task=task, pure=False)
    for future in as_completed(futures):
        yield future.result()
