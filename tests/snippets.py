"""The code blocks of a Markdown page, each with the installation that the page names for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

_HEADING = re.compile(r"(#+) ")
_FENCE = re.compile(r"```(\w*)$")
_INSTALL = re.compile(r"""`pip install ("?\.[^`]*)`""")
"""An installation from the checkout; `pip install "bing-llm[...]"` needs a release."""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: The number of the line before the code.
        language: What the fence says.
        code: The code.
        install: What to pass to `pip install` in the checkout before the block can run. The nearest
            `pip install ...` above the block counts, in its own section or in one that encloses it. Empty if there
            is none.
    """

    line: int
    language: str
    code: str
    install: str


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    named: dict[int, str] = {}  # by the level of the heading
    level = 0
    fence: tuple[int, str] | None = None
    code: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if fence:
            if line.rstrip() == "```":
                install = named[max(named)] if named else ""
                found.append(Block(*fence, "".join(code), install))
                fence, code = None, []
            else:
                code.append(line)
        elif opened := _FENCE.match(line):
            fence = number, opened[1]
        elif heading := _HEADING.match(line):
            level = len(heading[1])
            named = {above: install for above, install in named.items() if above < level}
        elif installs := _INSTALL.findall(line):
            named[level] = installs[-1]
    return found


def install_of_example(script: Path) -> str:
    """What the docstring of an example says to `pip install` in the checkout. If it says nothing, the package alone."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return next(iter(_INSTALL.findall(docstring)), ".")
