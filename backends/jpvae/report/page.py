"""The page: one HTML file with everything in it, which needs no network and runs no script but its own two.

Names of views, columns, levels and subjects come from files that nobody vouches for. They reach the page in two ways only:
through Jinja2 with autoescape, and as JSON in which <, > and & are escaped; page.js puts them there as text, never as HTML. A
content security policy allows the two scripts by their checksums and forbids every connection, so that a mistake in all this
would still run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from ..atomic import write_atomically
from ..errors import MissingDependency
from .browser import browser_data
from .content import Content
from .encoding import percent

HERE = Path(__file__).parent / "templates"


def write(content: Content, path: Path) -> None:
    """Write the page, whole or not at all. Raises MissingDependency, and CheckpointError where it cannot be written."""
    write_atomically(path, render(content).encode("utf-8", "backslashreplace"))


def check_installed() -> None:
    """Raise MissingDependency where what a page needs is not installed: better before the work than after it."""
    try:
        import jinja2
        import vl_convert  # noqa: F401

        assert jinja2
    except ModuleNotFoundError as error:
        raise MissingDependency(f"a report needs {error.name}: pip install 'jpvae[report]'") from error


def render(content: Content) -> str:
    """The page as text. Raises MissingDependency."""
    check_installed()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "fixed": fixed, "percent": percent, "size": size, "breakable": breakable}
    library, script = _library(), (HERE / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        content=content,
        data=browser_data(content),
        library=library,
        script=script,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        hashes=[_hash(library), _hash(script)],
    )


@cache
def _library() -> str:
    """Vega, Vega-Lite and vega-embed in one script, as vl-convert bundles them."""
    import vl_convert

    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    assert "</script" not in bundle.lower()
    return bundle


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def number(value: Any, digits: int = 3) -> str:
    """A number for people: thousands apart, few digits; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}g}"


def fixed(value: float) -> str:
    """A number to two decimals, without a minus before zeros; a dash for none."""
    return "–" if math.isnan(value) else f"{value:z.2f}".replace("-", "\u2212")


def breakable(text: str) -> Any:
    """A name that a narrow table may break after its signs, rather than in a word."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.split(r"(?<=[-._/\\])", text))


def size(count: int) -> str:
    """Bytes for people."""
    number: float = count
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"
