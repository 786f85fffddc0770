"""The pictures that were uploaded."""

from __future__ import annotations

import base64

import pytest

from bing_llm.emulator.blobs import Blobs
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
def test_what_is_no_picture_has_empty_ids(text: str) -> None:
    """Nothing is kept of what is not base64, or no picture."""
    assert Blobs().add_base64(text) == ("", "")


def test_a_url_is_kept_and_not_fetched() -> None:
    """The URL of a picture gets ids; what is no web address gets empty ones."""
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
