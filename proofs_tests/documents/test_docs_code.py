"""Every code block of the pages written by hand runs, in its page's order, with shorter trainings and fewer rivals."""

import re
import shlex
from pathlib import Path

import matplotlib as mpl
import pytest
from commands import invoke

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["start.md", "integrate.md", *(f"guides/{path.name}" for path in sorted((DOCS / "guides").glob("*.md")))]
BLOCK = re.compile(r"^```([\w{}-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ["pip install 'jpvae[report]'\n"]  # what is not run


def blocks(page):
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_the_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jpvae.planning._PASSES", 1.0)
    monkeypatch.setattr("jpvae.planning._FEWEST_STEPS", 20)
    monkeypatch.setattr("jpvae.tables.evaluation.USUAL", ("column means", "ridge"))
    names = {"__name__": "__main__"}
    ran = 0
    with mpl.rc_context({"backend": "Agg"}):
        for language, text in blocks(page):
            if language == "python":
                exec(compile(text, page, "exec"), names)
                ran += 1
            elif language == "console":
                for line in text.splitlines():
                    prompt, command, *arguments = shlex.split(line)
                    assert (prompt, command) == ("$", "jpvae")
                    assert invoke(monkeypatch, capsys, *arguments)[0] == 0, line
                    ran += 1
            else:
                assert language == "shell"
                assert text in SHELL
    assert ran


@pytest.mark.parametrize("page", ["index.md", "faq.md", "how-it-works.md"])
def test_pages_without_code_have_none(page):
    assert {language for language, _ in blocks(page)} <= {"{toctree}", "{math}"}
