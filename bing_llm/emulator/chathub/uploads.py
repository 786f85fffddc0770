"""The pictures that are uploaded to the emulator, and the multipart forms that bring them."""

from __future__ import annotations

import base64
import binascii
import secrets
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bing_llm.errors import InvalidRequest
from bing_llm.images import Image, load_image


class Blobs:
    """Pictures by blob id."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def add_base64(self, text: str) -> tuple[str, str]:
        """Keep a picture; answer with its id and that of its processed form, both "" if it is not a picture."""
        try:
            image = load_image(base64.b64decode(text, validate=True))
        except (InvalidRequest, binascii.Error, ValueError):
            return ("", "")
        return self._add(image)

    def add_url(self, url: str) -> tuple[str, str]:
        """Keep the URL of a picture, which is not fetched; two ids, both "" if it is not a web address."""
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


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields by name; empty for a body that is not a form.

    Public clients send a fixed `multipart/form-data` without a boundary (sydney-py 0.23.1, re-edge-gpt 0.0.46); the
    first line of the body has it, and is always taken from there.

    Args:
        content_type: The header.
        body: The whole body.
    """
    delimiter = body.split(b"\r\n", 1)[0]
    if not content_type.lower().startswith("multipart/form-data") or not delimiter.startswith(b"--"):
        return {}
    head = b'Content-Type: multipart/form-data; boundary="' + delimiter[2:] + b'"\r\n\r\n'
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    return {name: content for part in message.iter_parts() if (name := _name(part)) and (content := _content(part))}


def _name(part: MIMEPart[Any, Any]) -> str:
    name = part.get_param("name", "", header="Content-Disposition")
    return name if isinstance(name, str) else ""


def _content(part: MIMEPart[Any, Any]) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
