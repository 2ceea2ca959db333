"""Links between the repository's own pages lead somewhere; those that leave it are few, and `make links` follows them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)|href=\"([^\"]+)\"")
OUTSIDE = {  # what each should be
    "https://arxiv.org/abs/2411.03097": "the paper, as CITATION.cff has it",
    "https://semver.org": "in CHANGELOG.md",
    "https://distributed.dask.org": "in scale.md, the documentation of the scheduler",
}


def links():
    pages = [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
    for page in sorted(pages):
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        yield from ((page, "".join(found)) for found in LINK.findall(text))


def test_links_lead_somewhere():
    for page, target in links():
        if target.startswith("http"):
            assert target in OUTSIDE, f"{page.name}: {target}"
            continue
        path = target.partition("#")[0]
        assert not path or (page.parent / path).exists(), f"{page.name}: {target}"


def test_the_paper_is_the_one_cited():
    identifier = re.search(r"arxiv\.org/abs/(\d{4}\.\d{5})", " ".join(OUTSIDE))[1]
    assert identifier in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"https://arxiv.org/abs/{identifier}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
