"""How an answer is shown as text and as JSON, and what is shown below it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from bing_llm import events as ev
from bing_llm.cli.view import REWRITTEN, JsonView, TextView, View, quota_line, source_lines, suggestion_lines
from bing_llm.events import Citation, Quota, Reply


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
