"""A request, and what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.frames import ChatArguments, PreviousMessage, UserMessage
from bing_llm.emulator import Cut, HttpAnswer, Late, Received
from bing_llm.emulator.received import Outcome
from bing_llm.emulator.workiq.requests import read_chat


def test_text_and_context_of_a_chat() -> None:
    """The user's message and the texts of the context, joined by empty lines, are at hand."""
    previous = [PreviousMessage(description="one"), PreviousMessage(text="two"), PreviousMessage()]
    arguments = ChatArguments(message=UserMessage(text="Hello"), previous_messages=previous)
    request = Received(kind="chat", arguments=arguments)
    assert request.text == "Hello"
    assert request.context == "one\n\ntwo"


def test_text_and_context_of_a_chat_of_work_iq() -> None:
    """Message and additional context are at hand in the same way."""
    body = b"""{"message": {"text": "Hello"}, "locationHint": {"timeZone": "UTC"},
        "additionalContext": [{"text": "one", "description": "x"}, {"text": "two"}]}"""
    request = Received(kind="chat", chat_body=read_chat(body))
    assert request.text == "Hello"
    assert request.context == "one\n\ntwo"


def test_other_requests_have_no_text() -> None:
    """A request without arguments, or without a message, has an empty text and context."""
    for request in (Received(kind="creation"), Received(kind="chat", arguments=ChatArguments())):
        assert (request.text, request.context) == ("", "")


def test_the_repr_has_no_secrets() -> None:
    """Headers, query and body hold cookies, tokens and signatures, so the repr leaves them out."""
    secret = {"x": "secret"}
    request = Received(kind="list", path="/turing/conversation/chats", headers=secret, query=secret, body=secret)
    assert repr(request) == "Received('list', path='/turing/conversation/chats')"
    chat = Received(
        kind="chat", arguments=ChatArguments(message=UserMessage(text="Hi"), conversation_signature="secret")
    )
    assert repr(chat) == "Received('chat', path='', text='Hi')"


@pytest.mark.parametrize(
    ("came", "outcome", "detail"),
    [
        ({}, "running", ""),
        ({"answered": True}, "ok", ""),
        ({"ended": True}, "stopped", ""),
        ({"error": "throttled", "ended": True}, "error", "throttled"),
        ({"faults": ["late at request"], "answered": True}, "fault", "late at request; answered"),
        ({"faults": ["a at mid", "b at last"], "ended": True}, "fault", "a at mid; b at last"),
        ({"faults": ["late at request"], "error": "throttled"}, "fault", "late at request; throttled"),
    ],
)
def test_what_became_of_it(came: dict[str, Any], outcome: Outcome, detail: str) -> None:
    """A fault counts before an error, and an error before the answer."""
    request = Received(kind="chat", **came)
    assert (request.outcome, request.detail) == (outcome, detail)


def test_faults_and_errors_are_in_plain_words() -> None:
    """With the status of an HTTP answer; the first error counts, and the lists of two requests are two."""
    request, other = Received(kind="chat"), Received(kind="chat")
    request.hit(HttpAnswer(503), "creation")
    request.hit(Late(1), "request")
    request.hit(Cut(), "mid")
    assert request.faults == ["http answer 503 at creation", "late at request", "cut at mid"]
    request.fail(errors.Throttled(service_message="Not now."))
    request.fail("later")
    assert request.error == "throttled: Not now."
    assert (other.faults, other.error) == ([], "")


def test_its_secrets_are_known() -> None:
    """Credentials, each cookie, the token of a socket, and the signatures."""
    request = Received(
        kind="chat",
        headers={"Authorization": "Bearer a-token", "COOKIE": '_U=a-cookie; b="quoted"; no value'},
        query={"sec_access_token": "a-query", "other": "shown"},
        body={"conversationSignature": "a-body"},
        arguments=ChatArguments(conversation_signature="an-argument"),
    )
    found = {secret for secret in request.secrets() if secret}
    assert found >= {"Bearer a-token", "a-token", "a-cookie", '"quoted"', "quoted", "a-query", "a-body", "an-argument"}
    assert "shown" not in found
    assert not any(Received(kind="other", body=[1]).secrets())
