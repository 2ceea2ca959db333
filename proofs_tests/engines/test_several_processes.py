"""A model that holds a JointPriorModule in two processes: DDP and FSDP give the gradients of one process with all rows.

Two processes on the CPU (gloo), each with half of the rows; the mean over rows is then the mean of the halves' means.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import copy, json, sys
import torch
from torch import distributed, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
import jpvae_core as jc
from jpvae_torch import JointPriorModule

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

class Model(nn.Module):
    def __init__(self, prior):
        super().__init__()
        self.prior = prior
        self.encoders = nn.ModuleList([nn.Linear(5, 2 * n) for n in prior.options.dims])

    def forward(self, x, mask):
        means, raw = zip(*(encoder(x).float().chunk(2, dim=-1) for encoder in self.encoders), strict=True)
        log_vars, prior = [-nn.functional.softplus(r) for r in raw], self.prior()
        return (jc.kl_divergence(prior, means, log_vars, mask) + jc.fuse(prior, means, log_vars, mask).kl()).mean()

def gradients(model):
    grads = [p.grad for p in model.parameters()]
    return torch.cat([(g.full_tensor() if hasattr(g, "full_tensor") else g).reshape(-1).float() for g in grads])

torch.manual_seed(0)
x, mask, worst = torch.randn(8, 5), torch.rand(8, 2) < 0.7, {}
mine = slice(4 * rank, 4 * rank + 4)
for kind, options in {"orthogonal": {"learn_alpha": True}, "svd": {}, "canonical": {"rank": 2}}.items():
    model = Model(JointPriorModule((3, 3), kind, **options))
    one, ddp, root, parts, half = (copy.deepcopy(model) for _ in range(5))
    one(x, mask).backward()
    want = gradients(one)
    fully_shard(root)
    for module in (*parts.encoders, parts.prior, parts):
        fully_shard(module)
    narrow = MixedPrecisionPolicy(param_dtype=torch.bfloat16)
    for encoder in half.encoders:
        fully_shard(encoder, mp_policy=narrow)
    fully_shard(half)  # the prior's parameters stay float32
    ways = {"DDP": DistributedDataParallel(ddp), "FSDP": root, "FSDP, by parts": parts, "FSDP, bfloat16": half}
    for name, wrapped in ways.items():
        wrapped(x[mine], mask[mine]).backward()
        worst[f"{kind}: {name}"] = float((gradients(wrapped) - want).abs().max() / want.abs().max())
        state = wrapped.state_dict()
        assert {n.removeprefix("module.") for n in state} == set(model.state_dict()), name
print(json.dumps(worst))
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def worst(tmp_path_factory):
    """The largest difference of any gradient from one process's, relative to the largest of all, by case."""
    store = tmp_path_factory.mktemp("gloo") / "store"
    quiet = "ignore:FSDP2-wrapped module"  # it warns of views, which an in-place operation must not touch: there is none
    start = [sys.executable, "-W", "error", "-W", quiet, "-c", PROGRAM]
    both = [
        subprocess.Popen([*start, str(k), str(store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for k in (0, 1)
    ]
    said = [one.communicate(timeout=900) for one in both]
    assert [one.returncode for one in both] == [0, 0], said[0][1][-3000:] + said[1][1][-3000:]
    found = [json.loads(out) for out, _ in said]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("way", ["DDP", "FSDP", "FSDP, by parts", "FSDP, bfloat16"])
def test_two_processes_have_the_gradients_of_one(worst, way):
    """Sums of eight rows in another order: a few eps of float32. In bfloat16 the encoders round to 2^-8, some of it twice."""
    mine = {name: x for name, x in worst.items() if name.endswith(f": {way}")}
    assert len(mine) == 3
    assert max(mine.values()) < (2.0**-5 if "bfloat16" in way else 1e-6)
