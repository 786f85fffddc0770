"""Frames as the service fills them."""

from __future__ import annotations

import msgspec

from bing_llm.emulator.chathub import shapes


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
