"""Conversations, messages and errors of Work IQ; the statuses themselves are in test_rest.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bing_llm import errors
from bing_llm.emulator.chathub.shapes import Breakage
from bing_llm.emulator.faults import Cut, Raw, Silence
from bing_llm.emulator.workiq import shapes
from bing_llm.events import Citation


def test_a_conversation_has_the_documented_fields() -> None:
    """All fields are there; messages may be left out, as in the answer to a creation."""
    made = shapes.conversation("c1", name="Title", turns=2, messages=[], created=0.0)
    assert made == {
        "id": "c1",
        "agentId": None,
        "createdDateTime": "1970-01-01T00:00:00.0000000Z",
        "displayName": "Title",
        "state": "active",
        "turnCount": 2,
        "messages": [],
    }
    assert "messages" not in shapes.conversation("c1", name="", turns=0, messages=None, created=0.0)


def test_a_message_has_the_documented_fields() -> None:
    """A message says of which type it is, and its empty label has every key; the card repeats the text."""
    made = shapes.message("m1", "Hi", created=0.0, with_card=True)
    assert made["@odata.type"] == "#microsoft.graph.copilotConversationResponseMessage"
    assert made["adaptiveCards"][0]["body"][0]["text"] == "Hi"
    assert set(made["sensitivityLabel"].values()) == {None}
    assert shapes.message("m1", "Hi", created=0.0)["adaptiveCards"] == []


def test_a_source_is_a_citation() -> None:
    """The source of a marker is an attribution of type citation."""
    made = shapes.attribution(Citation(1, "https://example.org/", "Plan"))
    assert (made["attributionType"], made["providerDisplayName"]) == ("citation", "Plan")
    assert made["seeMoreWebUrl"] == "https://example.org/"


def test_entities_are_annotations() -> None:
    """Each person, event or file that the text names in a tag is linked once; other tags are not entities."""
    text = "<Person>Ann</Person> and <File>a.docx</File>, <Person>Ann</Person>, <b>x</b>, <File>torn</Person>"
    made = shapes.entity_links(text)
    assert [each["providerDisplayName"] for each in made] == ["Ann", "a.docx"]
    assert {each["attributionType"] for each in made} == {"annotation"}


def played(error: errors.BingError, **headers: str) -> tuple[web.Response, Any]:
    """The answer that reports an error, and its body."""
    request = make_mocked_request("POST", "/", headers=headers)
    response = shapes.error_response(error, request, lambda: 0.0, conversation_id="c1")
    assert isinstance(response.body, bytes)
    return response, json.loads(response.body)


def test_the_envelope_is_that_of_graph() -> None:
    """Code and message, with the ids that support asks for, of which the client may give one."""
    response, body = played(errors.ServiceError("mine"), **{"client-request-id": "r1"})
    inner = body["error"].pop("innerError")
    assert body == {"error": {"code": "InternalServerError", "message": "mine"}}
    assert inner["client-request-id"] == "r1"
    assert inner["request-id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.ServiceError(value="504"), 504, "InternalServerError"),
        (errors.ServiceError(value="404"), 500, "404"),
        (errors.SessionExpired(value="409"), 409, "NotFound"),
        (errors.TurnLimitReached(value="404"), 404, "BadRequest"),
        (errors.InvalidRequest(value="AuthenticationError"), 400, "AuthenticationError"),
    ],
)
def test_a_value_is_a_status_or_a_code(error: errors.BingError, status: int, code: str) -> None:
    """A value that is another status of the error is that status; any other is the code."""
    response, body = played(error)
    assert (response.status, body["error"]["code"]) == (status, code)


def test_own_words_replace_the_usual_ones() -> None:
    """The service's words, or else the error's own message, are what is said."""
    wrapped = "Non-2xx response from IC3. Status = 403"
    assert played(errors.ServiceError("mine", service_message=wrapped))[1]["error"]["message"] == wrapped


def test_a_wait_is_a_header() -> None:
    """`retry_after` is sent as whole seconds; without it there is no such header."""
    assert played(errors.Throttled(retry_after=7.0))[0].headers["Retry-After"] == "7"
    assert "Retry-After" not in played(errors.Throttled())[0].headers


def test_forbidden_may_explain_itself() -> None:
    """With words of the service, 403 has a conversation whose last message says them; without, the envelope."""
    response, body = played(errors.Unauthorized(value="403", service_message="You have no licence."))
    assert (response.status, body["id"]) == (403, "c1")
    assert body["messages"][-1]["text"] == "You have no licence."
    response, body = played(errors.Unauthorized(value="403"))
    assert (response.status, body["error"]["code"]) == (403, "Forbidden")


def test_an_error_in_a_stream_has_code_and_message() -> None:
    """The event has the short form of the envelope."""
    said = {"code": "TooManyRequests", "message": "Too many requests. Try again later."}
    assert json.loads(shapes.error_event(errors.Throttled())) == {"error": said}


@pytest.mark.parametrize(
    ("error", "breakage"),
    [
        (errors.ConnectionLost(), Cut()),
        (errors.ConnectionLost(value="end"), Cut("end")),
        (errors.TimedOut(), Silence()),
        (errors.ProtocolError(), Raw(shapes.TORN)),
        (errors.PromptTooLong(), None),
        (errors.Throttled(), None),
    ],
)
def test_some_errors_break_the_connection(error: errors.BingError, breakage: Breakage | None) -> None:
    """Errors without a status are things that happen to the connection."""
    assert shapes.breakage_of(error) == breakage
    assert shapes.is_refusal(error) is (breakage is None)


@pytest.mark.parametrize("kind", [errors.ContentFiltered, errors.ConversationEnded])
def test_moderation_has_no_status(kind: type[errors.BingError]) -> None:
    """What moderation does is said by the state of the conversation."""
    assert shapes.is_moderation(kind())
    assert not shapes.is_refusal(kind())
