"""Ranges and whole numbers of what is imputed: NumPy's clip and rint of what comes without them; nothing observed changes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import invoke
from synthetic import OPTIONS

from jpvae import JPVAE
from jpvae.errors import ConfigError
from jpvae.inference.bounds import bounds_of, from_words

N = 60
RNG = np.random.default_rng(0)
STATE = RNG.standard_normal(N)
SCAN = pd.DataFrame({f"s{k}": STATE + 0.3 * RNG.standard_normal(N) for k in range(3)}, index=[f"p{k}" for k in range(N)])
CLINIC = pd.DataFrame(
    {
        "answer": np.clip(np.rint(3 + 1.5 * STATE), 1, 5),
        "dose": np.maximum(0.0, STATE + 0.2),
        "age": 60 + 9 * STATE,
        "sex": ["f", "m"] * (N // 2),
    },
    SCAN.index,
)
CLINIC.iloc[3] = None, None, np.nan, None
CLINIC.loc["p9", "dose"] = np.nan
VIEWS = {"scan": SCAN, "clinic": CLINIC.mask(pd.Series(np.arange(N) % 4 == 0, CLINIC.index))}
SAID = {"bounds": {"clinic": {"answer": (1, 5), "dose": (0, None), "age": (None, 61.5)}}, "whole": {"clinic": ["answer"]}}
FIT = {"latent_dims": 2, "likelihood": "infer", "hidden": (4,), "steps": 60, "entries": "marginalise", "missing": "nan"}


@pytest.fixture(scope="module")
def model():
    return JPVAE(**OPTIONS | FIT).fit(VIEWS)


def expected(values, holes):
    """``values`` as the bounds have them, in the holes."""
    made = values.copy()
    answer = np.clip(np.rint(values["answer"]), 1, 5)
    for name, column in {"answer": answer, "dose": values["dose"].clip(lower=0), "age": values["age"].clip(upper=61.5)}.items():
        made[name] = values[name].where(~holes[name], column)
    return made


def test_what_is_imputed_is_within_them_and_what_was_observed_is_as_it_was(model):
    plain, std = model.impute(VIEWS, return_std=True)
    within, other = model.impute(VIEWS, return_std=True, **SAID)
    holes = VIEWS["clinic"].isna()
    assert (plain["clinic"]["answer"][holes["answer"]] % 1 != 0).any()
    assert (plain["clinic"]["age"][holes["age"]] > 61.5).any()
    pd.testing.assert_frame_equal(within["clinic"], expected(plain["clinic"], holes))
    pd.testing.assert_frame_equal(within["scan"], plain["scan"])
    pd.testing.assert_frame_equal(other["clinic"], std["clinic"])
    point = model.impute(VIEWS, bounds={"clinic": {"age": (60, 60)}})["clinic"]["age"]
    assert (point[holes["age"]] == 60.0).all()


def test_every_draw_is(model):
    holes = VIEWS["clinic"].isna()
    drawn = (model.sample_imputations(VIEWS, n_draws=3, **more)["clinic"] for more in ({}, SAID))
    for plain, within in zip(*drawn, strict=True):
        assert (plain["dose"][holes["dose"]] < 0).any()
        pd.testing.assert_frame_equal(within, expected(plain, holes))


def test_arrays_and_their_out():
    views = [SCAN.to_numpy(), CLINIC[["dose", "age"]].to_numpy()]
    views[1] = np.where(np.arange(N)[:, None] % 4 == 0, np.nan, views[1])
    fitted, said = JPVAE(**OPTIONS | FIT).fit(views), {"bounds": {"view1": {1: (None, 61.5)}}}
    plain, within = fitted.impute(views)[1], fitted.impute(views, **said)[1]
    holes = np.isnan(views[1])
    assert np.array_equal(within[:, 1], np.where(holes[:, 1], np.minimum(plain[:, 1], 61.5), views[1][:, 1]))
    out = [np.empty_like(view) for view in views]
    assert np.array_equal(fitted.impute(views, out=out, **said)[1], within)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"bounds": {"lab": {}}}, r"bounds names the views \['lab'\]; expected names among \['scan', 'clinic'\]"),
        ({"bounds": {"clinic": {"weight": (0, 1)}}}, "bounds names the column 'weight' of view 'clinic'; expected one of"),
        ({"bounds": {"clinic": {"age": (2, 1)}}}, r"is \(2, 1\); expected low <= high"),
        ({"bounds": {"clinic": {"age": 3}}}, r"is 3; expected \(low, high\)"),
        ({"bounds": {"clinic": {"age": (float("nan"), 1)}}}, r"expected \(low, high\)"),
        ({"bounds": {"clinic": {"age": (-1e301, None)}}}, r"expected \(low, high\)"),
        ({"bounds": {"clinic": {"sex": (0, 1)}}}, "'sex' of view 'clinic', a category; expected columns of numbers"),
        ({"bounds": {"clinic": 3}}, "bounds of view 'clinic' is 3"),
        ({"bounds": 3}, r"bounds is 3; expected \{view: \{column"),
        ({"whole": 3}, r"whole is 3; expected \{view: \[column"),
        ({"whole": {"clinic": "age"}}, "whole of view 'clinic' is 'age'; expected a list"),
        ({"whole": {"clinic": [["age"]]}}, r"whole names the column \['age'\]"),
        (
            {"bounds": {"clinic": {"age": (0.2, 0.8)}}, "whole": {"clinic": ["age"]}},
            "bounds of column 'age' of view 'clinic' hold no whole number",
        ),
    ],
)
def test_refused(model, said, message):
    for call in (model.impute, model.sample_imputations):
        with pytest.raises(ConfigError, match=message):
            call(VIEWS, **said)


WHOLE = {
    "ends between whole numbers": ((0.2, 3.7), 1, 3),
    "below 0": ((-3.7, -0.2), -3, -1),
    "whole ends": ((1, 3), 1, 3),
    "one whole number": ((2.5, 3), 3, 3),
    "no upper end": ((0.2, None), 1, np.inf),
    "no lower end": ((None, 3.7), -np.inf, 3),
}


@pytest.mark.parametrize(("given", "low", "high"), WHOLE.values(), ids=WHOLE.keys())
def test_a_range_of_whole_numbers_ends_at_whole_numbers(given, low, high):
    """The second of three columns; the others have neither ends nor anything to be rounded to."""
    columns = SimpleNamespace(count=3, title=lambda j: "abc"[j], categories={2})
    (one,) = bounds_of({"v": {"b": given}}, {"v": ["b"]}, ["v"], [columns])
    assert (one.low.tolist(), one.high.tolist()) == ([-np.inf, low, -np.inf], [np.inf, high, np.inf])
    made = one.applied(np.array([[0.4, -50.0, 0.4], [0.6, 50.0, 0.6], [0.5, 2.6, 0.5]], np.float32))
    assert made.dtype == np.float32
    assert made[:, [0, 2]].tolist() == np.array([[0.4, 0.4], [0.6, 0.6], [0.5, 0.5]], np.float32).tolist()
    assert made[:, 1].tolist() == [max(-50, low), min(50, high), min(max(3, low), high)]


def test_bounds_alone_round_nothing_and_nothing_asked_is_none():
    columns = [SimpleNamespace(count=1, title=int, categories=set())] * 2
    first, second = bounds_of({"a": {0: (0.2, 0.7)}}, None, ["a", "b"], columns)
    assert first.applied(np.array([0.0, 0.3, 0.6, 1.0])).tolist() == [0.2, 0.3, 0.6, 0.7]
    assert second.applied(np.array([-1.5, 0.3])).tolist() == [-1.5, 0.3]
    assert bounds_of(None, None, ["a", "b"], columns) is None
    assert bounds_of({}, {}, ["a", "b"], columns)[0].applied(np.array([1.5])).tolist() == [1.5]


def test_a_range_of_one_number_is_that_number(model):
    filled, holes = (
        model.impute(VIEWS, bounds={"clinic": {"age": (61.5, 61.5)}})["clinic"]["age"],
        VIEWS["clinic"]["age"].isna(),
    )
    assert (filled[holes] == 61.5).all()


@pytest.mark.parametrize("word", ["a:b=nan..3", "a:b=0..inf", "a:b=x..3", "a:b=..", "a:b=3", "b=0..1"])
def test_words_that_are_no_range(word):
    with pytest.raises(ConfigError, match=r"--bounds is .*; expected VIEW:COLUMN=LOW\.\.HIGH"):
        from_words([word], [])
    assert from_words(["a:b=0..", "a:c=..2.5"], ["a:d"]) == ({"a": {"b": (0.0, None), "c": (None, 2.5)}}, {"a": ["d"]})


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, view in VIEWS.items():
        view.rename_axis("who").reset_index().to_csv(f"{name}.csv", index=False)
    views = ["--view", "scan=scan.csv", "--view", "clinic=clinic.csv"]
    options = ["--id", "who", "--steps", "60", "--hidden", "4", "--latent-dims", "2", "--entries", "marginalise"]
    assert invoke(monkeypatch, capsys, "fit", *views, *options, "--backend", "numpy", "--out", "m")[0] == 0
    bounds = [word for one in ("answer=1..5", "dose=0..", "age=..61.5") for word in ("--bounds", f"clinic:{one}")]
    words = ["impute", "m", *views, *bounds, "--whole", "clinic:answer"]
    assert invoke(monkeypatch, capsys, *words, "--out", "filled", "--draws", "2", "--match", "2")[0] == 0
    for file in ("clinic.csv", "clinic.draws.csv"):
        found = pd.read_csv(tmp_path / "filled" / file)
        holes = found["who"].map(VIEWS["clinic"]["age"]).isna().to_numpy()
        assert set(found["answer"]) <= {1.0, 2.0, 3.0, 4.0, 5.0}
        assert found["dose"].min() >= 0
        assert found["age"][holes].max() <= 61.5
    for word, message in (("clinic:age=1", "expected VIEW:COLUMN=LOW..HIGH"), ("age=0..1", "expected VIEW:COLUMN")):
        code, _, err = invoke(monkeypatch, capsys, "impute", "m", *views, "--bounds", word, "--out", "x")
        assert (code, message in err) == (2, True)
    code, _, err = invoke(monkeypatch, capsys, "impute", "m", *views, "--match", "2", "--out", "x")
    assert (code, "--match is 2 without --draws" in err) == (2, True)
