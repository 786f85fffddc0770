"""How an answer is shown, and what is shown below it."""

from __future__ import annotations

import asyncio
import io
import json
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bing_llm import events as ev
from bing_llm._safe_text import escape
from bing_llm.cli.view import (
    REWRITTEN,
    Block,
    Exchange,
    JsonView,
    Markdown,
    MarkdownView,
    TextView,
    View,
    last_lines,
    quota_line,
    render_transcript,
    source_lines,
    split_blocks,
    suggestion_lines,
)
from bing_llm.events import Citation, Quota, Reply
from tests.cli.screen import Screen

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


def play(view: View, events: Sequence[ev.Event], error: Exception | None = None) -> None:
    """Show events as a turn does, with time to draw after each."""

    async def turn() -> None:
        with view:
            for event in events:
                view.show(event)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if error is not None:
                raise error

    asyncio.run(turn())


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


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_an_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event is one line of JSON that means what the event means."""
    events: list[ev.Event] = [ev.TextDelta("a\n\x9b\u202e"), ev.Quota(1, 30), ev.TurnCompleted(ev.Reply(text="a"))]
    play(JsonView(), events)
    lines = capsys.readouterr().out.splitlines()
    assert [ev.event_from_json(line) for line in lines] == events
    assert json.loads(lines[0]) == {"type": "text_delta", "text": "a\n\x9b\u202e"}
    assert all(line.isprintable() for line in lines)


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([], ""),
        ([ev.TextDelta("Hello "), ev.TextDelta("there.")], "Hello there.\n"),
        ([ev.TextDelta("Hello\n")], "Hello\n"),
        ([ev.Progress("Searching"), ev.TextDelta("a\x1b"), ev.Suggestions(("b",))], "a\\u001b\n"),
        ([ev.TextDelta("The"), ev.TextRevised("The end.")], "The end.\n"),
        ([ev.TextDelta("Bonn."), ev.TextRevised("Berlin.")], f"Bonn.\n{REWRITTEN}\nBerlin.\n"),
        ([ev.TextDelta("Bonn."), ev.TextRevised("Berlin.\n")], f"Bonn.\n{REWRITTEN}\nBerlin.\n"),
        ([ev.TextDelta("Bonn."), ev.TextRevised("B"), ev.TextDelta("onn. Yes.")], "Bonn. Yes.\n"),
    ],
)
def test_text_is_never_recalled(events: list[ev.Event], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text is given as it comes and ends with its line; what was rewritten for good follows whole."""
    play(TextView(), events)
    assert capsys.readouterr().out == shown


def test_the_line_ends_when_the_turn_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    """After a failure the next line begins on its own."""
    with pytest.raises(ValueError, match="broken"):
        play(TextView(), [ev.TextDelta("It begins")], ValueError("broken"))
    assert capsys.readouterr().out == "It begins\n"


# --- MarkdownView -----------------------------------------------------------------------------------------------------


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
    assert seen == [["Searching the web: tides"], ["Reading"], ["One", "", "Tw"], ["One", "", "Tw"]]


def test_several_events_are_one_drawing() -> None:
    """Events that come faster than a frame are drawn together, and the last ones when the turn ends."""
    screen = Screen()
    console = Console(file=screen, force_terminal=True, width=80, height=24)  # type: ignore[arg-type]

    async def turn() -> None:
        with MarkdownView(console, frame_s=3600) as view:
            for event in deltas("Hello there.", 1):
                view.show(event)
                await asyncio.sleep(0)
            assert screen.lines == ["..."]

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


def test_citations_have_the_numbers_of_the_text() -> None:
    """A citation is listed under the marker that the text has for it."""
    reply = Reply(citations=(Citation(2, "https://b.example", "B"), Citation(1, "https://a.example")))
    assert source_lines(reply) == ["[^2^] B https://b.example", "[^1^] https://a.example"]
    assert source_lines(reply, "[{}]")[0] == "[2] B https://b.example"


def test_a_source_without_an_address_is_listed_by_its_title() -> None:
    """Nothing follows it, not even a blank."""
    assert source_lines(Reply(citations=(Citation(1, "", "Plan.docx"),))) == ["[^1^] Plan.docx"]


def test_a_source_that_a_link_names_has_the_number_of_the_link() -> None:
    """Work IQ has links where ChatHub has notes."""
    text = "Rain.[1](https://a.example) Snow.[^2^]"
    cited = (Citation(1, "https://a.example", "A", ((5, 27),)), Citation(2, "https://b.example", "B", ((33, 38),)))
    assert source_lines(Reply(text=text, citations=cited)) == ["[1] A https://a.example", "[^2^] B https://b.example"]


def test_pictures_are_listed() -> None:
    """Pictures that were made, and those that were only asked for, are shown."""
    reply = Reply(images=("https://i.example/1",), image_prompts=("a cat",))
    assert source_lines(reply) == ["image: https://i.example/1", "image wanted: a cat"]


def test_suggestions_are_numbered() -> None:
    """Suggestions are numbered from 1, each on one line."""
    assert suggestion_lines(Reply(suggestions=("Why?", "How\nso?"))) == ["1> Why?", "2> How so?"]


def test_what_the_service_sent_is_escaped() -> None:
    """Titles, URLs, prompts and suggestions cannot steer the terminal or forge a line."""
    evil = "\x1b[2J\n\u202ex"
    reply = Reply(citations=(Citation(1, evil, evil),), images=(evil,), image_prompts=(evil,), suggestions=(evil,))
    for line in [*source_lines(reply), *suggestion_lines(reply)]:
        assert line.isprintable()


def test_quota_is_used_of_limit() -> None:
    """The quota reads as a sentence."""
    assert quota_line(Quota(3, 30)) == "3 of 30 turns"


# --- the transcript ---------------------------------------------------------------------------------------------------


def test_a_transcript_is_markdown() -> None:
    """Who said what is a heading, sources are a list."""
    reply = Reply(text="The moon [^1^].\n", citations=(Citation(1, "https://a.example", "A"),))
    assert render_transcript("bing-precise", [Exchange("Why tides?", reply)]) == (
        "# Chat with bing-precise\n\n## You\n\nWhy tides?\n\n## Bing\n\nThe moon [^1^].\n\n- [^1^] A https://a.example\n"
    )


def test_a_withdrawn_answer_says_so() -> None:
    """An answer that the service withdrew carries its notice, and no control character gets into the file."""
    reply = Reply(text="x\x1b[2J", revoked=True, notice="Sorry.")
    assert render_transcript("m", [Exchange("q", reply)]).endswith(
        "x\\u001b[2J\n\n(The service withdrew this answer. Sorry.)\n"
    )
