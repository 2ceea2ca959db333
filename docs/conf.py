"""The docs site: `make docs` builds it into docs/_build/html, every warning an error."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_sphinx"))

import jpvae  # noqa: E402

project = "JPVAE"
author = "The JPVAE maintainers"
copyright = author
release = version = jpvae.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "mathml",
    "commands",
    "plain_docstrings",
]
exclude_patterns = ["_build", "_sphinx"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_fence_as_directive = {"math"}
suppress_warnings = ["myst.header"]  # some evidence pages begin their parts at the third level

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # in the signatures they are longer than what they say
numpydoc_show_class_members = False
autosummary_generate = False
add_module_names = False

html_theme = "furo"
html_title = "JPVAE"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b63a5", "color-brand-content": "#0b63a5"},
    "dark_css_variables": {"color-brand-primary": "#7cc0f5", "color-brand-content": "#7cc0f5"},
}
pygments_style, pygments_dark_style = "friendly", "monokai"


def setup(app):
    """The example's pages lie beside the site's as they do in the repository: one link is right in both."""

    def add_example(app, error):
        if error is None:
            shutil.copytree(HERE / "example", Path(app.outdir) / "example", dirs_exist_ok=True)

    app.connect("build-finished", add_example)
