"""Markdown from a service: cut into blocks while it comes in, drawn without anything that could steer a terminal."""

from __future__ import annotations

import re
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown as rich_markdown

from bing_llm._escaping import escape
from bing_llm._urls import web_url

__all__ = ["Markdown", "ending", "split_blocks"]

# HTML is shown as the text that it is: a terminal draws none, and rich would leave it out. Pictures are shown as links.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
# What does not lead to a web page stays text; the parser alone would take `ftp:`, `tel:` and pictures in `data:`.
_PARSER.validateLink = lambda url: bool(web_url(url))  # type: ignore[method-assign]
_FENCES = ("```", "~~~")
_CITED = re.compile(r"\[\^(\d{1,6})\^\]")


class Markdown(rich_markdown.Markdown):
    """Markdown for rich, with the service's markers `[^1^]` as `[1]` and each link's URL in sight."""

    def __init__(self, text: str) -> None:
        # The terminal's own colours: they suit its background, dark or light.
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            _make_safe(token)


def _make_safe(token: Token) -> None:
    """Escape after parsing: entities (`&#x202e;`) and the `%1b` of links are characters only now."""
    token.content = escape(token.content)
    token.attrs = {name: escape(value) if isinstance(value, str) else value for name, value in token.attrs.items()}
    if token.type == "text":
        token.content = _CITED.sub(r"[\1]", token.content)
    for child in token.children or ():
        _make_safe(child)


def split_blocks(text: str) -> list[str]:
    """The paragraphs, lists, tables and so on of a text; joined, they are the text.

    Only whole lines begin a block: of one that is still coming in, nobody knows what it will be. So while a text grows,
    all blocks but the last stay as they are.
    """
    lines = text.split("\n")
    whole = "".join(f"{line}\n" for line in lines[:-1])
    starts = [token.map[0] for token in _PARSER.parse(whole) if token.level == 0 and token.map]
    edges = [0, *starts[1:], len(lines)]
    blocks = ["\n".join([*lines[begin:end], ""]) for begin, end in pairwise(edges)]
    blocks[-1] = blocks[-1][:-1]
    return blocks


def ending(block: str, lines: int) -> str:
    """A block that draws the same last lines: a long listing is cut, or each drawing would colour it all."""
    first, *rest = block.split("\n")
    if not first.startswith(_FENCES) or len(rest) <= lines:
        return block
    return "\n".join([first, *rest[-lines:]])
