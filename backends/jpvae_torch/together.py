"""What the processes of a group do together: sums over all of them, the same bits in each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as distributed

from jpvae.errors import ProcessLost


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Every tensor becomes the sum over all processes, in place, in one message. Raises ProcessLost."""
    flat = torch.cat([x.reshape(-1) for x in tensors])
    try:
        distributed.all_reduce(flat)
    except RuntimeError as error:
        raise ProcessLost(
            "another process of this training has ended, so this one ends too; start all of them again to continue"
        ) from error
    for x, total in zip(tensors, torch.split(flat, [x.numel() for x in tensors]), strict=True):
        x.copy_(total.view_as(x))


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether it is True in any process."""
    found = torch.tensor([float(flag)], device=device)
    add_up([found])
    return bool(found.item() > 0)


def agree(number: int, device: torch.device) -> bool:
    """Whether it is the same number of 32 bits in all processes: sum(x)^2 = n sum(x^2) only then, in exact float64 halves."""
    halves = torch.tensor([number >> 16, number & 0xFFFF], dtype=torch.float64, device=device)
    sums = torch.cat([halves, halves * halves])
    add_up([sums])
    n = distributed.get_world_size()
    return bool((sums[:2] * sums[:2] == n * sums[2:]).all())
