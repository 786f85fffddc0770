"""Markdown is cut into blocks that stay, and drawn with nothing lost, hidden or left to steer a terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bing_llm._escaping import escape
from bing_llm.cli.markdown import Markdown, ending, split_blocks

BEGINNINGS = (
    "# ",
    "- ",
    "1. ",
    "2) ",
    "> ",
    "```",
    "```python\n",
    "    ",
    "---\n",
    "===\n",
    "| a | b |\n",
    "| - | - |\n",
)
LINKS = ("[a](http://x.example/%1b)", "![i](http://x.example)", "[x]: http://x.example\n", "<http://x.example/%1b[2J>")
INLINE = (
    "word",
    " ",
    "\n",
    "\n\n",
    "**",
    "*",
    "`",
    "~~",
    "<b>",
    "<!--",
    "&#x202e;",
    "&#155;",
    "\\",
    "[^1^]",
    "\t",
    "é",
    "漢",
)
CONTROLS = ("\x1b[2J", "\u202e", "\r", "\x00")
PARTS = st.sampled_from([*BEGINNINGS, *LINKS, *INLINE, *CONTROLS])
MARKDOWN = st.lists(PARTS, max_size=30).map("".join)


def drawn(text: str, width: int = 80) -> str:
    """What a terminal without colours shows."""
    file = io.StringIO()
    Console(file=file, width=width, markup=False, emoji=False, highlight=False).print(Markdown(text))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


@given(MARKDOWN)
def test_a_drawing_holds_no_control_character(text: str) -> None:
    """Not even by entities or percent-encoded links can a text bring a control character to the terminal."""
    shown = drawn(text, 40)
    assert {sign for sign in shown if unicodedata.category(sign) == "Cc"} <= {"\n"}
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tides [^1^][^12^].", "Tides [1][12]."),
        ("`[^1^]`", "[^1^]"),
        ("a <b>c</b> <script>", "a <b>c</b> <script>"),
        ("<div>\nx\n</div>", "<div> x </div>"),
        ("[a](https://x.example)", "a (https://x.example)"),
        ("![a](https://x.example/i.png)", "!a (https://x.example/i.png)"),
        ("[bold]not rich[/bold] :smile:", "[bold]not rich[/bold] :smile:"),
        ("&#x202e;x", "\\u202ex"),
        ("[a](javascript:alert)", "[a](javascript:alert)"),
        ("[a](data:image/png;base64,x)", "[a](data:image/png;base64,x)"),
        ("[a](file:///etc)", "[a](file:///etc)"),
        ("[a](tel:1)", "[a](tel:1)"),
        ("[a](https://bing.com@x.example)", "[a](https://bing.com@x.example)"),
        ("<ftp://x.example>", "<ftp://x.example>"),
        ("[a][x]\n\n[x]: javascript:alert", "[a][x]\n\n[x]: javascript:alert"),
    ],
)
def test_nothing_is_lost_or_hidden(text: str, shown: str) -> None:
    """Markers are numbers, HTML and rich's markup are text, and where a link or a picture leads is in sight."""
    assert drawn(text) == shown


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", [""]),
        ("a\nb", ["a\nb"]),
        ("a\n\nb", ["a\n\nb"]),
        ("a\n\nb\n", ["a\n\n", "b\n"]),
        ("- a\n\n- b\n\nc\n", ["- a\n\n- b\n\n", "c\n"]),
        ("```\na\n\nb\n```\nc\n", ["```\na\n\nb\n```\n", "c\n"]),
        ("[x]: http://x.example\n\na\n", ["[x]: http://x.example\n\na\n"]),
        ("\n\n", ["\n\n"]),
        ("a\n#", ["a\n#"]),
        ("a\n#\n", ["a\n", "#\n"]),
    ],
)
def test_blocks_begin_at_whole_lines(text: str, blocks: list[str]) -> None:
    """A block is split off as soon as the next one's first line is whole."""
    assert split_blocks(text) == blocks


@given(MARKDOWN.map(escape))
def test_blocks_join_to_the_text(text: str) -> None:
    """Splitting loses nothing."""
    assert "".join(split_blocks(text)) == text


@given(MARKDOWN.map(escape), MARKDOWN.map(escape))
def test_closed_blocks_stay_as_they_are(text: str, more: str) -> None:
    """However a text goes on, all its blocks but the last are blocks of the longer text."""
    closed = split_blocks(text)[:-1]
    assert split_blocks(text + more)[: len(closed)] == closed


@pytest.mark.parametrize(
    ("block", "end"),
    [
        ("```py\na\nb\nc\n", "```py\nb\nc\n"),
        ("~~~\na\nb\nc\n", "~~~\nb\nc\n"),
        ("```py\na\nb\n", "```py\na\nb\n"),
        ("- a\n- b\n- c\n- d\n", "- a\n- b\n- c\n- d\n"),
    ],
)
def test_only_a_long_listing_is_cut(block: str, end: str) -> None:
    """Of a listing its language and its last lines are enough to draw its end."""
    assert ending(block, 3) == end
