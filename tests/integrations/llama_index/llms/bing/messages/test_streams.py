"""Streams that blocks hold."""

from __future__ import annotations

from io import BytesIO, RawIOBase, StringIO

import pytest

from llama_index.llms.bing.messages import read_stream


def test_a_stream_is_read_whole_and_stays_where_it_stands() -> None:
    """It is the caller's, who may go on reading."""
    stream = BytesIO(b"Hello.")
    stream.seek(3)
    assert (read_stream(stream), stream.tell()) == (b"Hello.", 3)
    assert read_stream(stream) == b"Hello."


def test_a_stream_of_text_is_utf_8() -> None:
    """A file that was opened as text has text in it."""
    assert read_stream(StringIO("Grüße")) == "Grüße".encode()


def test_a_stream_that_cannot_begin_again_is_not_read() -> None:
    """What was read before is lost, and half of it is not a document."""
    with pytest.raises(OSError, match="seek"):
        read_stream(RawIOBase())


def test_a_closed_stream_is_not_read() -> None:
    """It has nothing any more."""
    stream = BytesIO(b"Hello.")
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        read_stream(stream)
