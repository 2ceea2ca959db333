"""Docstrings whose formulas are set by hand, as Sphinx can read them.

A docstring without numpydoc sections: its paragraphs as text in which no sign but ``code`` has a meaning, what is aligned by
spaces as it stands. In one with sections, indented lines before the first section are formulas, which stay as they are, and |x|
is an absolute value, not a substitution of reStructuredText.
"""

import re

from sphinx.util.typing import ExtensionMetadata

SECTION = re.compile(r"-{3,}$")
CODE = re.compile(r"(``.*?``)", re.DOTALL)
SIGNS = re.compile(r"([\\*`|_<>])")
plain = {}  # the docstrings without sections, by name: numpydoc takes their indentation away


def readable(app, what, name, obj, options, lines):
    """Change a docstring's lines in place, before numpydoc."""
    first = next((k for k, line in enumerate(lines) if SECTION.match(line)), None)
    if what == "module" or first is None:
        plain[name] = list(lines)
        return
    made = []
    for k, line in enumerate(lines):
        formula = k < first and line.startswith("    ")
        inside = bool(made) and made[-1].startswith("    ")
        if formula and not inside:
            made += ["", "::", ""]
        elif line and k < first and not formula and inside:
            made.append("")
        made.append(line if formula or line.lstrip().startswith((">>>", "...")) else escaped(line, re.compile(r"(\|)")))
    lines[:] = made


def as_it_stands(app, what, name, obj, options, lines):
    """Set anew, after numpydoc, a docstring without sections."""
    found = plain.pop(name, [])
    if what == "module" or not any(found):
        return
    made = []
    for paragraph in "\n".join(found).strip("\n").split("\n\n"):
        inner = paragraph.split("\n")
        if any(line.startswith(" ") or re.search(r"\S {2,}\S", line) for line in inner):
            made += [".. code-block:: text", "", *(f"   {line}" for line in inner), ""]
        else:
            made += [*escaped(paragraph, SIGNS).split("\n"), ""]
    lines[:] = made


def escaped(text, signs):
    """The text with these signs escaped outside ``code``."""
    return "".join(part if k % 2 else signs.sub(r"\\\1", part) for k, part in enumerate(CODE.split(text)))


def without_words(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples, of which Python says no more than their numbers; the class describes them."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app) -> ExtensionMetadata:
    """For Sphinx."""
    app.connect("autodoc-skip-member", without_words)
    app.connect("autodoc-process-docstring", readable, priority=100)
    app.connect("autodoc-process-docstring", as_it_stands, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
