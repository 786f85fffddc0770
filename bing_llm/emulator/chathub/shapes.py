"""Frames as the service fills them: cards, and the fields that the client does not read.

Shapes follow the recordings 02, 03, 05 (messages, final frame) and 04, 08, 10 (refusals).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bing_llm.backends.chathub import frames

# The service's version as recorded last (02); nothing reads it.
SERVICE_VERSION = "20240203.114"


class Message(frames.WireMessage, kw_only=True):
    """One message with all that the service puts into it."""

    from_: dict[str, object] | None = msgspec.field(name="from", default=None)
    locale: str | None = None
    market: str | None = None
    region: str | None = None
    location_hints: list[dict[str, object]] | None = None
    nlu: dict[str, object] | None = None
    feedback: dict[str, object] | None = None
    input_method: str | None = None
    spoken_text: str | None = None


class TurnCursor(frames.Cursor, kw_only=True):
    """`p` was -1 in every cursor that was recorded (docs/protocol/chathub.md, section e)."""

    p: int | None = None


class Item(frames.FinalItem, kw_only=True):
    """The item of a final frame."""

    should_initiate_conversation: bool | None = None
    telemetry: dict[str, object] | None = None


class RefusedItem(frames.FinalItem, kw_only=True, omit_defaults=False):
    """The item of a refusal. The service writes these fields as null and leaves `messages` and `throttling` out."""

    messages: Any = msgspec.UNSET
    throttling: Any = msgspec.UNSET
    conversation_expiry_time: Any = msgspec.UNSET
    default_chat_name: str | None = None
    telemetry: dict[str, object] | None = None


def raw(value: object) -> msgspec.Raw:
    """A field whose shape the client does not type."""
    return msgspec.Raw(msgspec.json.encode(value))


def card(*blocks: dict[str, object]) -> msgspec.Raw:
    """The `adaptiveCards` of a message, with these blocks as the body of its one card."""
    return raw([{"type": "AdaptiveCard", "version": "1.0", "body": blocks}])


def subtle_card(text: str) -> msgspec.Raw:
    """The card of a message that is not the answer: a RichTextBlock, so `body[0]` has no text."""
    run = {"type": "TextRun", "isSubtle": True, "italic": True, "text": text}
    return card({"type": "RichTextBlock", "inlines": [run]})


def text_blocks(text: str, learn_more: str) -> Sequence[dict[str, object]]:
    """The blocks of an answer's card, with the line of links below if there are any."""
    answer = {"type": "TextBlock", "text": text, "wrap": True}
    links = {"type": "TextBlock", "size": "small", "text": learn_more, "wrap": True}
    return (answer, links) if learn_more else (answer,)


def feedback() -> dict[str, object]:
    """Nobody has rated this message."""
    return {"tag": None, "updatedOn": None, "type": "None"}
