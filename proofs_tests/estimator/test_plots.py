"""``model.plot`` draws what the records say, and a notebook's view of the estimator shows its state, names escaped."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.base import clone

from jpvae import JPVAE
from jpvae.errors import ConfigError, NotFitted
from jpvae.figures import axes, notebook
from jpvae.figures.calibration import LEVELS, Calibration
from jpvae.figures.distributions import Column
from jpvae.report import page

EVIL = "<b onclick='x'>$\\frac$</b>"


@pytest.fixture(autouse=True)
def _closed_figures():
    with mpl.rc_context({"backend": "Agg"}):
        yield
        plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(2)
    u, has = rng.standard_normal((80, 2)), rng.random((80, 2)) < 0.7
    has[~has.any(axis=1), 0] = True
    rna = pd.DataFrame(u @ rng.standard_normal((2, 3)), columns=[EVIL, "g2", "g3"])
    clinic = pd.DataFrame({"sex": np.where(u[:, 0] > 0, "f", EVIL), "age": 50 + 10 * u[:, 1]})
    views = {"rna": rna, "clinic": clinic}
    model = JPVAE(2, likelihood="infer", hidden=(8,), steps=60, backend="numpy", progress=False, early_stopping=True)
    return model.fit(views, has), views, has


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = Counter(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert {name for name, _ in attrs} <= {"style"}
        self.tags[tag] += 1

    def handle_data(self, data):
        self.text += data + " "


def test_a_notebook_shows_the_state(fitted):
    model, _, has = fitted
    shown = Tags(model._repr_html_())
    assert set(shown.tags) == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert shown.tags["b"] == 1  # ours
    assert "categorical (1), gaussian (1)" in shown.text
    named = JPVAE(likelihood={EVIL: "gaussian"})
    assert EVIL.replace("\\", "\\\\") in Tags(named._repr_html_()).text
    assert f"Fitted: {model.n_iter_} steps, seed 0" in shown.text
    assert "steps=60" in shown.text
    assert "alpha" not in shown.text  # as it is by default
    for pattern, rows in Counter(map(tuple, has.tolist())).items():
        marks = " ".join("●" if seen else "○" for seen in pattern)
        assert f"{marks} {rows} {100 * rows / 80:.1f} %" in shown.text
    assert model._repr_mimebundle_() == {"text/plain": repr(model), "text/html": model._repr_html_()}
    assert "Not fitted" in clone(model)._repr_html_()
    assert "alpha=0.5" in JPVAE(alpha=0.5)._repr_html_()


def test_the_patterns_come_back_from_a_file(fitted, tmp_path):
    model, _, has = fitted
    model.save(tmp_path / "m.safetensors")
    found = JPVAE.load(tmp_path / "m.safetensors")
    assert found.report_ == model.report_
    assert dict(found.report_.patterns) == Counter(map(tuple, has.tolist()))
    ours, theirs = (one._repr_html_().partition("Fitted: ")[2] for one in (model, found))  # progress is no part of a file
    assert ours == theirs != ""


def test_rare_patterns_are_summed():
    table = notebook._patterns(("a", "b"), [((True, False), 3)] * 20, 70)
    assert "46" in Tags(table).text  # 70 less 8 of 3


def test_each_figure_is_an_axis_with_what_it_shows(fitted):
    model, views, has = fitted
    plot = model.plot
    axis = plot.patterns()
    assert sorted(round(bar.get_width(), 6) for bar in axis.patches)[-1] == 4.0  # the most frequent one
    assert {t.get_text() for t in axis.texts} == {str(n) for n in Counter(map(tuple, has.tolist())).values()}
    axis = plot.training()
    assert axis.lines[0].get_ydata().tolist() == [record["loss"] for record in model.history_]
    assert len(axis.lines) == 3  # held-out rows, and the best
    axis = plot.cross_view(views, has)
    assert [t.get_text() for t in axis.get_yticklabels()] == ["rna alone", "clinic alone", "all others"]
    assert len(axis.texts) == 4
    assert [line.get_label() for line in plot.calibration(views, has).lines[1:]] == ["rna", "clinic"]
    nothing = Calibration(("rna",), LEVELS, np.full((1, len(LEVELS)), np.nan), np.zeros(1, dtype=int))
    axis = axes.draw_calibration(nothing, plt.subplots()[1])
    assert [t.get_text() for t in axis.texts] == ["no hidden numbers to check"]
    assert axis.get_legend() is None
    colours = plot.latents(views, has, colour=("clinic", "age")).collections[1].get_array()
    assert np.asarray(colours) == pytest.approx(views["clinic"]["age"][has[:, 1]].to_numpy())
    bars = plot.distribution(views, has, view="clinic", column="sex").patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(2.0)
    axis = plot.latents(views, has, colour=("clinic", "sex"))
    counts = views["clinic"]["sex"][has[:, 1]].value_counts()
    expected = {"missing": (~has[:, 1]).sum(), **{axes.text(level): n for level, n in counts.items()}}
    assert {drawn.get_label(): len(drawn.get_offsets()) for drawn in axis.collections} == expected
    assert [t.get_text() for t in axis.get_legend().get_texts()] == list(expected)[:1] + sorted(list(expected)[1:])
    assert len(axis.figure.axes) == 1  # no colour bar
    row = int(np.flatnonzero(~has[:, 1])[0])
    axis = plot.subject(views, has, row=row, view="clinic")
    assert [t.get_text() for t in axis.get_yticklabels()] == ["age"]
    assert axis.get_title() == "clinic, missing"
    image = plot.correlations().get_images()[0]
    assert image.get_array().shape == (4, 4)
    style = (Path(page.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")  # its first lines are of light
    for value, name in ((-1.0, "neg"), (0.0, "mid"), (1.0, "pos")):
        colour = mpl.colors.to_rgb(re.search(f"--{name}: (#[0-9a-f]{{6}})", style)[1])
        shown = image.cmap(image.norm(value * image.norm.vmax))[:3]
        assert shown == pytest.approx(colour, abs=0.01)  # 256 colours: the middle one is half a step off


def test_long_levels_are_told_apart():
    long = [f"carcinoma_of_the_upper_{side}_lobe_of_the_lung" for side in ("left", "right")]
    names = axes.shortened(
        [*long, "short", "x" * 24, "y" * 25, "carcinoma_A_with_a_long_name", "carcinoma_B_with_a_long_name"], 24
    )
    assert names[:4] == ["1: carcinoma_o…of_the_lung", "2: carcinoma_o…of_the_lung", "short", "x" * 24]
    assert names[4] == "y" * 11 + "…" + "y" * 11
    assert names[5:] == ["carcinoma_A…a_long_name", "carcinoma_B…a_long_name"]
    column = Column("a", "dx", tuple(long), 0.0, 1.0, (0.5, 0.5), (0.2, 0.8), (9, 9), (0.0, 0.0), (0.0, 0.0), 0.0)
    axis = axes.draw_distribution(column, axes.new_axis(None))
    axis.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert not boxes[0].overlaps(boxes[1])
    assert all(box.x0 >= 0 for box in boxes)


def test_names_are_text_and_an_axis_can_be_given(fitted):
    model, views, has = fitted
    figure, axis = plt.subplots()
    assert model.plot.distribution(views, has, view="rna", column=EVIL, ax=axis) is axis
    figure.canvas.draw()  # a formula that matplotlib cannot read would be an error here
    assert axis.get_xlabel() == EVIL.replace("$", r"\$")


def test_what_cannot_be_drawn_is_said(fitted):
    model, views, has = fitted
    with pytest.raises(NotFitted):
        _ = JPVAE().plot
    with pytest.raises(ConfigError, match="view is 'lab'; expected one of"):
        model.plot.distribution(views, has, view="lab", column="age")
    with pytest.raises(ConfigError, match="column is 'x'; expected one of view 'rna'"):
        model.plot.latents(views, has, colour=("rna", "x"))
    with pytest.raises(ConfigError, match="row is 80; expected the position of a row, from 0 to 79"):
        model.plot.subject(views, has, row=80, view="rna")
