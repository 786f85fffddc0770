"""The pictures of a message."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import CitableBlock, CitationBlock, ImageBlock, TextBlock

from bing_llm.errors import InvalidRequest
from bing_llm.images import load_image
from llama_index.llms.bing.messages import pictures_in

PNG = b"\x89PNG\r\n\x1a\n\x00"
DATA = "data:image/png;base64,iVBORw0KGgoA"
URL = "https://example.com/a.png"


def refused(block: ImageBlock) -> str:
    """The text of the error."""
    with pytest.raises(InvalidRequest) as caught:
        list(pictures_in([block]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (ImageBlock(image=PNG), DATA),
        (ImageBlock(image=b"iVBORw0KGgoA"), DATA),
        (ImageBlock(image=PNG, image_mimetype="image/gif"), DATA.replace("png", "gif")),
        (ImageBlock(image=b"?"), "data:image/png;base64,Pw=="),
        (ImageBlock(image=BytesIO(PNG)), PNG),
        (ImageBlock(url=URL), URL),
        (ImageBlock(url="HTTPS://example.com/a.png"), URL),
        (ImageBlock(url=DATA), DATA),
        (ImageBlock(image=PNG, url=URL), DATA),
    ],
)
def test_every_form_of_a_picture_is_read(block: ImageBlock, expected: Any) -> None:
    """LlamaIndex has bytes in base64, streams and URLs."""
    assert list(pictures_in([block])) == [expected]


@pytest.mark.parametrize("form", ["bytes", "stream", "path", "url"])
def test_what_is_read_can_be_sent(form: str, tmp_path: Path) -> None:
    """Every form is one that the client takes."""
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    block = {
        "bytes": ImageBlock(image=PNG),
        "stream": ImageBlock(image=BytesIO(PNG)),
        "path": ImageBlock(path=file),
        "url": ImageBlock(url=DATA),
    }[form]
    (source,) = pictures_in([block])
    assert load_image(source).data == PNG


def test_what_was_set_later_is_read() -> None:
    """LlamaIndex changes and checks only what it is given at first."""
    block = ImageBlock()
    block.image = PNG
    assert list(pictures_in([block])) == [PNG]
    block.image, block.url = None, "HTTPS://Example.com/A.png"
    assert list(pictures_in([block])) == ["https://Example.com/A.png"]


def test_a_path_is_not_opened_before_it_is_sent(tmp_path: Path) -> None:
    """A file that is gone is the client's to complain of."""
    file = tmp_path / "a.png"
    file.touch()
    block = ImageBlock(path=file)
    file.unlink()
    (source,) = pictures_in([block])
    assert source == file
    with pytest.raises(InvalidRequest, match="cannot be read: No such file"):
        load_image(source)


def test_pictures_that_are_quoted_count_too() -> None:
    """In their order, and nothing else does."""
    first, second, third = (ImageBlock(url=f"https://example.com/{name}") for name in "abc")
    citable = CitableBlock(title="T", source="S", content=[TextBlock(text=URL), second])
    citation = CitationBlock(cited_content=third, source="S", title="T", additional_location_info={})
    expected = [f"https://example.com/{name}" for name in "abc"]
    assert list(pictures_in([TextBlock(text=URL), first, citable, citation])) == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (None, "has neither data nor a URL"),
        ("file:///etc/secret", "names a file"),
        ("/etc/secret.png", "names a file"),
        ("http:secret.png", "names a file"),
        ("x://[secret", "has a URL that cannot be read"),
        ("ftp://ada:secret@files.example.com/secret.png?secret=1", "has a URL of ftp://files.example.com, which the"),
    ],
)
def test_what_is_not_a_url_of_a_picture_is_refused(url: str | None, complaint: str) -> None:
    """No URL makes us read a file; the error says where it led, without what may be secret in it."""
    block = ImageBlock()
    block.url = url
    text = refused(block)
    assert f"An ImageBlock in a user message {complaint}" in text
    assert text.endswith("Pass its bytes as image, its path as path, or an http(s) or data: URL as url.")
    assert "secret" not in text


def test_a_stream_that_is_closed_is_refused() -> None:
    """The error is our own, and says why."""
    stream = BytesIO(PNG)
    block = ImageBlock(image=stream)
    stream.close()
    assert "has a stream that cannot be read: I/O operation on closed file" in refused(block)
