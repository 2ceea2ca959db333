"""Run folders: what `jpvae hvdmnist` and `jpvae demo` write, what they return when asked again, what they refuse."""

import functools
import json
import os

import numpy as np
import pytest
from commands import invoke
from safetensors.numpy import load_file

from jpvae.errors import ConfigError
from jpvae.experiments import data, demo, hvdmnist, protocols

OURS = {"protocol": "ours", "variant": "orthogonal"}
MNIST = all((data.data_folder() / "mnist" / f"{n}-ubyte.gz").is_file() for n in ("train-images-idx3", "t10k-images-idx3"))
needs_mnist = pytest.mark.skipif(not MNIST, reason=f"the MNIST files are not in {data.data_folder()}")


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


@pytest.fixture
def few_images(monkeypatch):
    """The experiment on 150 training and 60 test images; provenance without touching a lock that others may hold."""
    real = data.mnist
    monkeypatch.setattr(hvdmnist, "mnist", lambda split: tuple(x[:60] if split == "test" else x for x in real(split)))
    monkeypatch.setattr(hvdmnist, "TRAINING_IMAGES", 150)
    monkeypatch.setattr(hvdmnist, "measure", functools.partial(hvdmnist.measure, draws=2))
    monkeypatch.setenv("GIT_OPTIONAL_LOCKS", "0")


@needs_mnist
@pytest.mark.usefixtures("few_images")
def test_hvdmnist_writes_a_run_folder(command, tmp_path):
    out = tmp_path / "runs" / "one"
    wanted = ["hvdmnist", "--steps", "3", "--seed", "5", "--out", out]
    code, printed, err = command(*wanted, "--json")
    result = json.loads(printed)
    assert (code, err) == (0, "")
    assert sorted(os.listdir(out)) == ["checkpoint.safetensors", "config.json", "metrics.jsonl", "result.json"]
    assert json.loads((out / "result.json").read_text()) == result
    config, alpha = json.loads((out / "config.json").read_text()), protocols.options("orthogonal", "ours")["alpha"]
    assert config == OURS | {"seed": 5, "backend": "torch", "device": "cpu", "options": result["options"]}
    assert (config["options"]["steps"], config["options"]["alpha"], config["options"]["latent_dims"]) == (3, alpha, 20)
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [3]
    assert load_file(out / "checkpoint.safetensors")["adam.step"] == 3
    for measure in ("plug_in", "predictive", "conditional_nll"):
        # Untrained nets say "one half" of each of the 392 pixels, 272 nats; three steps change that by little.
        assert all(100 < nats < 400 for nats in result[measure])
    # alpha = tanh(t/2) is learned: Adam moves t by its rate, 2e-4, in each of the three steps at most.
    assert abs(result["largest_singular_value"] - alpha) < 3 * 2e-4 * 0.5 * (1.0 - alpha**2) + 1e-6

    written = {name: (out / name).stat().st_mtime_ns for name in os.listdir(out)}
    code, table, _ = command(*wanted)  # finished: the same result again, as a table
    assert code == 0
    assert {name: (out / name).stat().st_mtime_ns for name in os.listdir(out)} == written
    assert f"{result['predictive'][0]:.2f}" in table
    assert f"{result['table_1']['imputation'][1]:.2f}" in table
    for other in (["--variant", "svd"], ["--seed", "6"], ["--steps", "4"], ["--protocol", "published"]):
        code, printed, err = command(*wanted, *other)
        assert (code, printed) == (2, "")
        assert f"out is '{out}', which holds another run (config.json differs); give another folder" in err


@needs_mnist
@pytest.mark.usefixtures("few_images")
def test_a_mistake_does_not_claim_the_folder(tmp_path):
    with pytest.raises(ConfigError, match="device is 'abacus'"):
        hvdmnist.run("zero", "ours", tmp_path, steps=1, device="abacus", progress=False)
    assert hvdmnist.run("zero", "ours", tmp_path, steps=1, progress=False)["variant"] == "zero"


def test_a_result_needs_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert hvdmnist.provenance("numpy")["commit"] is None


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json' is damaged"):
        hvdmnist.run("zero", "ours", tmp_path, steps=1)


def test_protocols():
    """The published numbers' settings, and the same 600,000 images for ours."""
    published, ours = protocols.options("orthogonal", "published"), protocols.options("orthogonal", "ours")
    keys = ("steps", "batch_size", "objective")
    assert [published[k] for k in (*keys, "alpha")] == [18_750, 32, "elbo", 0.9]
    assert [ours[k] for k in keys] == [9_375, 64, "subset"]
    assert {protocols.options(v, "published")["prior"] for v in protocols.PRIORS} == {"independent", "svd", "orthogonal"}


def test_a_run_older_than_an_option_is_still_known():
    """posterior="factorised" is what all runs were before there was a choice; no other option may be absent."""
    old = protocols.options("zero", "published")
    assert protocols.are_the_same(old, old | {"posterior": "factorised"})
    assert not protocols.are_the_same(old, old | {"posterior": "fused"})
    assert not protocols.are_the_same({k: v for k, v in old.items() if k != "steps"}, old)


def test_demo_writes_a_figure_and_its_numbers(command, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = ((rng.random((150, 28, 28)) < 0.2) * 255).astype(np.uint8)
    monkeypatch.setattr(demo, "small_digits", lambda: (images, np.arange(150) % 10))
    monkeypatch.setattr(demo, "TRAINING_DIGITS", 50)
    monkeypatch.setattr(demo, "measure", functools.partial(demo.measure, draws=2))
    monkeypatch.setattr(demo, "run", functools.partial(demo.run, steps=2))
    code, printed, err = command("demo", "--out", tmp_path / "d", "--json")
    result = json.loads(printed)
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "d" / "demo.json").read_text()) == result
    assert [row["name"] for row in result["models"]] == ["C = 0", "joint prior", "joint prior, subset objective"]
    from matplotlib import image

    pixels = image.imread(tmp_path / "d" / "digits.png")[..., :3]
    ink = np.asarray([0xC8, 0x43, 0x1B]) / 255  # what was filled in is red; what was seen is black
    reddish = (pixels[..., 0] - pixels[..., 2] > 0.3 * (ink[0] - ink[2])).mean()
    black = (pixels.max(axis=-1) < 0.2).mean()
    assert reddish > 0.05
    assert black > 0.02
