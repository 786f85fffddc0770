"""Records out of bytes, whatever pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub.framing import MAX_RECORDS_A_MESSAGE, SEPARATOR, RecordReader
from bing_llm.errors import ProtocolError
from bing_llm.limits import Limits

CHUNKS = st.lists(st.lists(st.sampled_from([b"a", b"b", SEPARATOR]), max_size=6).map(b"".join), max_size=8)


def read(chunks: list[bytes], max_bytes: int = 1000) -> list[bytes]:
    """The records of these chunks."""
    reader = RecordReader(Limits(frame_bytes=max_bytes))
    return [record for chunk in chunks for record in reader.feed(chunk)]


def singles(data: bytes) -> list[bytes]:
    """Each byte by itself."""
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("chunks", "records"),
    [
        ([], []),
        ([b"one\x1e"], [b"one"]),
        ([b"one\x1etwo\x1e"], [b"one", b"two"]),
        ([b"o", b"n", b"e", b"\x1e"], [b"one"]),
        ([b"one\x1etw", b"o\x1e"], [b"one", b"two"]),
        ([b"one"], []),
        ([b"one\x1etwo"], [b"one"]),
        ([b"\x1e\x1eone\x1e\x1e", b"\x1e"], [b"one"]),
        ([b"", b"one\x1e", b""], [b"one"]),
    ],
)
def test_a_record_ends_with_its_separator(chunks: list[bytes], records: list[bytes]) -> None:
    """A record is complete when its separator has come; empty ones are left out."""
    assert read(chunks) == records


@given(CHUNKS)
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    """The records follow from the bytes alone, not from the pieces in which they came."""
    whole = b"".join(chunks)
    assert read(chunks) == [record for record in whole.split(b"\x1e")[:-1] if record]
    assert read(chunks) == read([whole]) == read(singles(whole))


@given(CHUNKS, st.integers(1, 6))
def test_the_limit_does_not_depend_on_chunks(chunks: list[bytes], limit: int) -> None:
    """A record that is too long is refused, in whatever pieces it comes; others are not."""
    whole = b"".join(chunks)
    too_long = max(map(len, whole.split(b"\x1e"))) > limit
    for pieces in (chunks, [whole], singles(whole)):
        if too_long:
            with pytest.raises(ProtocolError, match=f"over {limit} bytes in one record"):
                read(pieces, limit)
        else:
            assert read(pieces, limit) == read([whole])


@pytest.mark.parametrize(
    "chunks", [[b"abcd"], [b"abc", b"d"], [b"abcd\x1e"], [b"abc", b"d\x1e"], [b"a\x1eabcd\x1ea\x1e"]]
)
def test_a_record_may_have_so_many_bytes(chunks: list[bytes]) -> None:
    """A record of the longest length passes; one byte more is refused before its end has come."""
    with pytest.raises(ProtocolError):
        read(chunks, 3)
    read(chunks, 4)


def test_a_message_holds_so_many_records() -> None:
    """A message full of tiny records is refused, and none of them is read; empty ones count too."""
    assert len(read([b"{}\x1e" * MAX_RECORDS_A_MESSAGE])) == MAX_RECORDS_A_MESSAGE
    with pytest.raises(ProtocolError, match="over 10,000 records in one message"):
        read([b"\x1e" * (MAX_RECORDS_A_MESSAGE + 1)])


def test_a_record_in_thousands_of_pieces_is_whole() -> None:
    """Pieces are joined now and then, and nothing of them is lost."""
    pieces = [b"%d" % number for number in range(3000)]
    assert read([*pieces, b"\x1e"], 20_000) == [b"".join(pieces)]
