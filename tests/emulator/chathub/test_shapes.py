"""Frames as the service fills them, and how errors of turns and creations are reported."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bing_llm import errors
from bing_llm.backends.chathub.errors import error_for
from bing_llm.backends.chathub.request import parse_creation
from bing_llm.backends.response import Response, retry_after
from bing_llm.emulator.chathub import shapes
from bing_llm.emulator.chathub.shapes import (
    Breakage,
    breakage_of,
    check_playable,
    check_refusable,
    creation_response,
    result_of,
)
from bing_llm.emulator.faults import Cut, Silence

RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"
WITH_A_RESULT = (
    errors.Throttled,
    errors.CaptchaRequired,
    errors.SessionExpired,
    errors.Unauthorized,
    errors.InvalidRequest,
    errors.ConversationBusy,
    errors.ServiceError,
)


def test_what_is_not_there_is_left_out() -> None:
    """Fields without a value are not written, not even as null."""
    assert msgspec.json.decode(msgspec.json.encode(shapes.Message(text="x", author="bot"))) == {
        "text": "x",
        "author": "bot",
    }
    assert msgspec.json.decode(msgspec.json.encode(shapes.Message(from_={"id": "1"}))) == {"from": {"id": "1"}}


def test_a_refusal_writes_null_where_the_service_does() -> None:
    """A refused item has a null index, and neither messages nor throttling nor an expiry (recording 04)."""
    written = msgspec.json.decode(msgspec.json.encode(shapes.RefusedItem(conversation_id="c")))
    assert written["firstNewMessageIndex"] is None
    assert not {"messages", "throttling", "conversationExpiryTime"} & written.keys()


def test_a_subtle_card_has_no_text_block() -> None:
    """The body of such a card begins with a RichTextBlock, whose first run has the text (section e)."""
    (card,) = msgspec.json.decode(shapes.subtle_card("Searching"))
    assert card["body"][0]["inlines"][0]["text"] == "Searching"
    assert "text" not in card["body"][0]


def test_links_are_a_second_block() -> None:
    """The line of links is a small block of its own, and only there when there are links."""
    assert [block["text"] for block in shapes.text_blocks("a", "")] == ["a"]
    assert [block["text"] for block in shapes.text_blocks("a", "Learn more: x")] == ["a", "Learn more: x"]


@pytest.mark.parametrize("kind", WITH_A_RESULT, ids=lambda kind: kind.__name__)
def test_the_client_reads_the_error_that_was_played(kind: type[errors.BingError]) -> None:
    """The result that stands for an error is read as that error."""
    assert type(error_for(result_of(kind()), what="the turn")) is kind


def test_throttled_is_as_recorded() -> None:
    """The result has the value, message and error of recording 08."""
    line = (RECORDED / "08-error-Throttled.jsonl").read_text(encoding="utf-8").splitlines()[0]
    recorded = json.loads(line)["item"]["result"]
    result = result_of(errors.Throttled())
    assert (result.value, result.message, result.error) == (recorded["value"], recorded["message"], recorded["error"])


def test_own_words_replace_the_usual_ones() -> None:
    """An error's value, and the service's words or else its own message, are what is sent."""
    result = result_of(errors.ServiceError("mine", value="InternalServerError", service_message="theirs"))
    assert (result.value, result.message) == ("InternalServerError", "theirs")
    assert result_of(errors.ServiceError("mine")).message == "mine"


@pytest.mark.parametrize(
    ("kind", "breakage"),
    [
        (errors.PromptTooLong, Cut("close 1000")),
        (errors.ConnectionLost, Cut()),
        (errors.TimedOut, Silence()),
        (errors.Throttled, None),
        (errors.ContentFiltered, None),
    ],
)
def test_some_errors_break_the_connection(kind: type[errors.BingError], breakage: Breakage | None) -> None:
    """Errors without a frame are things that happen to the connection."""
    assert breakage_of(kind()) == breakage


@pytest.mark.parametrize("kind", [errors.ConnectionFailed, errors.UploadFailed, errors.ConfigurationError])
def test_other_errors_cannot_be_played(kind: type[errors.BingError]) -> None:
    """An error that no turn of the service ends with is refused, and the text names those that can be played."""
    with pytest.raises(errors.ConfigurationError, match=f"{kind.__name__}.*Throttled"):
        check_playable(kind())


def read(error: errors.BingError) -> errors.BingError:
    """The error that the client makes of the answer."""
    played = creation_response(error)
    body = played.body if isinstance(played.body, bytes) else b""
    headers = {name.lower(): value for name, value in played.headers.items()}
    wait = retry_after(headers.get("retry-after"), 0)
    with pytest.raises(errors.BingError) as caught:
        parse_creation(Response(played.status, headers, body, wait))
    return caught.value


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Throttled(), 404),
        (errors.Throttled(retry_after=7.0), 429),
        (errors.Unauthorized(), 200),
        (errors.ServiceError(), 503),
    ],
)
def test_the_client_reads_the_refusal_that_was_played(error: errors.BingError, status: int) -> None:
    """Refusals by status and by result are read as the error that was asked for."""
    assert creation_response(error).status == status
    found = read(error)
    assert type(found) is type(error)
    assert found.retry_after == error.retry_after


def test_an_empty_body_is_not_a_conversation() -> None:
    """A ProtocolError is played as status 200 with an empty body, which the client does not take for a conversation."""
    assert creation_response(errors.ProtocolError()).status == 200
    assert isinstance(read(errors.ProtocolError()), errors.ServiceError)


def test_own_words_of_a_refusal_replace_the_usual_ones() -> None:
    """`value` and `service_message` of an Unauthorized are what is sent: Forbidden, as in recording 14."""
    found = read(errors.Unauthorized(value="Forbidden", service_message="Not here."))
    assert (found.value, found.service_message) == ("Forbidden", "Not here.")


def test_other_errors_cannot_refuse_a_creation() -> None:
    """An error that no creation ends with is refused, and the text names those that can be played."""
    with pytest.raises(errors.ConfigurationError, match=r"SessionExpired.*Throttled"):
        check_refusable(errors.SessionExpired())
