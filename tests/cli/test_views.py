"""How a running answer is shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from rich.console import Console

from bing_llm import events as ev
from bing_llm.cli.markdown import split_blocks
from bing_llm.cli.views import REWRITTEN, Block, JsonView, MarkdownView, TextView, View
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


# --- Markdown ---------------------------------------------------------------------------------------------------------


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
    """A rewrite of the open block just shows; one of printed blocks is told, and the final text follows."""
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
