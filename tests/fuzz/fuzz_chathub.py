"""Any text of a ChatHub gives events or an error of ours, the same in any pieces, and all of them can be written."""

from __future__ import annotations

from bing_llm import events as ev
from tests.backends.chathub.wire import ACK, PING, RECORDED, apology, bot, eof, final, play, update, wire


def check(data: bytes) -> None:
    """One input: its first byte is how long the pieces are, less one; the rest is the text."""
    size, text = data[0] + 1 if data else 1, data[1:].decode(errors="replace")
    whole = play([text, eof(1000)])
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert play([*pieces, eof(1000)]) == whole
    for event in whole.events:
        assert ev.event_from_json(ev.event_to_json(event)) == event


def seeds() -> list[bytes]:
    """What the service was seen to send, and turns as it sends them."""
    recordings = [path.read_text(encoding="utf-8") for path in sorted(RECORDED.glob("*.jsonl"))]
    turns = [
        PING + update(bot("Ca")) + update(bot("Cats")) + final(bot("Cats"), suggestedResponses=[{"text": "Why?"}]),
        update(bot("Cats")) + update(apology()) + final(bot("Cats"), apology()),
        update(bot("cats", messageType="InternalSearchQuery")) + final(result={"value": "Throttled"}),
        wire({"type": 7, "error": "boom", "allowReconnect": True}),
    ]
    texts = [*(recording.replace("\n", "\x1e") for recording in recordings), *turns]
    return [b"\xff" + (ACK + text).encode() for text in texts]
