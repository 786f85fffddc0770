"""Records out of text, whatever pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub.framing import MAX_RECORDS_A_MESSAGE, SEPARATOR, RecordReader
from bing_llm.errors import ProtocolError
from bing_llm.limits import Limits

CHUNKS = st.lists(st.text(st.sampled_from(["a", "b", SEPARATOR]), max_size=6), max_size=8)


def read(chunks: list[str], max_characters: int = 1000) -> list[str]:
    """The records of these chunks."""
    reader = RecordReader(Limits(frame_bytes=max_characters))
    return [record for chunk in chunks for record in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("chunks", "records"),
    [
        ([], []),
        (["one\x1e"], ["one"]),
        (["one\x1etwo\x1e"], ["one", "two"]),
        (["o", "n", "e", "\x1e"], ["one"]),
        (["one\x1etw", "o\x1e"], ["one", "two"]),
        (["one"], []),
        (["one\x1etwo"], ["one"]),
        (["\x1e\x1eone\x1e\x1e", "\x1e"], ["one"]),
        (["", "one\x1e", ""], ["one"]),
    ],
)
def test_a_record_ends_with_its_separator(chunks: list[str], records: list[str]) -> None:
    """A record is complete when its separator has come; empty ones are left out."""
    assert read(chunks) == records


@given(CHUNKS)
def test_chunks_do_not_matter(chunks: list[str]) -> None:
    """The records follow from the text alone, not from the pieces in which it came."""
    text = "".join(chunks)
    assert read(chunks) == read([text]) == read(list(text)) == [record for record in text.split("\x1e")[:-1] if record]


@given(CHUNKS, st.integers(1, 6))
def test_the_limit_does_not_depend_on_chunks(chunks: list[str], limit: int) -> None:
    """Text with a record that is too long is refused, in whatever pieces it comes; other text is not."""
    text = "".join(chunks)
    too_long = max(map(len, text.split("\x1e"))) > limit
    for pieces in (chunks, [text], list(text)):
        if too_long:
            with pytest.raises(ProtocolError, match=f"over {limit} characters in one record"):
                read(pieces, limit)
        else:
            assert read(pieces, limit) == read([text])


@pytest.mark.parametrize("chunks", [["abcd"], ["abc", "d"], ["abcd\x1e"], ["abc", "d\x1e"], ["a\x1eabcd\x1ea\x1e"]])
def test_a_record_may_have_so_many_characters(chunks: list[str]) -> None:
    """A record of the longest length passes; one character more is refused before its end has come."""
    with pytest.raises(ProtocolError):
        read(chunks, 3)
    read(chunks, 4)


def test_a_message_holds_so_many_records() -> None:
    """A message full of tiny records is refused, and none of them is read; empty ones count too."""
    assert len(read(["{}\x1e" * MAX_RECORDS_A_MESSAGE])) == MAX_RECORDS_A_MESSAGE
    with pytest.raises(ProtocolError, match="over 10,000 records in one message"):
        read(["\x1e" * (MAX_RECORDS_A_MESSAGE + 1)])


def test_a_record_in_thousands_of_pieces_is_whole() -> None:
    """Pieces are joined now and then, and nothing of them is lost."""
    pieces = [str(number) for number in range(3000)]
    assert read([*pieces, "\x1e"], 20_000) == ["".join(pieces)]
