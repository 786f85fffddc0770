"""Any bytes of Work IQ's stream give events or an error of ours, the same in any pieces, and all can be written."""

from __future__ import annotations

from bing_llm import events as ev
from tests.backends.workiq.wire import conversation, disengaged, eof, event, final, message, partial, play


def check(data: bytes) -> None:
    """One input: its first byte is how long the pieces are, less one; the rest is the stream."""
    size, stream = data[0] + 1 if data else 1, data[1:]
    whole = play([stream, eof])
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert play([*pieces, eof]) == whole
    for each in whole.events:
        assert ev.event_from_json(ev.event_to_json(each)) == each


def seeds() -> list[bytes]:
    """Turns as the service sends them."""
    cited = {"attributionType": "citation", "providerDisplayName": "Moon", "seeMoreWebUrl": "https://example.org/moon"}
    streams = [
        event(conversation())
        + partial("A <Person>b</Pers")
        + final("A <Person>b</Person> c[^1^]", attributions=[cited]),
        b": keep-alive\r\n\r\n" + partial("A") + disengaged("No more of that."),
        event({"error": {"code": "TooManyRequests", "message": "Later."}}),
        partial("A").replace(b"\n", b"\r\n") + event("[DONE]"),
        event(conversation(message("A"), state="active")),
    ]
    return [b"\xff" + stream for stream in streams]
