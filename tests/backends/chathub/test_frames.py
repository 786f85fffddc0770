"""The wire names and shapes of frames."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import SEPARATOR, encode

CHAT = frames.Chat(
    [frames.ChatArguments(conversation_id="c1", message=frames.UserMessage(author="user", text="Hi"))], "0"
)


def written(frame: frames.ServerFrame | frames.ClientFrame) -> Any:
    """The JSON of a frame."""
    return json.loads(encode(frame).removesuffix(SEPARATOR))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (frames.HANDSHAKE, {"protocol": "json", "version": 1}),
        (frames.HandshakeAck(), {}),
        (frames.HandshakeAck("no"), {"error": "no"}),
        (frames.Ping(), {"type": 6}),
        (frames.Completion("0"), {"type": 3, "invocationId": "0"}),
        (frames.Completion("0", "no"), {"type": 3, "invocationId": "0", "error": "no"}),
        (frames.Close(), {"type": 7}),
        (frames.Close("no", allow_reconnect=True), {"type": 7, "error": "no", "allowReconnect": True}),
        (frames.Invocation("stop", "0", [{}]), {"type": 1, "target": "stop", "invocationId": "0", "arguments": [{}]}),
        (frames.UnknownFrame({"type": 9, "sequenceId": 1}), {"type": 9, "sequenceId": 1}),
        (
            CHAT,
            {
                "type": 4,
                "target": "chat",
                "invocationId": "0",
                "arguments": [{"conversationId": "c1", "message": {"author": "user", "text": "Hi"}}],
            },
        ),
        (
            frames.Update(
                arguments=[frames.UpdateArguments(messages=[frames.WireMessage(text="Hi", message_id="a1")])]
            ),
            {"type": 1, "target": "update", "arguments": [{"messages": [{"text": "Hi", "messageId": "a1"}]}]},
        ),
        (
            frames.Final(frames.FinalItem(result=frames.Result(value="Success", service_version="1")), "0"),
            {"type": 2, "invocationId": "0", "item": {"result": {"value": "Success", "serviceVersion": "1"}}},
        ),
    ],
)
def test_frames_have_their_wire_names(frame: Any, expected: dict[str, Any]) -> None:
    """A frame is written with its type, camelCase names and without what is not set."""
    assert written(frame) == expected


def test_shapeless_fields_are_written_as_they_are() -> None:
    """A raw field goes into the JSON unchanged."""
    message = frames.WireMessage(adaptive_cards=msgspec.Raw(b'[{"type":"AdaptiveCard"}]'))
    update = frames.Update(arguments=[frames.UpdateArguments(messages=[message])])
    assert written(update)["arguments"][0]["messages"] == [{"adaptiveCards": [{"type": "AdaptiveCard"}]}]


@pytest.mark.parametrize(
    ("arguments", "characters"),
    [
        (frames.ChatArguments(), 0),
        (frames.ChatArguments(message=frames.UserMessage(text="Hello")), 5),
        (frames.ChatArguments(previous_messages=[frames.PreviousMessage(description="four")]), 4),
        (
            frames.ChatArguments(
                message=frames.UserMessage(text="Hello"),
                previous_messages=[
                    frames.PreviousMessage(description="four"),
                    frames.PreviousMessage(text="six"),
                    frames.PreviousMessage(),
                ],
            ),
            12,
        ),
    ],
)
def test_a_request_counts_message_and_context(arguments: frames.ChatArguments, characters: int) -> None:
    """`characters` is the length of the message and of all its context, in both forms that clients use."""
    assert arguments.characters == characters
