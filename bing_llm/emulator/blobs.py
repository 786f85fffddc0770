"""The pictures that were uploaded to the emulator."""

from __future__ import annotations

import base64
import binascii
import secrets
from urllib.parse import parse_qs, urlsplit

from bing_llm.errors import InvalidRequest
from bing_llm.images import Image, load_image

__all__ = ["Blobs"]


class Blobs:
    """Pictures by blob id."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def add_base64(self, text: str) -> tuple[str, str]:
        """Keep a picture; answer with its id and that of its processed form, both "" for what is no picture."""
        try:
            image = load_image(base64.b64decode(text, validate=True))
        except (InvalidRequest, binascii.Error, ValueError):
            return ("", "")
        return self._add(image)

    def add_url(self, url: str) -> tuple[str, str]:
        """Keep the URL of a picture, which is not fetched; two ids, both "" for what is no web address."""
        return self._add(Image(url=url)) if url.startswith(("http://", "https://")) else ("", "")

    def get(self, blob_id: str) -> Image | None:
        """The picture of this id."""
        return self._images.get(blob_id)

    def of_message(self, image_url: str | None, original_image_url: str | None) -> tuple[Image, ...]:
        """The picture that a message refers to: as uploaded where its URL has one of our ids, else the URL itself."""
        url = image_url or original_image_url
        if not url:
            return ()
        blob_id = _blob_id(url)
        return (self._images.get(blob_id) or Image(url=url),)

    def _add(self, image: Image) -> tuple[str, str]:
        ids = (secrets.token_urlsafe(16), secrets.token_urlsafe(16))
        self._images.update(dict.fromkeys(ids, image))
        return ids


def _blob_id(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get("bcid", [""])[0]
    except ValueError:
        return ""
