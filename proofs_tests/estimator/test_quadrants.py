"""What the benchmark of quadrants could get wrong: its patterns, its scores, who sees what, and the peers' formulas."""

import argparse
import math
from itertools import combinations

import numpy as np
import pytest
import quadrants
import quadrants_page
import quadrants_peers as peers
import torch

from jpvae.errors import MissingDependency

GREYS = np.array([0.15, 0.35, 0.65, 0.85], np.float32)  # of the four quadrants
SMALL = {
    "jpvae": {"latent_dims": 2, "hidden": [8], "learning_rate": 0.03},
    "regressor": {"hidden": [8], "rate": 0.03},
    "cvae": {"latents": 2, "hidden": [8], "rate": 0.03},
    "mopoe": {"latents": 2, "hidden": [8], "rate": 0.03},
}


def test_the_patterns_are_all_that_show_something_and_hide_something():
    wanted = {tuple(i in seen for i in range(4)) for size in (1, 2, 3) for seen in combinations(range(4), size)}
    assert len(peers.PATTERNS) == len(wanted) == 14
    assert set(peers.PATTERNS) == wanted
    assert set(peers.SUBSETS) == wanted | {(True,) * 4}
    assert set(quadrants_page.GLYPHS) == {quadrants.name_of(seen) for seen in wanted}


def test_the_glyphs_are_black_where_a_quadrant_is_seen():
    """Unicode's names of the blocks say which quadrants are black."""
    import unicodedata

    halves = {"UPPER HALF BLOCK": "1100", "LOWER HALF BLOCK": "0011", "LEFT HALF BLOCK": "1010", "RIGHT HALF BLOCK": "0101"}
    corners = ("UPPER LEFT", "UPPER RIGHT", "LOWER LEFT", "LOWER RIGHT")
    for name, glyph in quadrants_page.GLYPHS.items():
        words = unicodedata.name(glyph)
        assert name == halves.get(words, "".join("1" if corner in words else "0" for corner in corners))


def test_products_of_experts_against_dense_gaussians():
    rng = np.random.default_rng(0)
    mean, log_var = rng.normal(size=(2, 4, 3, 5))
    found_mean, found_log_var = (
        x.numpy() for x in peers.products(*map(torch.tensor, (mean, log_var)), torch.tensor(peers.SUBSETS))
    )
    assert found_mean.shape == (15, 3, 5)
    for k, subset in enumerate(peers.SUBSETS):
        for r in range(3):
            precision, weighted = np.eye(5), np.zeros(5)
            for i in np.flatnonzero(subset):
                one = np.linalg.inv(np.diag(np.exp(log_var[i, r])))
                precision, weighted = precision + one, weighted + one @ mean[i, r]
            covariance = np.linalg.inv(precision)
            # some 10 roundings of numbers of at most 100, float64
            assert found_mean[k, r] == pytest.approx(covariance @ weighted, rel=1e-12, abs=1e-13)
            assert np.exp(found_log_var[k, r]) == pytest.approx(np.diag(covariance), rel=1e-12)


def test_scores_against_loops():
    rng = np.random.default_rng(1)
    S, R, hidden = 3, 2, 2 * peers.PIXELS
    p = rng.uniform(0.05, 0.95, (S, R, hidden)).astype(np.float32)
    grey = rng.random((R, hidden)).astype(np.float32)
    white = rng.random((R, hidden)) < grey
    squared = pixel = joint = 0.0
    for r in range(R):
        of_draws = []
        for s in range(S):
            of_draws.append(math.fsum(math.log(p[s, r, d] if white[r, d] else 1 - p[s, r, d]) for d in range(hidden)))
        top = max(of_draws)
        joint -= top + math.log(math.fsum(math.exp(x - top) for x in of_draws) / S)
        for d in range(hidden):
            mean = math.fsum(map(float, p[:, r, d])) / S
            squared += (mean - float(grey[r, d])) ** 2 / hidden
            pixel -= math.log(mean if white[r, d] else 1 - mean)
    # float32: 784 logarithms with a relative error of some 1e-6 each at worst (1 - p keeps eps / 0.05 of its digits)
    assert quadrants.scores(p, grey, white) == pytest.approx([squared, pixel / 2, joint / 2], rel=1e-5)


def test_black_and_white_has_the_grey_levels_as_probabilities():
    x = np.repeat(np.array([0.0, 0.25, 1.0]), 40_000).reshape(3, -1)
    white = quadrants.black_and_white(x)
    assert not white[0].any()
    assert white[2].all()
    assert white[1].mean() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 40_000))
    assert np.array_equal(white, quadrants.black_and_white(x))


@pytest.fixture(scope="module")
def fills():
    """Every method, fitted to images whose quadrants have a grey level each."""
    x = np.broadcast_to(GREYS[None, :, None], (64, 4, peers.PIXELS)).copy()
    options = {"steps": 120, "seed": 0, "device": "cpu"}
    found = {m: quadrants.fit_peer(m, x, SMALL[m], **options)[0] for m in ("regressor", "cvae", "mopoe")}
    return found | {"jpvae": quadrants.fit_jpvae(x, SMALL["jpvae"], **options)[0]}


@pytest.mark.parametrize("method", list(quadrants.SETTINGS))
def test_what_is_hidden_is_filled_in_its_place_and_never_looked_at(fills, method):
    x = np.broadcast_to(GREYS[None, :, None], (2, 4, peers.PIXELS)).copy()
    for seen in peers.PATTERNS:
        hidden = ~np.array(seen)
        torch.manual_seed(0)
        p = fills[method](x, seen, 4)
        assert p.shape == (1 if method == "regressor" else 4, 2, hidden.sum() * peers.PIXELS)
        by_view = p.reshape(*p.shape[:2], -1, peers.PIXELS).mean(axis=(0, 1, 3))
        assert np.abs(by_view - GREYS[hidden]).max() < 0.1  # half the step between two quadrants: none has another's place
        other = x.copy()
        other[:, hidden] = 0.5
        torch.manual_seed(0)
        assert np.array_equal(fills[method](other, seen, 4), p)


def line(method, seed, error, **more):
    patterns = {quadrants.name_of(seen): {"error": error, "pixel": 2.0, "joint": 3.0} for seen in peers.PATTERNS}
    return {"method": method, "seed": seed, "steps": 5, "setting": {"rate": 0.1}, "patterns": patterns, **more}


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    path, made = tmp_path / "found.json", []

    def run(method, setting, asked, *, steps, seed, split):
        assert isinstance(asked, argparse.Namespace)
        made.append((method, seed, split))
        return line(method, seed, 0.1, parameters=7, seconds=1.0) | {"setting": setting, "steps": steps}

    monkeypatch.setattr(quadrants, "run", run)
    for options in (["--method", "cvae"], ["--method", "mopoe", "cvae", "--seeds", "2"], ["--method", "cvae", "--again"]):
        monkeypatch.setattr("sys.argv", ["quadrants.py", "--out", str(path), *options])
        quadrants.main()
    assert made == [(m, s, "test") for m, s in [("cvae", 0), ("mopoe", 0), ("mopoe", 1), ("cvae", 1), ("cvae", 0)]]
    kept = quadrants.read(path)
    assert [(one["method"], one["seed"]) for one in kept["cases"]] == [("cvae", 0), ("cvae", 1), ("mopoe", 0), ("mopoe", 1)]
    assert kept["tried"] == []
    assert capsys.readouterr().out.count("error 0.1000, pixel 2.0000, joint 3.0000") == 5


def test_the_parts_of_the_data_do_not_overlap():
    try:
        parts = {split: quadrants.images(split) for split in ("train", "validation", "test")}
    except MissingDependency as reason:
        pytest.skip(str(reason))
    assert [x.shape for x in parts.values()] == [(50_000, 4, 196), (500, 4, 196), (1_000, 4, 196)]
    rows = [{row.tobytes() for row in parts[split]} for split in ("train", "validation")]
    assert len(rows[0] & rows[1]) < 5  # Fashion-MNIST itself has a few images twice
