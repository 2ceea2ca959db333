"""Pages of tables that a report was not drawn for: narrow, empty, strange, many; each is whole, honest and opens."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import chromium, opened, show, tab
from commands import invoke
from synthetic import three_views

from jpvae import JPVAE
from jpvae.report.content import content
from jpvae.report.page import render
from jpvae.report.provenance import provenance

pytestmark = pytest.mark.filterwarnings("ignore::jpvae.errors.JPVAEWarning")  # of the fixture's fits, whoever asks first

LONG = "a_very_long_name" * 9
STRANGE = ["\"quoted\" 'names'", "🫀 heart", LONG, "السن", "a\tb\u2028c", "{{ 7 * 7 }}"]
OLD = Path(__file__).parents[1] / "files" / "written_by_0.1.0.safetensors"
TINY = {"hidden": (4,), "steps": 4, "backend": "numpy", "missing": "nan", "progress": False, "calibration": 0.0}


def numbers(rows, *columns, seed=0):
    """Views of so many columns each that share two numbers per row, and who has them: all."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((rows, 2))
    return {f"v{k}": u @ rng.standard_normal((2, c)) + 0.3 for k, c in enumerate(columns)}, np.ones((rows, len(columns)), bool)


def one_column():
    views, has = numbers(40, 1, 1)
    has[::4, 0] = False
    return views, has, "gaussian"


def only_categories():
    rng = np.random.default_rng(1)
    u = rng.standard_normal(40)
    views = {
        "a": pd.DataFrame({"sex": np.where(u > 0, "f", "m"), "smoker": u > 0.5}),
        "b": pd.DataFrame({"stage": np.array(["I", "II", "III"])[np.digitize(u, (-0.5, 0.5))]}),
    }
    has = rng.random((40, 2)) < 0.8
    has[~has.any(axis=1)] = True
    return views, has, "infer"


def three_rows():
    views, has = numbers(40, 3, 2)
    has[3:, 1] = False
    return views, has, "gaussian"


def no_pairs():
    views, has = numbers(40, 3, 2)
    has[:20, 0], has[20:, 1] = False, False
    return views, has, "gaussian"


def twelve_views():
    views, has = numbers(40, *[1] * 12)
    has[::2, :6], has[1::4, 6:] = False, False
    return views, has, "gaussian"


def strange_names():
    views, has = numbers(40, 6, 2)
    made = {STRANGE[2]: pd.DataFrame(views["v0"], columns=STRANGE), STRANGE[1]: views["v1"]}
    has[:5, 1] = False
    return made, has, "gaussian"


def constant_columns():
    views, has = numbers(40, 3, 2)
    views["v0"][:, 0], views["v1"][:, :] = 1.0, 0.0
    has[:5, 1] = False
    return views, has, "gaussian"


def one_view():
    views, has = numbers(40, 3)
    return views, has, "gaussian"


def many_columns():
    views, has = numbers(40, 300, 200)
    has[:5, 0] = False
    return views, has, "gaussian"


def long_levels():
    """Levels that differ in the middle, and numbers of ten digits."""
    views, has = numbers(40, 3, 2)
    sides = np.array(["left", "right", "lower left", "lower right"])[np.digitize(views["v0"][:, 0], (-0.5, 0.3, 1.0))]
    made = {"v0": pd.DataFrame(-2e9 + 1e9 * views["v0"], columns=["a_long_name_of_a_cost_in_euro", "b", "c"])}
    made["v1"] = pd.DataFrame({"site": [f"carcinoma_of_the_{side}_lobe_of_the_lung" for side in sides], "x": views["v1"][:, 0]})
    has[:5, 0], has[5:9, 1] = False, False
    return made, has, "infer"


CASES = [
    long_levels,
    one_column,
    only_categories,
    three_rows,
    no_pairs,
    twelve_views,
    strange_names,
    constant_columns,
    one_view,
    many_columns,
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of every case its content and its page; of a model file of release 0.1.0 too."""
    folder, made = tmp_path_factory.mktemp("hard"), {}
    for case in CASES:
        views, has, likelihood = case()
        model = JPVAE(2, likelihood=likelihood, prior="independent" if len(views) == 1 else "canonical", **TINY)
        made[case.__name__] = (model.fit(views, has), views, has)
    views, has = three_views(40, 2)
    made["older_model"] = (JPVAE.load(OLD, backend="numpy"), dict(zip(("rna", "protein", "clinic"), views, strict=True)), has)
    found = {}
    for name, (model, views, has) in made.items():
        shown = content(name, model, views, has, ids=None, made=provenance("jpvae report", model, []), most_subjects=4)
        path = folder / f"{name}.html"
        path.write_text(render(shown), encoding="utf-8")
        found[name] = (shown, path)
    return found


def data_of(path):
    """What the page's script reads; a number that JSON lacks would not pass."""
    text = path.read_text(encoding="utf-8")

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1], parse_constant=refuse)


def test_every_page_opens(pages):
    """Without a complaint, no wider than a phone; every figure drawn; however many columns, 20 at a time."""
    with chromium() as browser, tab(browser, 390) as (shown, said):  # one: it compiles the charts' library once
        for name, (_, path) in pages.items():
            show(shown, path)
            assert said == [], name
            assert shown.evaluate("document.documentElement.scrollWidth") == 390, name
            assert shown.evaluate("document.body.dataset.error") is None, name
            rows = "#column-table tbody tr"
            assert shown.locator(rows).count() == min(20, len(data_of(path)["columns"])), name
            if name == "many_columns":
                first = shown.locator(rows).first.inner_text()
                shown.click("#column-after")
                assert (shown.locator(rows).count(), shown.locator(rows).first.inner_text() == first) == (20, False)


def test_no_text_of_a_chart_is_cut_on_a_phone(pages):
    """Long levels are told apart, with their whole names in what a pointer shows; ticks of many digits are short."""
    cut = """() => [...document.querySelectorAll("svg.marks text")].filter((text) => {
        const [own, all] = [text, text.closest("svg")].map((one) => one.getBoundingClientRect());
        return own.width && (own.left < all.left - 1 || own.right > all.right + 1 || text.textContent.endsWith("…"));
    }).map((text) => text.textContent)"""
    with chromium() as browser, opened(browser, pages["long_levels"][1], 390) as (shown, said):
        for button in shown.locator("#column-table .pick").all():
            with_name = button.inner_text()
            button.click()
            shown.wait_for_function(f"document.querySelector('#column-chart svg')?.ariaLabel?.startsWith('{with_name}')")
            assert shown.evaluate(cut) == [], with_name
            if with_name.startswith("a_long"):  # of minus some milliards
                assert any("e+9" in label for label in shown.locator("#column-chart svg text").all_text_contents())
            if with_name == "site":
                labels = shown.locator("#column-chart svg .role-axis-label text").all_text_contents()
                levels = [label for label in labels if "%" not in label]
                assert levels == [f"{k}: carcino…he_lung" for k in range(1, 5)]
        for option in shown.locator("#colour option").all_inner_texts():
            shown.evaluate("document.getElementById('map-chart').view = null")
            shown.select_option("#colour", label=option)
            shown.wait_for_function("document.getElementById('map-chart').view")
            assert shown.evaluate(cut) == [], option
        assert said == []


def test_no_page_has_a_number_that_is_not_one(pages):
    for name, (_, path) in pages.items():
        text = path.read_text(encoding="utf-8").partition('<section id="made"')[0]  # where "nan" is an option's word
        assert not re.search(r"\b(nan|NaN|inf|None)\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)), name
        assert data_of(path)["columns"], name


def test_names_stand_as_they_are(pages):
    found = data_of(pages["strange_names"][1])
    assert found["views"] == [STRANGE[2], STRANGE[1]]
    assert [column[1] for column in found["columns"]][: len(STRANGE)] == STRANGE


def test_what_cannot_be_known_is_not_claimed(pages):
    """No model here was tested; and where no subject has two views, or five, there is no number either."""
    grades = {name: {verdict.grade for verdict in shown.verdicts} for name, (shown, _) in pages.items()}
    assert set(map(tuple, grades.values())) == {("unknown",)}
    for name in ("no_pairs", "three_rows"):
        shown = pages[name][0]
        assert np.isnan(shown.cross.together).all()
        assert all("too few for a conclusion" in verdict.text for verdict in shown.verdicts)
        assert any(caution.title == "Views that hardly meet" for caution in shown.cautions)
    texts = {name: path.read_text(encoding="utf-8") for name, (_, path) in pages.items()}
    assert {name for name, text in texts.items() if "No rows were left out of this training" in text} == pages.keys() - {
        "older_model"
    }
    assert all("do not vary" in v.text for v in pages["constant_columns"][0].verdicts if v.view == "v1")


def test_tables_without_rows_to_test_on_still_have_a_page(tmp_path, monkeypatch, capsys):
    """The page gives the reason; and a view of few rows is tested on those that there are."""
    monkeypatch.chdir(tmp_path)
    for case in (no_pairs, three_rows):
        views, has, _ = case()
        for j, (name, table) in enumerate(views.items()):
            frame = pd.DataFrame(table, columns=[f"{name}_{k}" for k in range(table.shape[1])])
            frame.insert(0, "who", [f"p{k}" for k in range(len(frame))])
            frame[has[:, j]].to_csv(f"{name}.csv", index=False)
        given = ["--view", "v0=v0.csv", "--view", "v1=v1.csv"]
        options = ["--latent-dims", "2", "--hidden", "4", "--steps", "4", "--backend", "numpy"]
        code, _, err = invoke(
            monkeypatch, capsys, "fit", *given, "--id", "who", "--out", f"{case.__name__}.safetensors", *options
        )
        assert code == 0, err
        code, _, err = invoke(
            monkeypatch, capsys, "report", f"{case.__name__}.safetensors", *given, "--out", "r.html", "--method", "ridge"
        )
        assert code == 0, err
        text = Path("r.html").read_text(encoding="utf-8")
        assert text.count("have this view and another one: too few for a conclusion") == 2
        tested = case is three_rows  # one of whose three rows is held out
        assert ("This model has not been tested." in text) is not tested
        assert ("Could not be tested" in text) is not tested
        assert ("none of the 8 held-out rows has view" in text) is not tested
