"""JAX on several devices: closures and priors as arguments under pmap, shard_map and set_mesh; eager work on sharded rows.

The core commits no constant to a device, so each gives what one device gives. Four devices are forced on the CPU, which must
happen before JAX starts: in a process of its own.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
import jax, jax.numpy as jnp, numpy as np
import jpvae_core as jc
if hasattr(jax, "shard_map"):
    from jax import shard_map
else:
    from jax.experimental.shard_map import shard_map
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
devices = jax.devices()
assert len(devices) == 4
rng = np.random.default_rng(0)
n, rows = 3, 8
entries, mu, lv = jnp.asarray(rng.normal(size=3)), *(jnp.asarray(rng.normal(size=(2, rows, n))) for _ in range(2))
mask, noise = jnp.asarray(rng.random((rows, 2)) < 0.6), jnp.asarray(rng.normal(size=(rows, 3 * n)))
logits = jnp.asarray(rng.normal(size=(2, n)))

def prior(kind, entries, logits):
    Q = jc.orthogonal(entries, n, [1.0, -1.0, 1.0])
    return jc.JointPrior.orthogonal(Q, 0.9) if kind == "orthogonal" else jc.JointPrior.canonical([Q, Q], logits)

def everything(prior, mu, lv, mask, noise):
    z = [mu[0], mu[1]]
    log_vars, dim = [lv[0], lv[1]], prior.noise_dim
    parts = [jc.kl_divergence(prior, z, log_vars, mask), *jc.complete(prior, z, mask, noise[:, :dim])]
    parts += [*jc.sample(prior, noise[:, :dim]), jc.fuse(prior, z, [-jnp.abs(x) for x in log_vars], mask).kl()]
    return jnp.concatenate([jnp.reshape(x, (x.shape[0], -1)) for x in parts], axis=1)

def divergence(prior, mu, lv, mask):
    return jc.kl_divergence(prior, [mu[0], mu[1]], [lv[0], lv[1]], mask)

mesh = Mesh(np.asarray(devices), ("rows",))
over_rows = (P(None, "rows"), P(None, "rows"), P("rows"), P("rows"))
worst = {}
for kind in ("orthogonal", "canonical"):
    closed = prior(kind, entries, logits)
    want = np.asarray(jax.jit(lambda *data: everything(closed, *data))(mu, lv, mask, noise))
    data = (mu, lv, mask, noise)

    def closure(*data):
        return everything(closed, *data)

    def argument(entries, logits, *data):
        return everything(prior(kind, entries, logits), *data)

    split = lambda x, axis: jnp.moveaxis(jnp.reshape(x, (*x.shape[:axis], 4, -1, *x.shape[axis + 1:])), axis, 0)
    pieces = [split(mu, 1), split(lv, 1), split(mask, 0), split(noise, 0)]
    found = {}
    found["shard_map"] = jax.jit(shard_map(closure, mesh=mesh, in_specs=over_rows, out_specs=P("rows")))(*data)
    sharded = [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in zip(data, over_rows)]
    with jax.set_mesh(mesh) if hasattr(jax, "set_mesh") else mesh:
        found["set_mesh, arguments"] = jax.jit(argument)(entries, logits, *data)
    if kind == "orthogonal":  # one kind for what the prior is no argument of; and it crosses the transformation itself
        found["pmap"] = jax.pmap(closure)(*pieces).reshape(want.shape)
        found["eager, sharded rows"] = np.reshape(divergence(closed, *sharded[:3]), (rows, 1))
        mapped = shard_map(divergence, mesh=mesh, in_specs=(P(), *over_rows[:3]), out_specs=P("rows"))
        alone = {"pmap": jax.pmap(divergence, in_axes=(None, 0, 0, 0))(closed, *pieces[:3])}
        alone["shard_map"] = jax.jit(mapped)(closed, *data[:3])
        alone["jit, on every device"] = jax.jit(divergence)(jax.device_put(closed, NamedSharding(mesh, P())), *sharded[:3])
        with jax.set_mesh(mesh) if hasattr(jax, "set_mesh") else mesh:
            made = jax.jit(lambda e, l: prior(kind, e, l))(entries, logits)
            step = lambda p, _: (p, divergence(p, *data[:3]))
            alone["set_mesh, a scan's carry"] = jax.lax.scan(step, made, None, length=1)[1]
        found |= {f"the prior in {name}": np.reshape(x, (rows, 1)) for name, x in alone.items()}
    for name, x in found.items():
        worst[f"{kind}: {name}"] = float(np.abs(np.asarray(x) - want[:, : x.shape[1]]).max() / np.abs(want).max())
print(json.dumps(worst))
"""


@pytest.fixture(scope="module")
def worst():
    """The largest difference from one device, by case."""
    of_tests = os.environ.get("XLA_FLAGS", "")
    flags = {"XLA_FLAGS": f"{of_tests} --xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["orthogonal", "canonical"])
def test_several_devices_give_what_one_gives(worst, kind):
    """In float64; sums may run in another order, and conditions are small: 1e3 eps."""
    mine = {name: x for name, x in worst.items() if name.startswith(f"{kind}: ")}
    assert len(mine) == 2 + 6 * (kind == "orthogonal")
    assert {name: x for name, x in mine.items() if not x <= 1e3 * 2.0**-52} == {}
