"""The pictures of a message, in every provider's form."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from langchain_bing.messages import pictures_in, to_history

URL = "https://example.com/a.png"
DATA = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "image_url", "image_url": {"url": URL}}, URL),
        ({"type": "image_url", "image_url": URL}, URL),
        ({"type": "image_url", "image_url": {"url": DATA}}, DATA),
        ({"type": "image_url", "image_url": {"url": "HTTPS://Example.com/A.png"}}, "https://Example.com/A.png"),
        ({"type": "input_image", "image_url": URL}, URL),
        ({"type": "image", "url": URL}, URL),
        ({"type": "image", "base64": "AAAA", "mime_type": "image/png"}, DATA),
        ({"type": "image", "base64": "AAAA"}, DATA),
        (
            {"type": "image", "source_type": "base64", "data": "AAAA", "mime_type": "image/gif"},
            DATA.replace("png", "gif"),
        ),
        ({"type": "image", "source_type": "url", "url": URL}, URL),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, DATA),
        ({"type": "image", "source": {"type": "url", "url": URL}}, URL),
    ],
)
def test_every_form_of_a_picture_is_read(block: dict[str, Any], expected: str) -> None:
    """OpenAI's, Anthropic's, and LangChain's own of both versions."""
    assert list(pictures_in(["What is this?", block])) == [expected]
    history = to_history([HumanMessage(["What is this?", block])])
    assert (history.messages, history.images) == ((Message("user", "What is this?\n[image]"),), (expected,))


def refused(block: dict[str, Any]) -> str:
    """The text of the error."""
    with pytest.raises(InvalidRequest) as caught:
        list(pictures_in([block]))
    return str(caught.value)


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "file://host/etc/passwd", "a.png", r"C:\a.png"])
@pytest.mark.parametrize("form", ["image_url", "image"])
def test_a_path_is_not_a_picture(url: str, form: str) -> None:
    """Messages may come from strangers, so no block makes us read a file of this machine."""
    text = refused({"type": form, "image_url": {"url": url}} if form == "image_url" else {"type": form, "url": url})
    assert text == (
        "An image block names a file, and paths are not read. Pass base64 data, or an http(s) or data: URL."
    )


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "has neither data nor a URL"),
        (None, "has neither data nor a URL"),
        (7, "has neither data nor a URL"),
        ("http:/[x", "names a file"),
        ("x://[y", "has a URL that cannot be read"),
        ("ftp://ada:secret@files.example.com/secret.png?secret=1", "has a URL of ftp://files.example.com, which"),
    ],
)
def test_what_is_not_a_url_of_a_picture_is_refused(url: Any, complaint: str) -> None:
    """The error says where it should have come from, without what may be secret in it."""
    text = refused({"type": "image_url", "image_url": {"url": url}})
    assert complaint in text
    assert "secret" not in text


def test_the_rest_of_the_content_is_not_a_picture() -> None:
    """Text, strings and other blocks are passed over."""
    assert list(pictures_in("text")) == []
    assert list(pictures_in(["text", {"type": ["image"]}, {"type": "text", "text": URL}])) == []
