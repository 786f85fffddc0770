"""What the emulator was sent."""

from __future__ import annotations

from bing_llm.backends.chathub.frames import ChatArguments, PreviousMessage, UserMessage
from bing_llm.emulator import Received
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
