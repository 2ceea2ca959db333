"""One training by many processes: which of them this one is, and how torchrun's are brought together.

Every process makes the same batches, for these are functions of the seed and the step; it reads and differentiates its share of
their rows, and the gradients are added up. Parameters are therefore those of one process, up to rounding, and a checkpoint goes
on with any number of processes. The first one writes files and calls listeners.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import ConfigError, MissingDependency


def share() -> tuple[int, int]:
    """The number of this process, from 0, and how many there are: of torch's process group; (0, 1) without one."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def launched() -> int:
    """As which of several processes torchrun has started this one; 0 where it has not."""
    return int(os.environ.get("RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Inside, the processes that torchrun started are one group; gives the device of this one. Nothing without torchrun."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield device
        return
    try:
        import torch.distributed as distributed
    except ModuleNotFoundError as error:
        raise MissingDependency(f"several processes need {error.name}: pip install 'jpvae[torch]'") from error
    on_gpu = device.partition(":")[0] == "cuda"
    own = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else device
    try:
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"the processes of torchrun did not find each other ({error})") from error
    try:
        yield own
    finally:
        distributed.destroy_process_group()
