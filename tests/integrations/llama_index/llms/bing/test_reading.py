"""Streams that blocks hold."""

from __future__ import annotations

from io import BytesIO, RawIOBase, StringIO

import pytest

from llama_index.llms.bing.reading import bytes_of


def test_a_stream_is_read_whole_and_stays_where_it_stands() -> None:
    """It is the caller's, who may go on reading."""
    stream = BytesIO(b"Hello.")
    stream.seek(3)
    assert (bytes_of(stream), stream.tell()) == (b"Hello.", 3)
    assert bytes_of(stream) == b"Hello."


def test_a_stream_of_text_is_utf_8() -> None:
    """A file that was opened as text has text in it."""
    assert bytes_of(StringIO("Grüße")) == "Grüße".encode()


def test_a_stream_that_cannot_begin_again_is_not_read() -> None:
    """What was read before is lost, and half of it is no document."""
    with pytest.raises(OSError, match="seek"):
        bytes_of(RawIOBase())


def test_a_closed_stream_is_not_read() -> None:
    """It has nothing any more."""
    stream = BytesIO(b"Hello.")
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        bytes_of(stream)
