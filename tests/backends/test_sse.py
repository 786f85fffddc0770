"""Events out of bytes, whatever pieces they come in."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.sse import EventReader
from bing_llm.errors import ProtocolError
from bing_llm.limits import Limits

PIECES = [
    b"data: x",
    b"\r\n",
    b"data",
    b":",
    b" ",
    b"id:7",
    b"x",
    b'"',
    b"\n",
    b"\r",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\xa4",
    b"event: e",
]
STREAMS = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)


def taken(lines: EventReader) -> Iterator[str]:
    """All events that can be had now."""
    while (data := lines.next_event()) is not None:
        yield data.decode(errors="replace")


def read(*chunks: bytes, max_bytes: int = 100_000) -> list[str]:
    """The events of a stream that came in these chunks, to its end."""
    lines = EventReader(Limits(frame_bytes=max_bytes))
    found: list[str] = []
    for chunk in chunks:
        lines.receive(chunk)
        found.extend(taken(lines))
    lines.receive_eof()
    return [*found, *taken(lines)]


def singly(data: bytes) -> list[bytes]:
    """Each byte as a chunk of its own."""
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a \n\n", [" a "]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data\n\n", []),
        (b"data:\n\n", []),
        (b"data: \n\n", []),
        (b"\n\n\ndata: a\n\n\n\n", ["a"]),
        (b"id:137\n\n", []),
        (b"data: a\nid:137\n\n", ["a"]),
        (b"id: 1\nevent: message\nretry: 10\ndata: a\n\n", ["a"]),
        (b": keep-alive\n\ndata: a\n: between\n\n", ["a"]),
        (b"other: x\ndata: a\nother: y\nother\n\n", ["a"]),
        (b'"before": 1\ndata: a\n\n', ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: [DONE]\n\n", ["[DONE]"]),
        ("data: é\u2028\x85\x0b\n\n".encode(), ["é\u2028\x85\x0b"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"data: a\n", ["a"]),
        (b"data: a", ["a"]),
        (b"data: a\ni", ["a"]),
        (b"data: a\n\ndat", ["a"]),
    ],
)
def test_an_event_is_what_its_data_lines_hold(stream: bytes, events: list[str]) -> None:
    """Fields other than data, comments and empty events say nothing; the end of the stream ends an event too."""
    assert read(stream) == read(*singly(stream)) == events


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_json_over_several_lines_is_one_event(end: str) -> None:
    """The documents print the JSON of an event over lines without a field; they belong to it."""
    value = {"id": "d0", "messages": [{"text": "a: b", "n": [1, True, None]}], "end": {}}
    stream = f"data: {json.dumps(value, indent=2)}\nid:137\n\n".replace("\n", end).encode()
    for chunks in ([stream], singly(stream)):
        [event] = read(*chunks)
        assert json.loads(event) == value


@given(STREAMS, st.lists(st.integers(0, 60), max_size=6))
def test_chunks_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    """The events follow from the bytes alone, not from the pieces in which they came."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert read(*chunks) == read(stream) == read(*singly(stream))


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read(texts: list[str], end: str) -> None:
    """Any text without an end of line comes out as it went in, if it is more than spaces."""
    lines = [re.sub(r"[\r\n]", "", text) for text in texts]
    stream = "".join(f"data: {line}{end}{end}" for line in lines).encode()
    assert read(*singly(stream)) == [line for line in lines if line.strip(" \t\v\f")]


@given(STREAMS, st.integers(1, 20))
def test_the_limit_does_not_depend_on_chunks(stream: bytes, limit: int) -> None:
    """A stream with an event that is too long gives the events before it and then fails, however it is cut."""
    outcomes = []
    for chunks in ([stream], singly(stream)):
        lines = EventReader(Limits(frame_bytes=limit))
        found: list[str] = []
        try:
            for chunk in chunks:
                lines.receive(chunk)
                found += taken(lines)
            lines.receive_eof()
            found += taken(lines)
        except ProtocolError as exc:
            found.append(exc.message)
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("stream", [b"data: 45678\n\n", b": 345678901\n\n", b"data:6\ndata:6\n\n", b"x" * 11])
def test_an_event_has_its_bounds(stream: bytes) -> None:
    """A line or an event over the limit is refused, after what came before it; nothing comes after it."""
    for chunks in ([b"data: a\n\n" + stream], singly(b"data: a\n\n" + stream)):
        lines = EventReader(Limits(frame_bytes=10))
        for chunk in [*chunks, b"data: b\n\n"]:
            lines.receive(chunk)
        lines.receive_eof()
        assert lines.next_event() == b"a"
        for _ in range(2):
            with pytest.raises(ProtocolError, match="over 10 bytes in one event"):
                lines.next_event()


def test_a_line_that_does_not_end_is_bounded() -> None:
    """What is longer than an event may be is refused before its end has come, and let go."""
    lines = EventReader(Limits(frame_bytes=10))
    lines.receive(b"data: 45678")
    with pytest.raises(ProtocolError):
        lines.next_event()
    assert not lines._tail


@pytest.mark.parametrize("stream", [b"data: 6789", b"data: 6789\n\n", b"data:\ndata:\n\ndata: 6789\n: 3456789\n"])
def test_an_event_of_the_longest_length_passes(stream: bytes) -> None:
    """The limit is the longest that is accepted."""
    assert read(stream, max_bytes=10) == read(*singly(stream), max_bytes=10) == ["6789"]


def test_what_has_not_come_is_awaited() -> None:
    """Between events and after the last one None is given, as often as it is asked for; `at_end` tells which."""
    lines = EventReader()
    assert (lines.next_event(), lines.at_end) == (None, False)
    lines.receive(b"data: a\n")
    assert (lines.next_event(), lines.at_end) == (None, False)
    lines.receive(b"\n")
    lines.receive_eof()
    lines.receive_eof()
    lines.receive(b"data: b\n\n")
    assert not lines.at_end
    assert [lines.next_event(), lines.next_event(), lines.next_event()] == [b"a", None, None]
    assert lines.at_end


@pytest.mark.parametrize(
    ("stream", "cut_off"), [(b"data: a\n\n", False), (b"data: a\n\ndata: b\n", True), (b"", False)]
)
def test_an_event_without_its_end_is_recognised(stream: bytes, *, cut_off: bool) -> None:
    """`cut_off` is true once the event that the end of the stream cut off was given, and not before."""
    lines = EventReader()
    lines.receive(stream)
    lines.receive_eof()
    assert not (lines.cut_off and lines._events)
    list(taken(lines))
    assert lines.cut_off is cut_off


def test_a_line_in_thousands_of_pieces_is_whole() -> None:
    """A long line in single bytes is one event."""
    text = "0123456789" * 3000
    assert read(*singly(f"data: {text}\n\n".encode())) == [text]
