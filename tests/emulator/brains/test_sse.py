"""Server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.brains.sse import EventReader

STREAM = 'data: {"a": "é"}\n\n: comment\nevent: x\ndata:two\ndata: lines\n\ndata: [DONE]\n\n'.encode()
EXPECTED = ['{"a": "é"}', "two\nlines", "[DONE]"]


def read(*pieces: bytes) -> list[str]:
    """The data of all events."""
    reader = EventReader()
    return [data for piece in pieces for data in reader.feed(piece)] + reader.end()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_events_are_read_whatever_their_pieces(end: bytes) -> None:
    """Split at every position, with either line end, the stream gives the same events."""
    stream = STREAM.replace(b"\n", end)
    for position in range(len(stream) + 1):
        assert read(stream[:position], stream[position:]) == EXPECTED


def test_a_last_event_may_lack_its_empty_line() -> None:
    """At the end of the stream an event is complete."""
    assert read(b"data: a") == ["a"]
    assert read(b"data: a\n") == ["a"]
    assert read(b"") == []


def test_a_line_is_bounded() -> None:
    """A line that never ends is an error."""
    with pytest.raises(ValueError, match="too long"):
        read(b"x" * 1_100_000)


@given(st.lists(st.binary()))
def test_any_bytes_give_strings(pieces: list[bytes]) -> None:
    """No bytes make it fail."""
    assert all(isinstance(data, str) for data in read(*pieces))
