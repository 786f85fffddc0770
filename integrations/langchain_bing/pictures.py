"""The pictures of a LangChain message, as URLs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from bing_llm.errors import InvalidRequest
from bing_llm.images import picture_url

__all__ = ["PICTURES", "pictures_in"]

PICTURES = ("image", "image_url", "input_image")
"""The types of blocks that are pictures."""

_HINT = "Pass base64 data, or an http(s) or data: URL."


def pictures_in(content: Any) -> Iterable[str]:
    """The URLs of the pictures in the content of a message; base64 as a `data:` URL.

    Raises:
        InvalidRequest: A picture is neither base64 nor at an http(s) or `data:` URL.
    """
    for block in content if isinstance(content, list) else ():
        if isinstance(block, Mapping) and block.get("type") in PICTURES:
            yield _source(block)


def _source(block: Mapping[str, Any]) -> str:
    """The URL of a picture in OpenAI's form, in Anthropic's, or in LangChain's forms of versions 0 and 1."""
    image_url = block.get("image_url")
    url = image_url.get("url") if isinstance(image_url, Mapping) else image_url or block.get("url")
    data = block.get("base64") or block.get("data")
    kind = block.get("mime_type") or "image/png"
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic's form
        url, data, kind = source.get("url"), source.get("data"), source.get("media_type") or kind
    if isinstance(data, str) and data:
        return f"data:{kind};base64,{data}"
    if isinstance(url, str) and (known := picture_url(url)):
        return known
    raise InvalidRequest(_complaint(url), hint=_HINT)


def _complaint(url: Any) -> str:
    if not isinstance(url, str) or not url:
        return "An image block has neither base64 data nor a URL."
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "An image block has a URL that cannot be read."
    if host and parts.scheme != "file":  # the rest of a URL may hold secrets
        return f"An image block has a URL of {parts.scheme}://{host:.200}, which the service cannot fetch."
    # It would be read from this machine's disk, and messages may come from strangers.
    return "An image block names a file; paths are not read."
