"""`jpvae report` and --report: what is on the page, that names from files run nothing, and the page in a headless Chromium."""

import functools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import vl_convert
from browser import chromium, show, tab
from commands import invoke
from table_files import mixed_tables, write

from jpvae.figures import calibration
from jpvae.figures.training import training
from jpvae.report import page
from jpvae.report.charts import training_chart
from jpvae.report.encoding import ALPHABET, MISSING, digits, steps
from jpvae.report.rivals import rivals
from jpvae.tables import scoring

EVIL = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "`${alert(3)}`", "datum['x'] & \"q\""]
VIEWS = ["--view", "a=a.csv", "--view", "b=b.csv", "--view", "c=c.csv"]
FIT = ["--latent-dims", "2", "--hidden", "8", "--steps", "40", "--backend", "numpy", "--entries", "marginalise"]


@pytest.fixture
def command(monkeypatch, capsys):
    return functools.partial(invoke, monkeypatch, capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three tables whose columns, levels and ids are made to break a page, a model of them, and its report."""
    path = tmp_path_factory.mktemp("report")
    tables = mixed_tables(1, 110)
    tables["a"] = tables["a"].rename(columns={"age": EVIL[0], "bmi": EVIL[1]})
    tables["b"] = tables["b"].rename(columns={"score": EVIL[3]})
    tables["c"]["stage"] = tables["c"]["stage"].replace({"II": EVIL[0], "III": EVIL[1]})
    for name, table in tables.items():
        table["who"] = table["who"].replace({"p003": EVIL[1], "p005": EVIL[0]})
        write(path / f"{name}.csv", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        run(patch, ["fit", *VIEWS, "--id", "who", "--out", "m.safetensors", *FIT, "--early-stopping", "0.2", "--json"])
        run(patch, ["report", "m.safetensors", *VIEWS, "--out", "r.html", "--method", "ridge", "--json"])
    return path


def run(patch, arguments):
    from jpvae.commands import main as cli

    patch.setattr("sys.argv", ["jpvae", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert not ended.value.code


class Parsed(HTMLParser):
    """The tags with their attributes, ids, and the text of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data


def test_the_page_is_one_file_whose_scripts_are_its_own(folder):
    text = (folder / "r.html").read_text(encoding="utf-8")
    parsed = Parsed(text)
    assert len(parsed.scripts) == 3
    assert [page._hash(script) in text for script in parsed.scripts] == [False, True, True]  # the first one is data
    for tag, attributes in parsed.tags:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
        assert "src" not in attributes
    policy = next(a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert len(text) < 1_500_000
    data = json.loads(parsed.scripts[0])
    assert {column[1] for column in data["columns"]} >= {EVIL[0], EVIL[1], EVIL[3]}
    assert {subject["id"] for subject in data["subjects"]} | set(data["map"]["ids"]) >= {EVIL[0], EVIL[1]}


def test_every_reference_is_to_something_on_the_page(folder):
    parsed = Parsed((folder / "r.html").read_text(encoding="utf-8"))
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.tags:
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name, ids[0]) in ids
        assert attributes.get("href", "#")[1:] in ["", *ids]
        if tag in ("figure", "section", "nav") or attributes.get("role") == "region":
            assert attributes.keys() & {"aria-label", "aria-labelledby"}
    headings = [tag for tag, _ in parsed.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1


def test_the_charts_are_vega_lite(folder):
    """What the library compiles without a complaint (an unknown property or a missing field would be one)."""
    data = json.loads(Parsed((folder / "r.html").read_text(encoding="utf-8")).scripts[0])
    assert set(data["charts"]) == {"training", "calibration", "rivals", "correlations"}
    for spec in [*data["charts"].values(), *data["templates"].values()]:
        compiled = vl_convert.vegalite_to_vega({**spec, "width": 300}, vl_version="6.4")
        assert compiled["marks"]
        assert not any(evil in str(compiled.get("signals")) for evil in EVIL)


def test_what_the_page_shows_is_what_was_computed(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = json.loads(Parsed((folder / "r.html").read_text(encoding="utf-8")).scripts[0])
    evaluate = ("evaluate", "m.safetensors", *VIEWS, "--method", "ridge", "--json")
    _, out, _ = command(*evaluate, "--report", "e.html", "--figure", "e.svg")
    assert "subjects that the model had not seen" in (folder / "e.html").read_text(encoding="utf-8")
    drawn = re.findall(r"<!-- ([abc]) -->", (folder / "e.svg").read_text(encoding="utf-8"))  # texts of the legend
    assert drawn == list(dict.fromkeys(p["view"] for p in data["charts"]["calibration"]["layer"][1]["data"]["values"]))
    assert drawn
    found = json.loads(out)
    for point in data["charts"]["rivals"]["data"]["values"]:
        assert point["error"] == pytest.approx(found["views"][point["view"]]["error"][point["method"]], rel=1e-3)
    text = (folder / "r.html").read_text(encoding="utf-8")
    assert f"hidden and filled by every method, all trained on the same {found['rows']['train']} others" in text
    assert "jpvae report m.safetensors --view a=a.csv" in text
    assert f"between {scoring.DRAWS} draws, as for all methods, there between {calibration.DRAWS} others" in text
    assert "The dashed line is the loss on rows that no step was trained on" in text
    assert "jpvae fit --view a=a.csv --view b=b.csv --view c=c.csv --id who --out m.safetensors --latent-dims 2" in text
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in "abc"}
    everyone = set().union(*(set(t["who"]) for t in tables.values()))
    assert f"{len(everyone)} subjects in 3 views" in text
    column = next(c for c in data["columns"] if c[1] == "visits")
    assert column[5:7] == [len(tables["b"]), len(everyone) - len(tables["b"])]
    assert column[7] == pytest.approx(tables["b"]["visits"].mean(), rel=1e-3)


def test_every_command_writes_one(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    code, out, _ = command("impute", "m.safetensors", *VIEWS, "--out", "filled", "--report", "impute.html")
    assert (code, "report: impute.html" in out) == (0, True)
    monkeypatch.setattr("jpvae.tables.evaluation.USUAL", ("ridge",))
    code, out, _ = command("fit", *VIEWS, "--id", "who", "--out", "n.safetensors", *FIT, "--steps", "3", "--report", "fit.html")
    assert (code, "report: fit.html" in out) == (0, True)
    texts = {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in ("impute", "r", "fit")}
    tested = {name: "subjects that the model had not seen" in text for name, text in texts.items()}
    assert tested == {"impute": False, "r": True, "fit": True}
    assert all(("Not tested on new subjects" in texts[name]) is not seen for name, seen in tested.items())


@pytest.mark.usefixtures("no_training")
def test_a_place_that_cannot_be_written_is_found_before_the_work(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    code, _, err = command("fit", *VIEWS, "--id", "who", "--out", "x.safetensors", *FIT, "--report", "nowhere/r.html")
    assert code == 2
    assert "create it first" in err


def test_no_subject_is_named_where_none_is_wanted(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert command("report", "m.safetensors", *VIEWS, "--out", "s.html", "--no-evaluation", "--subjects", "0")[0] == 0
    text = (folder / "s.html").read_text(encoding="utf-8")
    assert not re.search(r"\bp\d{3}\b", text)
    assert json.loads(Parsed(text).scripts[0])["subjects"] == []


def test_in_a_browser(folder):
    """On a desktop in the light, on a phone in the dark."""
    with chromium() as browser, tab(browser, 1280) as (shown, said):
        for width, scheme in ((1280, "light"), (390, "dark")):
            shown.set_viewport_size({"width": width, "height": 900})
            shown.emulate_media(color_scheme=scheme)
            show(shown, folder / "r.html")
            uses(shown, width)
            assert said == []


def uses(shown, width):
    """Nothing wider than the screen, every chart drawn and named; and what a reader can do, by keyboard where it matters."""
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    charts = shown.query_selector_all(".chart")
    assert len(charts) >= 7
    for chart in charts:
        svg = chart.query_selector("svg")
        assert svg.get_attribute("role") == "img"
        assert svg.get_attribute("aria-label")
        assert svg.bounding_box()["width"] <= width
    tables_can_be_scrolled(shown, width)
    # search, sort, choose by keyboard alone
    shown.focus("#column-search")
    shown.keyboard.type("img onerror")
    rows = shown.query_selector_all("#column-table tbody tr")
    assert [row.query_selector("button").inner_text() for row in rows] == [EVIL[1]]
    rows[0].query_selector("button").focus()
    shown.keyboard.press("Enter")
    shown.wait_for_function("document.getElementById('column-title').textContent.includes('onerror')")
    assert shown.evaluate("document.activeElement.className") == "pick"
    shown.fill("#column-search", "")
    for order in ("shift", "name", "r2-low"):
        shown.select_option("#column-sort", order)
    assert len(shown.query_selector_all("#column-table tbody tr")) == 9 - 1
    for which in range(len(shown.query_selector_all("#colour option"))):
        shown.select_option("#colour", index=which)
    shown.wait_for_timeout(300)
    for label in (EVIL[0], EVIL[1]):
        if shown.query_selector(f"#subject option:text-is('{label}')"):
            shown.select_option("#subject", label=label)
    shown.wait_for_timeout(300)
    assert shown.query_selector("#subject-views figcaption").inner_text()
    assert shown.evaluate("document.body.dataset.error") is None


def tables_can_be_scrolled(shown, width):
    """A table that is wider than its place has a hint above it; it is moved by keyboard, its first column in sight."""
    wide = []
    for region in shown.query_selector_all(".scroll"):
        sizes = region.evaluate("e => [e.clientWidth, e.scrollWidth]")
        hint = region.evaluate_handle("e => e.parentElement.previousElementSibling").as_element()
        assert hint.is_visible() == (sizes[1] > sizes[0] + 1) == (region.get_attribute("tabindex") == "0")
        if hint.is_visible():
            wide.append(region.get_attribute("aria-label"))
            region.focus()
            shown.keyboard.press("ArrowRight")
            shown.wait_for_function("document.activeElement.scrollLeft > 0")
            before, after = (region.query_selector(f"{part} th").bounding_box()["x"] for part in ("thead", "tbody"))
            assert before == after == region.bounding_box()["x"]
    assert ("Columns" in wide) == (width < 500)


def test_the_training_curve_has_the_held_out_loss():
    records = [
        {"step": 50 * k, "loss": 9.0 - k, "seconds": 1.0} | ({"held_out": 9.5 - k} if k < 3 else {}) for k in range(1, 5)
    ]
    rules = []
    for early_stopping in (True, False):
        drawn = training_chart(training(records, early_stopping=early_stopping))
        points = [(p["step"], p["loss"]) for p in drawn["data"]["values"] if p["rows"] == "held-out rows"]
        assert points == [(50, 8.5), (100, 7.5)]
        rules.append([layer["data"]["values"] for layer in drawn["layer"] if "data" in layer])
    assert rules == [[[{"step": 100}]], []]  # the parameters of the best step are kept by early stopping only


def test_names_break_after_their_signs():
    assert page.breakable("a_b.c-<d>\\e/f") == "a_<wbr>b.<wbr>c-<wbr>&lt;d&gt;\\<wbr>e/<wbr>f"


def test_numbers_as_characters():
    values = np.array([0.0, 1.0, 0.5, np.nan, 7.0, -3.0, 0.26])
    text = steps(values, 0.0, 1.0)
    assert (len(ALPHABET), len(set(ALPHABET))) == (64, 64)
    for x, character in zip(values, text, strict=True):
        if x != x:
            assert character == MISSING
        else:
            assert abs(ALPHABET.index(character) / 63 - min(max(x, 0.0), 1.0)) <= 0.5 / 63 + 1e-12
    assert [digits(x) for x in (float("nan"), 123456.0, -0.00012345)] == [None, 123500.0, -0.0001234]


def test_the_best_of_each_line_is_marked():
    view = {"error": {"JPVAE": 0.5, "ridge": 0.4}, "accuracy": {"JPVAE": 0.9, "ridge": 0.9}, "log_loss": None}
    view["coverage_95"] = {"JPVAE": 0.9, "ridge": 0.99}
    found = rivals({"rows": {"train": 8, "held_out": 2}, "seconds": {"JPVAE": 1.0, "ridge": 2.0}, "views": {"a": view}})
    assert [line.best for line in found.lines] == [(False, True), (True, True), (False, False)]
    assert found.won == (1, 2)
    ((where, who, by),) = found.lost()
    assert (where, who) == ("a", "ridge")
    assert by == pytest.approx(0.2)


def test_two_decimals_have_no_minus_before_zeros():
    found = [page.fixed(value) for value in (-0.004, -0.0, 0.004, -0.4, 12.347, float("nan"))]
    assert found == ["0.00", "0.00", "0.00", "\u22120.40", "12.35", "–"]
