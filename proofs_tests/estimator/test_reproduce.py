"""`jpvae reproduce` on a few made-up digits: every table and figure, the same numbers after a stop, and from the results alone.

What the published numbers are repeated by is in test_published_tables.py.
"""

import csv
import functools
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from commands import invoke

from jpvae.errors import ConfigError
from jpvae.experiments import hvdmnist
from jpvae.experiments.reproduce import classifiers, conclusions, conduct, digits, measuring, report
from jpvae.experiments.reproduce.digits import splits
from jpvae.experiments.reproduce.perceptrons import Perceptrons
from jpvae.experiments.reproduce.pieces import SHOWN, pieces
from jpvae.experiments.reproduce.published import in_files, in_paper
from jpvae.experiments.reproduce.results import Results
from jpvae.experiments.reproduce.runs import Run, fitted
from jpvae.experiments.reproduce.settings import Settings
from jpvae.training import schedules

pytestmark = pytest.mark.filterwarnings("ignore:importance weights have collapsed")  # as they do after so few steps

TINY = Settings(length=2 / 18_750, epochs=2, epochs_on_originals=1, likelihood_images=6, likelihood_draws=101)
EVERYTHING = [name for name in SHOWN if name != "sweep"]
TRAIN, TEST = 150, 60


@pytest.fixture(scope="module", autouse=True)
def few_images():
    """150 training and 60 test images of random ink; no lock taken that git may hold."""
    rng = np.random.default_rng(0)
    made = {
        name: (((rng.random((count, 28, 28)) < 0.2) * 255).astype(np.uint8), (np.arange(count) % 10).astype(np.uint8))
        for name, count in (("train", TRAIN + 10), ("test", TEST))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hvdmnist, "mnist", made.__getitem__)
        patch.setattr(digits, "mnist", made.__getitem__)
        patch.setattr(hvdmnist, "TRAINING_IMAGES", TRAIN)
        patch.setattr(hvdmnist, "measure", functools.partial(hvdmnist.measure, draws=2))
        patch.setenv("GIT_OPTIONAL_LOCKS", "0")
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One seed, protocol "published", everything but the sweep, in one go."""
    out = tmp_path_factory.mktemp("whole")
    conduct.reproduce(out, seeds=1, only=EVERYTHING, settings=TINY)
    return out


def numbers(out):
    """Every number of every piece, but for the times."""
    times = ("seconds", "cpu_seconds", "made_by")
    found = {str(path.relative_to(out)): json.loads(path.read_text()) for path in sorted(out.glob("raw/*/*/*.json"))}
    return {name: {k: v for k, v in piece.items() if k not in times} for name, piece in found.items()}


class Stopped(Exception):
    """As a killed process is: between two pieces, or inside one."""


def test_a_stopped_run_goes_on_to_the_same_numbers(whole, monkeypatch, tmp_path):
    """Stopped between two pieces, then in the second pass of a classifier's training."""

    def stop_at_the_fourth(line):
        if line.startswith("4 of"):
            raise Stopped

    again = functools.partial(conduct.reproduce, tmp_path, seeds=1, only=["table1", "table3"], settings=TINY)
    with pytest.raises(Stopped):
        again(note=stop_at_the_fourth)
    assert len(numbers(tmp_path)) == 3

    passes, epoch = iter(range(100)), Perceptrons.epoch

    def stop_in_the_second(*arguments):
        if next(passes) == 1:
            raise Stopped
        epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Perceptrons, "epoch", stop_in_the_second)
        with pytest.raises(Stopped):
            again()
    assert [p.name for p in tmp_path.glob("work/published/*/*")] == ["0.safetensors"]  # its first pass is kept
    again()
    assert len(numbers(tmp_path)) == 10  # of three models training, latents and classifiers; and the images' own classifiers
    assert {name: numbers(whole)[name] for name in numbers(tmp_path)} == numbers(tmp_path)


def test_the_report_is_made_of_the_results_alone(whole, monkeypatch, capsys, tmp_path):
    words = ["reproduce", "--from", whole / "raw", "--only", ",".join(EVERYTHING), "--out", tmp_path / "again"]
    code, printed, err = invoke(monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    assert "report.md" in printed
    names = [str(path.relative_to(whole)) for path in whole.glob("tables/*.csv")]
    assert len(names) == 9
    for name in ("report.md", *names):
        assert (tmp_path / "again" / name).read_bytes() == (whole / name).read_bytes()


def test_every_table_and_figure_is_there(whole):
    text = (whole / "report.md").read_text()
    shown = {f"published-{name}.png" for name in SHOWN if name.startswith("figure")}
    one_seed_alone = {"published-figure5.png", "published-figure7.png"}
    assert {path.name for path in whole.glob("figures/*.png")} == shown - one_seed_alone
    assert all(f"](figures/{name})" in text for name in shown - one_seed_alone)
    assert text.count("Missing.") == 2
    assert "Missing cells" not in text  # one seed of all is there


def test_figures_can_be_told_from_a_blank(whole):
    from matplotlib import image

    for path in whole.glob("figures/*.png"):
        colours = np.round(255 * image.imread(path)[..., :3]).astype(int) @ [65536, 256, 1]
        assert len(np.unique(colours)) > 20, path.name


def test_a_cell_is_the_mean_over_seeds_beside_what_was_published(whole, tmp_path):
    """Two seeds of a known piece: mean, sample deviation, and the distance to 24.4507 (0.3162), worked out by hand."""
    found = json.loads((whole / "raw/published/zero-0/training.json").read_text())
    for seed, loss in ((0, 24.0), (1, 25.0)):
        found["table_1"]["reconstruction"] = [loss, 0.0]
        place = tmp_path / "raw" / "published" / f"zero-{seed}"
        place.mkdir(parents=True)
        (place / "training.json").write_text(json.dumps(found))
    report.write(tmp_path / "raw", tmp_path, only=["table1"])
    with (tmp_path / "tables" / "published-table1.csv").open() as file:
        cells = {(row["model"], row["measure"]): row for row in csv.DictReader(file)}
    cell = cells["C = 0", "reconstruction 1"]
    assert cell["seeds"] == "2"
    assert float(cell["mean"]) == 24.5
    assert float(cell["sd"]) == pytest.approx(statistics.stdev([24, 25]), rel=1e-5)
    assert float(cell["difference_in_published_sd"]) == pytest.approx((24.5 - 24.4507) / 0.3162, rel=1e-3)
    assert (cell["printed_mean"], cell["printed_sd"]) == ("24.64", "0.37")
    missing = cells["σ₁(C) < 1", "reconstruction 1"]
    assert (missing["seeds"], missing["mean"]) == ("0", "")
    text = (tmp_path / "report.md").read_text()
    assert "| **σ₁(C) < 1**, found | missing |" in text
    assert "| **C = 0**, found | **24.50** (0.71) [2] |" in text


def test_classifiers_see_what_table_1_measures(whole):
    """The logits' cross entropy, by NumPy, is the loss that the engine's likelihood gave: in float32, of sums of 392 terms."""
    test = splits()[1]
    for variant in ("zero", "svd", "orthogonal"):
        logits = classifiers.logits_of(whole / "trainings" / "published" / f"{variant}-0", test)
        losses = {name: measuring.cross_entropy(x, test.views[int(name[0]) - 1]) for name, x in logits.items()}
        table = json.loads((whole / "raw" / "published" / f"{variant}-0" / "training.json").read_text())["table_1"]
        wanted = [*table["reconstruction"], *table["imputation"]]
        assert [losses[name] for name in ("1", "2", "1|2", "2|1")] == pytest.approx(wanted, rel=1e-5)


def test_stacked_or_one_by_one_the_classifiers_are_the_same(whole, tmp_path):
    """Torch's "cpu:0" is the CPU by another name, but takes the way of a GPU: one stack. Accuracies are parts of 60 and 150
    images, which roundings of float32 could move by an image where two classes tie: none do."""
    train, test = splits()
    folder = whole / "trainings" / "published" / "orthogonal-0"
    options = {"epochs": TINY.epochs, "seeds": [0]}
    (stacked,) = classifiers.of_models([folder], train, test, tmp_path, device="cpu:0", **options)
    kept = json.loads((whole / "raw" / "published" / "orthogonal-0" / "classifiers.json").read_text())
    assert stacked["accuracy"] == kept["accuracy"]


def test_the_correlations_have_the_norm_that_the_training_reported(whole):
    results = Results(whole / "raw")
    for variant in ("zero", "svd", "orthogonal"):
        matrix = np.asarray(results.pieces("published", variant, "latents")[0]["cross_correlation"])
        reported = results.pieces("published", variant, "training")[0]["cross_correlation_norm"]
        assert matrix.shape == (20, 20)
        assert np.linalg.norm(matrix) == pytest.approx(reported, abs=20 * 0.5e-5)  # rounded to five digits


def test_conditional_log_likelihoods_are_the_joint_less_the_marginal(whole):
    for path in whole.glob("raw/published/*/likelihood.json"):
        found = json.loads(path.read_text())
        mean = {name: found[name]["mean"] for name in measuring.QUANTITIES}
        assert (found["images"], found["draws"]) == (6, 101)
        assert mean["view 2 given 1"] == pytest.approx(mean["joint"] - mean["view 1"], rel=1e-12)
        assert mean["view 1 given 2"] == pytest.approx(mean["joint"] - mean["view 2"], rel=1e-12)


def test_separate_models_have_the_sum_of_their_marginals(whole):
    """Under C = 0 log p(x_1, x_2) = log p(x_1) + log p(x_2) and log p(x_2 | x_1) = log p(x_2)."""
    results = Results(whole / "raw")
    piece = json.loads((whole / "raw/published/zero-0/likelihood.json").read_text())
    first, second = (piece[f"view {i}"]["mean"] for i in (1, 2))
    wanted = {"joint": first + second, "view 1": first, "view 2": second, "view 1 given 2": first, "view 2 given 1": second}
    for name, value in wanted.items():
        assert results.values("published", "zero", f"log p, {name}")[0] == pytest.approx(value, rel=1e-12)
    joint = json.loads((whole / "raw/published/svd-0/likelihood.json").read_text())["joint"]["mean"]
    assert results.values("published", "svd", "log p, joint")[0] == joint


def test_more_draws_raise_the_bound(whole):
    """In expectation, from 1 to 10 to 100 draws: here by several standard errors, and the draws are fixed."""
    paths = list(whole.glob("raw/published/*/bounds.json"))
    assert len(paths) == 3
    for path in paths:
        joint = json.loads(path.read_text())["joint"]
        assert list(joint) == ["1", "10", "100"]
        assert joint["1"] < joint["10"] < joint["100"]


def test_a_finished_run_is_not_trained_again(whole, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(hvdmnist, "run", refuse)
    conduct.reproduce(tmp_path, seeds=1, only=["table2"], settings=TINY, trained=[whole / "trainings"])
    assert {k: v for k, v in numbers(whole).items() if k in numbers(tmp_path)} == numbers(tmp_path)
    assert len(numbers(tmp_path)) == 3
    run = Run("published", "zero", 0)
    assert not run.is_finished(whole / "trainings/published/zero-0", Settings(length=3 / 18_750))
    assert not Run("published", "zero", 1).is_finished(whole / "trainings/published/zero-0", TINY)


def test_packed_digits_come_back():
    x = np.random.default_rng(0).random((10, 784))
    assert np.abs(measuring.unpack(measuring.pack(x)).reshape(10, -1) - x).max() <= 0.5 / 255 + 1e-12


REFUSED = {
    "only": ({"only": ["table9"]}, r"only is 'table9'; expected some of table1, table2"),
    "protocol": ({"protocol": "mine"}, r"protocol is 'mine'; expected one of \['ours', 'paper', 'published'\]"),
    "seeds": ({"seeds": 0}, r"seeds is 0; expected at least 1"),
    "trained": ({"trained": [Path("nowhere")]}, r"trained is 'nowhere', which is no folder"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        conduct.reproduce(tmp_path, **options)
    assert not list(tmp_path.iterdir())  # so that the folder is free for another length


CONTRADICTIONS = {
    "from": (["--from", "raw", "--protocol", "ours"], "leave out protocol, seeds, trained, quick and device"),
    "quick": (["--quick", "--seeds", "3"], "quick trains one seed, but seeds is 3"),
}


@pytest.mark.parametrize(("words", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_options_that_would_have_no_effect_are_refused(words, message, monkeypatch, capsys, tmp_path):
    code, _, err = invoke(monkeypatch, capsys, "reproduce", *words, "--out", tmp_path / "out")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()


MADE_BY = '{"made_by": {"commit": "c", "machine": "m"}'
DAMAGED = {
    "cut off": ("zero-0", '{"table_1"', r"zero-0/training.json' is damaged \(Expecting"),
    "no origin": ("zero-0", "{}", r"is damaged \(it lacks 'made_by'\)"),
    "no object": ("zero-0", "[]", r"is damaged \(list indices"),
    "no table": ("zero-0", MADE_BY + "}", r"zero-0/training.json' is damaged \(it lacks 'table_1'\); delete it"),
    "no seed": ("zero-x", MADE_BY + "}", r"is no result: its folder is 'zero-x', expected a name like 'zero-0'"),
}


@pytest.mark.parametrize(("folder", "text", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_result_is_named(folder, text, message, tmp_path):
    place = tmp_path / "published" / folder
    place.mkdir(parents=True)
    (place / "training.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        report.write(tmp_path, tmp_path / "out")


def test_a_folder_of_another_length_or_of_no_results_is_refused(whole, tmp_path):
    with pytest.raises(ConfigError, match=r"holds a run of another length \(settings.json\)"):
        conduct.reproduce(whole, seeds=1, only=["table2"])
    with pytest.raises(ConfigError, match="holds no results"):
        report.write(tmp_path, tmp_path)


def test_published_facts():
    """As PUBLISHED in test_published_tables.py has them from the paper, to the digits printed; and three of the files'."""
    assert in_paper("orthogonal", "imputation 2|1").mean == 106.6
    assert in_files("orthogonal", "imputation 2|1").mean == pytest.approx(106.6, abs=0.05)
    assert in_files("zero", "1 > 1|2").mean == pytest.approx(47.21, abs=0.005)
    assert in_files("orthogonal", "1 > 1|2").mean == pytest.approx(76.68, abs=0.005)  # the paper prints 77.22
    assert in_files("originals", "[1; 2] > [1; 2]").mean == pytest.approx(98.04, abs=0.005)
    assert np.isnan(in_files("orthogonal", "reconstruction 1", 0.95).mean)


def test_a_claim_is_judged_by_the_means(whole, tmp_path):
    """Active units 10, 20, 30 % by variant hold, 10, 30, 20 % do not, and with a variant missing nothing is concluded."""
    found = json.loads((whole / "raw/published/zero-0/training.json").read_text())
    claim = next(c for c in conclusions.CLAIMS if c.measures == ("active units",))
    for units, verdict in (
        ({"zero": 10, "svd": 20}, "missing"),
        ({"zero": 10, "svd": 20, "orthogonal": 30}, "holds: 10.00 → 20.00 → 30.00"),
        ({"zero": 10, "svd": 30, "orthogonal": 20}, "does not hold: 10.00 → 30.00 → 20.00"),
    ):
        for variant, percent in units.items():
            place = tmp_path / "published" / f"{variant}-0"
            place.mkdir(parents=True, exist_ok=True)
            found["table_2"]["active_units_percent"] = percent
            (place / "training.json").write_text(json.dumps(found))
        assert claim.verdict(Results(tmp_path), "published") == verdict


def test_protocol_paper_with_a_learned_alpha_trains_what_it_names(tmp_path):
    """Thirty cycles of annealing need steps to rise in: 120. The file of the trained model has the options."""
    run, settings = Run("paper", "orthogonal", 1, "learned"), Settings(length=120 / 46_875)
    assert run.name == "orthogonal-alpha-learned-1"
    result = run.train(tmp_path / "run", settings)
    assert run.is_finished(tmp_path / "run", settings)
    model = fitted(tmp_path / "run")
    assert (model.learn_alpha, model.alpha, model.steps, model.beta) == (True, 0.95, 120, schedules.Cyclical(30, 0.5))
    assert 0.9 < result["largest_singular_value"] < 1
    assert result["largest_singular_value"] != pytest.approx(0.95, abs=1e-4)  # it moved


def test_the_sweep_takes_the_protocol_s_own_alpha_from_the_main_run():
    runs = {str(piece.place) for piece in pieces("published", 1, ["sweep"])}
    swept = [f"orthogonal{alpha}-0" for alpha in ("", *(f"-alpha-{a}" for a in (0.1, 0.5, 0.95, 0.99, "learned")))]
    assert runs == {f"published/{name}/training.json" for name in swept}
