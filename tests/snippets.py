"""The code blocks of the README and of the site's pages: where they are, what they need, and how they run."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BUILT = ROOT / "docs" / "_build"
"""Where the site is built by hand; its pages are copies."""

_HEADING = re.compile(r"(#+) ")
_FENCE = re.compile(r"```(\w*|\{[\w-]+\}.*)$")
_INSTALL = re.compile(r"""`pip install ("?\.[^`]*)`""")
"""An installation from the checkout; `pip install "bing-llm[...]"` needs a release."""
_MARK = re.compile(r"<!-- test: (.+) -->$")
"""What a page says about the next block, which neither the site nor a repository's page shows."""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: The number of the line before the code.
        language: What the fence says; `{...}` for a directive of the site's generator.
        code: The code.
        install: What to pass to `pip install` in the checkout before the block can run. The nearest
            `pip install ...` above the block counts, in its own section or in one that encloses it. Empty if there
            is none.
        mark: What `<!-- test: MARK -->` on the line above the fence says; "" if there is none. `workiq` and `a2a`
            name the service that answers, `cluster` runs with that marker, `types only; REASON` is checked by mypy
            alone, and `not run; REASON` is not checked.
    """

    line: int
    language: str
    code: str
    install: str
    mark: str = ""


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    named: dict[int, str] = {}  # by the level of the heading
    level = 0
    mark = ""
    fence: tuple[int, str] | None = None
    code: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if fence:
            if line.rstrip() == "```":
                install = named[max(named)] if named else ""
                found.append(Block(*fence, "".join(code), install, mark))
                fence, code, mark = None, [], ""
            else:
                code.append(line)
        elif opened := _FENCE.match(line):
            fence = number, opened[1]
        elif marked := _MARK.match(line):
            mark = marked[1]
        elif heading := _HEADING.match(line):
            level = len(heading[1])
            named = {above: install for above, install in named.items() if above < level}
        elif installs := _INSTALL.findall(line):
            named[level] = installs[-1]
    return found


def pages() -> dict[str, list[Block]]:
    """The README and each page of the site, by its path in the checkout, with its blocks."""
    paths = [README, *sorted(path for path in (ROOT / "docs").rglob("*.md") if BUILT not in path.parents)]
    return {path.relative_to(ROOT).as_posix(): blocks_of(path.read_text(encoding="utf-8")) for path in paths}


def install_of_example(script: Path) -> str:
    """What the docstring of an example says to `pip install` in the checkout. If it says nothing, the package alone."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return next(iter(_INSTALL.findall(docstring)), ".")


def compiled(page: Path, line: int, code: str) -> CodeType:
    """The block as a program that may await outside functions and whose traceback shows the page's line."""
    padded = "\n" * line + code
    block: CodeType = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return block


def run(code: CodeType, **fixtures: Any) -> int:
    """Run a block as a reader would, in a namespace of its own; then the tests that it defines, as pytest would.

    Returns:
        How many tests it defines.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outcome = eval(code, namespace)  # noqa: S307 - our own pages
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    for test in tests:
        test(**{fixture: fixtures[fixture] for fixture in inspect.signature(test).parameters})
    return len(tests)
