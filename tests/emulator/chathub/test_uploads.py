"""Uploaded pictures, and the forms that bring them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.chathub.uploads import Blobs, form_fields
from bing_llm.images import Image

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
ENCODED = base64.b64encode(PNG).decode()


def test_a_picture_has_two_ids() -> None:
    """A picture is found by its own id and by that of its processed form."""
    blobs = Blobs()
    blob, processed = blobs.add_base64(ENCODED)
    assert blob != processed
    assert blobs.get(blob) == blobs.get(processed) == Image(data=PNG)


@pytest.mark.parametrize("text", ["", "%%%", base64.b64encode(b"no picture").decode(), "ä"])
def test_what_is_not_a_picture_has_empty_ids(text: str) -> None:
    """Nothing is kept of what is not base64, or no picture."""
    assert Blobs().add_base64(text) == ("", "")


def test_a_url_is_kept_and_not_fetched() -> None:
    """The URL of a picture gets ids; a URL that is not a web address gets empty ones."""
    blobs = Blobs()
    blob, _ = blobs.add_url("https://x.example/a.png")
    assert blobs.get(blob) == Image(url="https://x.example/a.png")
    assert blobs.add_url("file:///etc/passwd") == ("", "")


def test_a_message_refers_to_its_picture() -> None:
    """The id in `imageUrl`, on any host, leads to the bytes; `originalImageUrl` counts where that is missing."""
    blobs = Blobs()
    blob, processed = blobs.add_base64(ENCODED)
    assert blobs.of_message(f"https://www.bing.com/images/blob?bcid={blob}", None) == (Image(data=PNG),)
    assert blobs.of_message(None, f"http://127.0.0.1/images/blob?x=1&bcid={processed}") == (Image(data=PNG),)
    assert blobs.of_message(None, None) == ()


@pytest.mark.parametrize("url", ["https://x.example/a.png", "https://x.example/?bcid=unknown", "http://[", "just text"])
def test_another_url_stays_a_url(url: str) -> None:
    """A picture that was not uploaded here is known by its URL only."""
    assert Blobs().of_message(url, None) == (Image(url=url),)


BODY = (
    b"--b0undary\r\n"
    b'Content-Disposition: form-data; name="knowledgeRequest"\r\nContent-Type: application/json; charset=utf-8\r\n\r\n'
    b'{"a":1}\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="imageBase64"\r\n\r\nAAAA\r\nBBBB\r\n'
    b"--b0undary--\r\n"
)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=b0undary", "multipart/form-data", "Multipart/Form-Data"]
)
def test_fields_are_read(content_type: str) -> None:
    """The boundary is that of the body's first line, whether the header has one or not."""
    assert form_fields(content_type, BODY) == {"knowledgeRequest": b'{"a":1}', "imageBase64": b"AAAA\r\nBBBB"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", BODY), ("", BODY), ("multipart/form-data", b""), ("multipart/form-data", b"{}")],
)
def test_what_is_not_a_form_has_no_fields(content_type: str, body: bytes) -> None:
    """Another type, or a body that does not begin with a boundary, gives nothing."""
    assert form_fields(content_type, body) == {}


@given(st.binary(), st.binary())
def test_any_body_gives_fields_or_nothing(first: bytes, rest: bytes) -> None:
    """No body makes it fail."""
    for body in (first + rest, b"--" + first + b"\r\n" + rest, b"--b\r\n" + rest + b"\r\n--b--"):
        assert isinstance(form_fields("multipart/form-data", body), dict)
