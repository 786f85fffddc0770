"""What one emulator keeps."""

from __future__ import annotations

import base64

import pytest

from bing_llm.emulator import Emulator, Received, state
from bing_llm.emulator.state import REQUESTS_KEPT, Blobs
from bing_llm.images import Image

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
ENCODED = base64.b64encode(PNG).decode()


def test_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are dropped, by number and by size; the newest stays, however large."""
    monkeypatch.setattr(state, "_MOST_PICTURES", 3)
    blobs = Blobs()
    ids = [blobs.add_base64(ENCODED)[0] for _ in range(5)]
    assert [blobs.get(blob) is not None for blob in ids] == [False, False, True, True, True]
    monkeypatch.setattr(state, "_MOST_PICTURE_BYTES", 2 * len(PNG))
    ids = [*ids[2:], blobs.add_base64(ENCODED)[1]]
    assert [blobs.get(blob) is not None for blob in ids] == [False, False, True, True]
    monkeypatch.setattr(state, "_MOST_PICTURE_BYTES", 1)
    last, _ = blobs.add_base64(ENCODED)
    assert blobs.get(last) is not None
    assert len(blobs._images) == 2


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


def test_only_the_last_requests_are_kept() -> None:
    """The oldest request goes where there are too many, in the list that was given out."""
    emulator = Emulator()
    kept = emulator.requests
    for number in range(REQUESTS_KEPT + 2):
        emulator._state.note(Received(kind="list", path=str(number)))
    assert len(kept) == REQUESTS_KEPT == 1_000
    assert (kept[0].path, kept[-1].path) == ("2", "1001")


def test_the_repr_has_no_token() -> None:
    """The token is left out of the repr."""
    assert "secret" not in repr(Emulator(token="secret")._state)
