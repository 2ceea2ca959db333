"""The most memory that a step holds at once above what it started with, in bytes, as each library can tell it.

None of them sees scratch space that LAPACK takes for itself (a block of columns at most).
"""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch


def of_numpy(step: Callable[[], Any]) -> int:
    """NumPy reports its arrays to tracemalloc."""
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def of_torch(step: Callable[[], Any]) -> int:
    """Every allocation and release of torch's CPU allocator, in order, from the profiler's trace."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["name"] == "[memory]"]
    return max(accumulate(event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["args"]["Ev Idx"])))


def of_jax(compiled: Any) -> int:
    """What XLA planned for a compiled function: temporaries and outputs."""
    plan = compiled.memory_analysis()
    return int(plan.temp_size_in_bytes + plan.output_size_in_bytes)
