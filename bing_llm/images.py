"""Pictures that go with a prompt, checked before anything is sent."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import TypeAlias

import msgspec

from bing_llm._checks import check_text
from bing_llm._urls import public_url
from bing_llm.errors import InvalidRequest

ImageSource: TypeAlias = "Image | str | bytes | os.PathLike[str]"

# The web client's own bound was 1 MB, 10 MB for paying accounts (docs/protocol/chathub.md, section j). The larger one
# is ours: past it no account is served, below it the service decides.
MAX_IMAGE_BYTES = 10_000_000

_LONGEST_SHOWN = 200  # characters of a path in an error: someone will pass a whole picture in base64 as one

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_scheme = re.compile(r"(?:https?://|data:)", re.IGNORECASE)

_HINT = "Allowed: PNG, JPEG, GIF or WebP, as the path of a file, a data: URL or an http(s) URL; in Python also bytes."


class Image(msgspec.Struct, frozen=True):
    """A picture: either its bytes in `data`, or a public `url` that the service fetches itself."""

    data: bytes = b""
    url: str = ""

    def __repr__(self) -> str:
        return f"Image(url={public_url(self.url)!r})" if self.url else f"Image({len(self.data)} bytes)"


def picture_url(url: str) -> str | None:
    """The URL of a picture as `load_image` takes it, None for one that is not http(s) or `data:`."""
    found = _scheme.match(url)
    return found[0].lower() + url[found.end() :] if found else None


def load_image(source: ImageSource) -> Image:
    """Read and check one picture.

    Args:
        source: PNG, JPEG, GIF or WebP bytes; a path; an http(s) URL, which the service fetches itself; a
            `data:` URL.

    Raises:
        InvalidRequest: It cannot be read, is not a picture of these formats, or has over 10,000,000 bytes.
    """
    if isinstance(source, Image):
        return source if source.url else _checked(source.data, "the image")
    if isinstance(source, bytes):
        return _checked(source, "the image")
    try:
        name = os.fspath(source)
    except TypeError as exc:
        raise InvalidRequest(f"An image is a {type(source).__name__}.", hint=_HINT) from exc
    if name.startswith(("http://", "https://")):
        check_text(name, "The URL of an image")
        return Image(url=name)
    if name.startswith("data:"):
        return _checked(_data_url_bytes(name), "the data: URL")
    shown = repr(name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}...")
    try:
        return _checked(Path(name).read_bytes(), shown)
    except (OSError, ValueError) as exc:
        msg = f"The image {shown} cannot be read: {getattr(exc, 'strerror', None) or exc}."
        raise InvalidRequest(msg, hint=_HINT) from exc


def _data_url_bytes(url: str) -> bytes:
    header, _, body = url.partition(",")
    if not header.endswith(";base64"):
        msg = "The data: URL of an image is not encoded in base64."
        raise InvalidRequest(msg, hint=_HINT)
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as exc:
        msg = f"The data: URL of an image is not valid base64: {exc}."
        raise InvalidRequest(msg, hint=_HINT) from exc


def _checked(data: bytes, name: str) -> Image:
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not is_webp and not data.startswith(_SIGNATURES):
        msg = f"The bytes of {name} are not a PNG, JPEG, GIF or WebP picture."
        raise InvalidRequest(msg, hint=_HINT)
    if len(data) > MAX_IMAGE_BYTES:
        msg = f"The picture in {name} has {len(data):,} bytes; at most {MAX_IMAGE_BYTES:,} are allowed."
        raise InvalidRequest(msg, hint="Make the picture smaller.")
    return Image(data=data)
