"""Every block of code in every page is executed, in its page's order, with shorter trainings and fewer rivals; or has a reason.

A block is fenced, or indented and begins with a program. Names that a page's reader has already stand in PRELUDES.
"""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from commands import invoke

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ["README.md", "docs/start.md", "docs/integrate.md", *(f"docs/guides/{p.name}" for p in (DOCS / "guides").glob("*.md"))]
TRANSCRIPT = "docs/tables.md"  # its commands run in test_the_transcript_runs
FENCED = re.compile(r"^```([\w{}-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^ {4}((?:jpvae|python|pip|make|bash|pytest) .*)$", re.MULTILINE)
DIRECTIVES = {"{toctree}", "{math}", "{eval-rst}", "{commands}"}  # for Sphinx: make docs
ELSEWHERE = {  # page, how the block begins -> where it is executed instead
    ("CONTRIBUTING.md", "class Laplace(Likelihood):"): "test_likelihoods.py and test_own_likelihoods.py",
    ("CONTRIBUTING.md", "[project.entry-points"): "no program: test_own_likelihoods.py has such an entry point",
    ("docs/start.md", "pip install"): "test_the_extras_exist here; .ci/run installs the wheel",
    ("README.md", "pip install"): "test_the_extras_exist here; .ci/run installs the wheel",
    ("README.md", "make "): ".ci/run",
    ("CONTRIBUTING.md", "make "): ".ci/run, or hours",
    ("CONTRIBUTING.md", "bash .ci/run"): "CI itself",
    ("docs/error-analysis.md", "pytest "): "make test",
    ("docs/reproduction.md", "jpvae reproduce"): "hours; test_reproduce.py runs it small",
    ("docs/six-views.md", "python examples/"): ".ci/run",
    ("docs/scale.md", "jpvae impute"): "test_partitions.py",
    ("docs/scale.md", "jpvae fit"): "test_out_of_core.py",
    ("docs/scale.md", "from jpvae import Filler"): "test_partitions.py; Spark and Ray are not installed",
    ("docs/scale.md", "torchrun "): "test_processes.py starts the same processes",
    ("docs/scale.md", "#!/bin/bash"): "a cluster's",
    **{
        (f"docs/{page}.md", "python benchmarks/"): "hours of measuring; its --check, or a test, holds the page"
        for page in ("accuracy", "multiple-imputation", "quadrants", "real-tables", "six-views")
    },
}
PRELUDES = {  # before the block of a page that begins so
    ("README.md", "import jpvae_core"): """
import numpy as np, pandas as pd, torch
rng = np.random.default_rng(0)
n, skew = 3, torch.nn.Parameter(torch.zeros(3))
mu1, mu2 = torch.randn(2, 5, n)
logvar1, logvar2 = -torch.rand(2, 5, n)
noise = torch.randn(5, 2 * n)
mask = torch.tensor([True, False])
hidden = rng.standard_normal((60, 2))
scan, genes, clinic = (pd.DataFrame(hidden @ rng.standard_normal((2, c))).rename(columns="x{}".format) for c in (3, 4, 2))
for name, table in (("rna", genes), ("protein", scan), ("new", genes[:9])):
    table = table.assign(subject=[f"s{k}" for k in range(len(table))])
    table.to_csv(f"{name}.csv", index=False) if name != "protein" else table[:50].to_parquet("protein.parquet")
""",
    ("README.md", "from jpvae import JPVAE"): "mask = np.ones((60, 3), dtype=bool)",
    ("README.md", "masks = jc.subsets"): "noise, log_probs = torch.randn(3, 5, 5 * n), [torch.randn(3, 5)] * 2",
}


def blocks(page):
    """(language, text), a language of "" for what is indented, in the page's order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blank = FENCED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    fenced = [(found.start(), found[1], found[2]) for found in FENCED.finditer(text)]
    indented = [(found.start(), "", found[1] + "\n") for found in PROGRAM.finditer(blank)]
    return [(language, block) for _, language, block in sorted(fenced + indented)]


def elsewhere(page, text):
    return any(page == where and text.startswith(begins) for where, begins in ELSEWHERE)


def every_page():
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in pages if "_build" not in path.parts)


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A folder to run in, short trainings, two rivals."""
    monkeypatch.chdir(tmp_path)
    for name, few in (("_PASSES", 1.0), ("_PASSES_OF_FEW", 1.0), ("_FEWEST_STEPS", 20.0)):
        monkeypatch.setattr(f"jpvae.planning.{name}", few)
    monkeypatch.setattr("jpvae.tables.evaluation.USUAL", ("column means", "ridge"))
    return tmp_path


@pytest.mark.parametrize("page", sorted(PAGES))
@pytest.mark.usefixtures("short")
def test_the_code_runs(page, monkeypatch, capsys):
    names = {"__name__": "__main__"}
    ran = 0
    with mpl.rc_context({"backend": "Agg"}):
        for language, text in blocks(page):
            if elsewhere(page, text):
                continue
            exec(
                "\n".join(lines for (where, begins), lines in PRELUDES.items() if page == where and text.startswith(begins)),
                names,
            )
            if language == "python":
                exec(compile(re.sub(r"\bsteps=\d+", "steps=20", text), page, "exec"), names)
                ran += 1
                continue
            assert language in ("console", "")
            for line in text.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                assert program == "jpvae"
                assert invoke(monkeypatch, capsys, *arguments)[0] == 0, line
                ran += 1
    assert ran


def test_no_block_is_left_out():
    found = {(page, language, text) for page in every_page() for language, text in blocks(page)}
    left = {
        (page, text.splitlines()[0])
        for page, language, text in found
        if page not in [*PAGES, TRANSCRIPT] and language not in DIRECTIVES and not elsewhere(page, text)
    }
    assert left == set()
    used = {
        (where, begins) for where, begins in ELSEWHERE for page, _, text in found if page == where and text.startswith(begins)
    }
    assert used == set(ELSEWHERE)


def test_the_extras_exist():
    """What a page installs is an extra of pyproject.toml."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in every_page()]
    extras = {name for text in texts for found in re.findall(r"'jpvae\[([\w,-]+)\]'", text) for name in found.split(",")}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert extras
    assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extras)


def test_the_transcript_runs(short, monkeypatch, capsys):
    """Every command of docs/tables.md, in short trainings, with the exit code that it has there."""
    spec = importlib.util.spec_from_file_location("transcript", DOCS / "tables.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make_tables(short)
    for name in ("top.csv", "sites.csv", "new_top.csv", "renamed.csv", "eleven.csv"):  # fewer subjects: the first of each
        (short / name).write_text("".join((short / name).read_text().splitlines(keepends=True)[:150]))
    pd.read_parquet(short / "middle.parquet")[:150].to_parquet(short / "middle.parquet", index=False)
    pd.read_excel(short / "bottom.xlsx")[:150].to_excel(short / "bottom.xlsx", index=False)
    shown = (ROOT / TRANSCRIPT).read_text(encoding="utf-8")
    for _, _, command in script.STEPS:
        start = shown.index(f"```console\n$ {command}\n")
        code = re.search(r"\[exit code (\d+)\]\n```", shown[start : shown.index("\n```\n", start) + 5])
        program, *arguments = shlex.split(re.sub(r"--steps \d+", "--steps 20", command.replace("\\\n", " ")))
        if program == "jpvae":
            found = invoke(monkeypatch, capsys, *arguments, columns=100)[0]
        else:
            done = subprocess.run(["bash", "-c", command], cwd=short, capture_output=True, text=True, check=True)
            found = 0 if done.stdout else 1
        assert found == (int(code[1]) if code else 0), command
    assert shown.count("```console") == len(script.STEPS)
