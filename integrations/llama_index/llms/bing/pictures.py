"""The pictures of a LlamaIndex message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import IOBase
from pathlib import Path
from urllib.parse import urlsplit

from llama_index.core.base.llms.types import BaseContentBlock, CitableBlock, CitationBlock, ImageBlock

from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource, picture_url
from llama_index.llms.bing.reading import bytes_of

__all__ = ["pictures_in"]

_WHERE = "An ImageBlock in a user message"
_HINT = "Pass its bytes as image, its path as path, or an http(s) or data: URL as url."


def pictures_in(blocks: Iterable[BaseContentBlock]) -> Iterator[ImageSource]:
    """The pictures among these blocks, those included that are quoted; none is fetched or opened here.

    Bytes become a `data:` URL, streams bytes. A path stays one: who passes it as `path` names a file on purpose.

    Raises:
        InvalidRequest: A picture has neither bytes nor a path nor an http(s) or `data:` URL, or its stream cannot be
            read.
    """
    for block in blocks:
        match block:
            case ImageBlock():
                yield _source(block)
            case CitableBlock() | CitationBlock():
                yield from (_source(inner) for inner in block.nested_blocks if isinstance(inner, ImageBlock))


def _source(block: ImageBlock) -> ImageSource:
    data = block.image
    if isinstance(data, IOBase):
        try:
            return bytes_of(data)
        except (OSError, ValueError) as exc:
            msg = f"{_WHERE} has a stream that cannot be read: {exc}."
            raise InvalidRequest(msg, hint=_HINT) from exc
    if data:
        # LlamaIndex holds bytes in base64, but for those that were set later.
        return f"data:{block.image_mimetype or 'image/png'};base64,{data.decode()}" if data.isascii() else data
    if block.path:
        return Path(block.path)
    url = str(block.url or "")
    if known := picture_url(url):
        return known
    raise InvalidRequest(f"{_WHERE} {_complaint(url)}.", hint=_HINT)


def _complaint(url: str) -> str:
    if not url:
        return "has neither bytes nor a path nor a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "has a URL that cannot be read"
    if host and parts.scheme != "file":  # the rest of a URL may hold secrets
        return f"has a URL of {parts.scheme}://{host:.200}, which the service cannot fetch"
    return "has a URL that names a file"
