"""The text of documents."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import DocumentBlock

from bing_llm.errors import InvalidRequest
from llama_index.llms.bing.messages import text_of_document

TEXT = "Größe, Gewicht\n1, 2"
BYTES = TEXT.encode()


def read(**fields: Any) -> str:
    """The text of a document with these fields."""
    return text_of_document(DocumentBlock(**fields), "user")


def refused(**fields: Any) -> str:
    """The text of the error."""
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    return str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": BYTES},
        {"data": base64.b64encode(BYTES)},
        {"data": BytesIO(BYTES)},
        {"data": b"\xef\xbb\xbf" + BYTES},
        {"url": f"data:text/plain;base64,{base64.b64encode(BYTES).decode()}"},
        {"url": f"DATA:text/csv;charset=utf-8;base64,{base64.b64encode(BYTES).decode()}"},
        {"url": f"data:;base64,{base64.b64encode(BYTES).decode().replace('=', '%3D')}"},
        {"url": "data:text/plain,Gr%C3%B6%C3%9Fe, Gewicht%0A1, 2"},
    ],
)
def test_a_document_is_read_wherever_it_is(fields: dict[str, Any]) -> None:
    """From bytes, base64, a stream or a `data:` URL."""
    assert read(**fields) == TEXT


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_read(kind: Any, tmp_path: Path) -> None:
    """Its name may be a str."""
    file = tmp_path / "sizes.csv"
    file.write_bytes(BYTES)
    assert read(path=kind(file)) == TEXT


def test_bytes_that_were_set_later_are_read() -> None:
    """LlamaIndex writes in base64 only what it is given at first."""
    block = DocumentBlock(data=b"One.")
    block.data = BYTES
    assert text_of_document(block, "user") == TEXT


def test_a_title_stands_before_the_text() -> None:
    """The title that LlamaIndex gives to all that have none is none."""
    assert read(data=BYTES, title="Sizes") == f"Sizes\n{TEXT}"
    assert DocumentBlock(data=BYTES).title == "input_document"
    assert read(data=BYTES) == TEXT


def test_an_empty_document_adds_no_text() -> None:
    """There is nothing wrong with it."""
    assert (read(data=b""), read(data=b"", title="Nothing")) == ("", "Nothing")


def test_a_stream_stays_where_it_stands() -> None:
    """Also where it holds no text."""
    for content in (BYTES, b"\xff"):
        stream = BytesIO(content)
        stream.seek(1)
        block = DocumentBlock(data=stream)
        stream.seek(1)
        try:
            text_of_document(block, "user")
        except InvalidRequest:
            assert content == b"\xff"
        assert stream.tell() == 1


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "text/markdown",
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-ndjson",
        "application/octet-stream",
        "image/svg+xml",
        "something",
    ],
)
def test_characters_are_text_whatever_their_type(kind: str | None) -> None:
    """There are more types of text than anybody lists."""
    assert read(data=BYTES, document_mimetype=kind) == TEXT


@pytest.mark.parametrize("kind", ["application/pdf", "APPLICATION/RTF", "image/x-xbitmap", "audio/midi", "video/mp4"])
def test_what_says_that_it_is_not_text_is_refused(kind: str) -> None:
    """Some formats are characters too, but not to be read."""
    complaint = f"A DocumentBlock in a user message is not text but {kind}."
    hint = "Pass its text in a TextBlock, or a document of UTF-8 text as data, a path or a data: URL."
    assert refused(data=BYTES, document_mimetype=kind) == f"{complaint} {hint}"
    assert refused(url=f"data:{kind},secret") == f"{complaint} {hint}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"%PDF-1.7\nsecret", "is not text"),
        (b"{\\rtf1 secret}", "is not text"),
        (b"secret\0", "is not text"),
        (b"PK\x03\x04\0\0", "is not text"),
        (b"Gr\xf6\xdfe, secret", "is not text in UTF-8."),
    ],
)
def test_bytes_that_are_not_text_are_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    """The error says so, and nothing of what they are."""
    file = tmp_path / "file"
    file.write_bytes(content)
    for source in ({"data": content}, {"data": BytesIO(content)}, {"path": file}):
        complaint = refused(**source)
        assert f"A DocumentBlock in a user message {problem}" in complaint
        assert "secret" not in complaint


@pytest.mark.parametrize("url", ["https://example.com/secret.txt", "file:///etc/secret", "secret.txt", "HTTP://secret"])
def test_nothing_is_fetched(url: str) -> None:
    """The error says what to pass, and not the URL, which may hold secrets."""
    complaint = refused(url=url)
    assert "A DocumentBlock in a user message is at a URL; documents are not fetched. Pass its text in a" in complaint
    assert "secret" not in complaint


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("data:text/plain", "has a data: URL without a comma."),
        ("data:;base64,QUJD?", "cannot be read: "),
        ("data:;base64,QUJDR", "cannot be read: "),
        ("data:" + ";" * 100_000, "has a data: URL without a comma."),
    ],
)
def test_a_data_url_that_is_none_is_refused(url: str, problem: str) -> None:
    """Half a document is none."""
    assert f"A DocumentBlock in a user message {problem}" in refused(url=url)


def test_a_type_that_was_guessed_from_a_data_url_does_not_count() -> None:
    """LlamaIndex takes its last letters for the end of a file's name."""
    block = DocumentBlock(url="data:text/plain,see a.pdf")
    assert block.document_mimetype == "application/pdf"
    assert text_of_document(block, "user") == "see a.pdf"


@pytest.mark.parametrize("name", ["no such file", ".", "a\0b", "x" * 5000])
def test_a_file_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    """Also a folder, and what can be no name; a document that was passed as a path does not fill the error."""
    block = DocumentBlock()
    block.path = str(tmp_path / name)  # set later, since LlamaIndex itself looks at it at first
    with pytest.raises(InvalidRequest) as caught:
        text_of_document(block, "user")
    complaint = str(caught.value)
    assert "A DocumentBlock in a user message" in complaint
    assert "where there is no file." in complaint or "cannot be read: File name too long." in complaint
    assert len(complaint) < 500


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is our own, and says why."""

    def fail(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "A DocumentBlock in a user message cannot be read: Permission denied. Pass its" in refused(path=file)


def test_a_stream_that_is_closed_is_refused() -> None:
    """The error is our own, and says why."""
    block = DocumentBlock(data=BytesIO(BYTES))
    assert isinstance(block.data, BytesIO)
    block.data.close()
    with pytest.raises(InvalidRequest, match="cannot be read: I/O operation on closed file"):
        text_of_document(block, "user")


def test_a_document_of_nothing_is_refused() -> None:
    """The role in the error is that of the message."""
    with pytest.raises(InvalidRequest, match="A DocumentBlock in a tool message has neither data nor a path nor a URL"):
        text_of_document(DocumentBlock(), "tool")
