"""Sphinx settings; `make docs` builds docs/_build/html."""

import re
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "orthontk"
author = "The orthontk developers"
copyright = author
release = metadata.version("orthontk")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"  # drawn by the browser itself: the pages need no network
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of named tuples, which autodoc lists as well

html_theme = "furo"
html_title = "orthontk"
html_static_path = ["_static"]
html_css_files = ["mathml.css"]

# Docstrings are written to be read in a terminal: a single backtick is code there, and a bar is a bar.
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def _as_markup(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = CODE.sub(r"``\1``\\ ", line.replace("|", "\\|"))


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _as_markup, priority=0)  # before napoleon
