"""Formulas as MathML, which browsers draw themselves: no script, no network. docutils has the converter."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.typing import ExtensionMetadata


def inline(translator, node):
    """A formula in a line."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block(translator, node):
    """A displayed formula."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app) -> ExtensionMetadata:
    """For Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
