"""How an answer is shown in a terminal, as Markdown."""

from __future__ import annotations

import asyncio
import io
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bing_llm import events as ev
from bing_llm._safe_text import escape
from bing_llm.cli.markdown import Block, Markdown, MarkdownView, last_lines, split_blocks
from bing_llm.cli.view import REWRITTEN
from tests.cli.screen import Screen
from tests.cli.test_view import play

ANSWER = (
    """\
# Tides

The moon makes the **tides** [^1^], and this line is long enough to be wrapped.

1. one
2. two
   - nested

```python
"""
    + "".join(f"line_{number} = {number}\n" for number in range(20))
    + """\
```

| place | metres |
| ----- | ------ |
| Fundy | 16     |

> The end.
"""
)


def on_screen(events: Sequence[ev.Event], width: int = 80, height: int = 24, error: Exception | None = None) -> Screen:
    """The terminal after a turn in a `MarkdownView` that draws each event."""
    screen = Screen(width, height)
    console = Console(file=screen, force_terminal=True, width=width, height=height, markup=False)  # type: ignore[arg-type]
    if error is None:
        play(MarkdownView(console, frame_s=0), events)
    else:
        with pytest.raises(type(error)):
            play(MarkdownView(console, frame_s=0), events, error)
    return screen


def still(text: str, width: int = 80) -> list[str]:
    """The same Markdown, drawn once, in a terminal that is high enough."""
    screen = Screen(width, 1000)
    console = Console(file=screen, force_terminal=True, width=width, height=1000, markup=False)  # type: ignore[arg-type]
    for number, block in enumerate(split_blocks(text + "\n")):
        console.print(Block(block, follows=number > 0))
    return screen.lines


def deltas(text: str, size: int) -> list[ev.Event]:
    """The text in pieces of that many characters."""
    return [ev.TextDelta(text[start : start + size]) for start in range(0, len(text), size)]


@pytest.mark.parametrize(("size", "width", "height"), [(2, 80, 24), (5, 40, 12), (11, 20, 3), (1000, 80, 24)])
def test_the_drawing_ends_as_if_drawn_once(size: int, width: int, height: int) -> None:
    """In whatever pieces an answer comes, and however small the screen is: no line is doubled, lost or left over."""
    screen = on_screen(deltas(ANSWER, size), width, height)
    assert screen.lines == still(ANSWER, width)
    assert screen.cursor_shown


def test_an_open_block_is_drawn_while_it_comes() -> None:
    """What has come of a block is in sight before the block is complete."""
    screen = Screen()
    console = Console(file=screen, force_terminal=True, width=80, height=24)  # type: ignore[arg-type]
    seen: list[list[str]] = []

    async def turn() -> None:
        with MarkdownView(console, frame_s=0) as view:
            for event in (ev.SearchStarted("tides"), ev.Progress("Reading"), ev.TextDelta("One\n\nTw"), ev.Quota(1, 2)):
                view.show(event)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                seen.append(screen.lines)

    asyncio.run(turn())
    assert seen == [[""], [""], ["One", "", "Tw"], ["One", "", "Tw"]]


def test_several_events_are_one_drawing() -> None:
    """Events that come faster than a frame are drawn together, and the last ones when the turn ends."""
    screen = Screen()
    console = Console(file=screen, force_terminal=True, width=80, height=24)  # type: ignore[arg-type]

    async def turn() -> None:
        with MarkdownView(console, frame_s=3600) as view:
            for event in deltas("Hello there.", 1):
                view.show(event)
                await asyncio.sleep(0)
            assert screen.lines == [""]

    asyncio.run(turn())
    assert screen.lines == ["Hello there."]


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([], [""]),
        ([ev.TextDelta("The town"), ev.TextRevised("The city.")], ["The city."]),
        (
            [ev.TextDelta("Bonn.\n\nIt\n\nlies\n"), ev.TextRevised("Berlin.\n\nIt lies")],
            ["Bonn.", "", "It", "", REWRITTEN, "", "Berlin.", "", "It lies"],
        ),
        ([ev.TextDelta("A.\n\nB"), ev.TextRevised("X"), ev.TextRevised("A.\n\nC")], ["A.", "", "C"]),
    ],
)
def test_only_what_is_printed_cannot_be_redrawn(events: list[ev.Event], shown: list[str]) -> None:
    """A rewrite of the open block is drawn; after one of printed blocks a line says so, and the final text follows."""
    assert on_screen(events).lines == shown


def test_a_broken_turn_keeps_its_text() -> None:
    """What has come is on the screen after a failure, and the cursor is back."""
    screen = on_screen(deltas("One\n\nTwo", 2), error=ValueError("broken"))
    assert (screen.lines, screen.cursor_shown) == (["One", "", "Two"], True)


def test_an_answer_cannot_steer_the_terminal() -> None:
    """Escape sequences in an answer, in a search or in progress are shown, not obeyed."""
    evil = "\x1b[2Jx\r\u202e"
    assert on_screen([ev.SearchStarted(evil), ev.Progress(evil), ev.TextDelta(evil)]).lines == [
        "\\u001b[2Jx\\u000d\\u202e"
    ]


# --- Markdown ---------------------------------------------------------------------------------------------------------


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
    assert last_lines(block, 3) == end


# --- lines below an answer --------------------------------------------------------------------------------------------


# --- listings ---------------------------------------------------------------------------------------------------------

LONG = f"echo {'word ' * 20}end"


@pytest.mark.parametrize(
    "text",
    [
        f"```sh\nls\n  cd /\n{LONG}\n```",
        f"1. Do this:\n\n   ```sh\n   ls\n     cd /\n   {LONG}\n   ```\n",
        f"- a\n  - b\n\n    ```sh\n    ls\n      cd /\n    {LONG}\n    ```\n",
        f"- ```sh\n  ls\n    cd /\n  {LONG}\n  ```\n",
        f"text:\n\n    ls\n      cd /\n    {LONG}\n",
    ],
)
def test_a_listing_is_copied_as_it_was_written(text: str) -> None:
    """Its lines begin at the margin, in a list too, and a long one is one line, which only the terminal breaks."""
    console = Console(file=io.StringIO(), width=40, markup=False)
    console.print(Block(text, follows=False), crop=False)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    at = lines.index("ls")
    assert lines[at : at + 3] == ["ls", "  cd /", LONG]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- a\n- b\n  - c\n    1. d", " • a\n • b\n    • c\n       1 d"),
        ("9. a\n10. b", "  9 a\n 10 b"),
        ("1. a\n\n   b", " 1 a\n   b"),
        ("- one two three four five six", " • one two\n   three four\n   five six"),
    ],
)
def test_lists_are_indented(text: str, shown: str) -> None:
    """Each item has its sign, and what belongs to it stands below its first word."""
    assert drawn(text, 15) == shown.lstrip("\n")


def test_a_long_line_of_a_listing_is_whole_after_the_turn() -> None:
    """While it is drawn again and again it is broken; what stays is what the terminal makes of the whole line."""
    screen = on_screen(deltas(f"a\n\n```sh\n{LONG}\n```\n\nb", 7), width=40)
    assert screen.lines == ["a", "", *(LONG[at : at + 40].rstrip() for at in range(0, len(LONG), 40)), "", "b"]
