"""The site: `sphinx-build -W docs docs/_build` builds it. It needs no network, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bing_llm import __version__  # noqa: E402 - a checkout's own package
from docs.generated import insert_generated, load_all, place_of  # noqa: E402 - as above

load_all()

project = "bing_llm"
copyright = "bing_llm contributors"  # noqa: A001 - Sphinx names it so
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = ["myst.header"]  # CHANGELOG.md may begin with a lower heading where it is included

default_role = "py:obj"  # docstrings are Markdown: what stands in backticks is code, and a link where it is a name
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

pygments_dark_style = "github-dark"
html_theme = "furo"
html_title = "bing_llm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

_FENCE = re.compile(r"^( *)```(\w+)$")
_PLURAL = re.compile(r"(`[^`]+`)(?=\w)")
"""Code that a letter follows, as in `Reply`s, which reStructuredText takes for an open quotation."""


def docstring_to_rst(_app: Any, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Turn the fenced blocks of a docstring, which is Markdown, into directives of Sphinx."""
    found: list[str] = []
    indent: str | None = None
    for line in lines:
        if indent is not None and line.strip() == "```":
            indent = None
            found.append("")
        elif indent is not None:
            found.append(f"    {line}" if line.strip() else "")
        elif opened := _FENCE.match(line):
            indent = opened[1]
            found += ["", f"{indent}.. code-block:: {opened[2]}", ""]
        else:
            found.append(_PLURAL.sub(r"\1\\ ", line))
    lines[:] = found


def read_source(_app: Any, _name: str, content: list[str]) -> None:
    """Put in what a page takes from the code."""
    content[0] = insert_generated(content[0])


def link_names(app: Any, tree: Any) -> None:
    """Make a link to the reference of each public name that a page has in backticks."""
    for literal in list(tree.findall(nodes.literal)):
        path = place_of(literal.astext())
        if path and not isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=path,
                refdoc=app.env.docname,
                refexplicit=True,
                refwarn=True,
            )
            literal.replace_self(link)
            link += literal


def setup(app: Any) -> None:
    """Register the hooks with Sphinx."""
    app.connect("source-read", read_source)
    app.connect("doctree-read", link_names)
    app.connect("autodoc-process-docstring", docstring_to_rst, priority=400)  # before napoleon
