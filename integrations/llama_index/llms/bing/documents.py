"""The text of a LlamaIndex document: of its bytes, its file or its `data:` URL."""

from __future__ import annotations

import base64
import re
from io import IOBase
from pathlib import Path
from urllib.parse import unquote_to_bytes

from llama_index.core.base.llms.types import DocumentBlock

from bing_llm.errors import InvalidRequest
from llama_index.llms.bing.reading import bytes_of

__all__ = ["text_of_document"]

_HINT = "Pass its text in a TextBlock, or a document of UTF-8 text as data, a path or a data: URL."
_NO_TITLE = "input_document"  # what LlamaIndex calls a document that was given no title
_LONGEST_SHOWN = 200  # characters of a path in an error: someone will pass a whole document as one

# These may be written in characters alone, and are still no text to read.
_no_text = re.compile(r"(?:image|audio|video|font)/(?!.*\+xml)|application/(?:pdf|rtf|postscript)", re.IGNORECASE)
_SIGNATURES = (b"%PDF-", b"{\\rtf")


def text_of_document(block: DocumentBlock, role: str) -> str:
    """What a document says, behind its title where it was given one.

    A document is text if its bytes are UTF-8 without null characters, and its MIME type is not that of a picture, of
    sound or film, or of PDF and the like. Nothing is fetched.

    Args:
        block: The document. Its bytes count first, then its path, then its URL.
        role: Whose message it is in, for the error.

    Raises:
        InvalidRequest: It is no text, is at a URL, or cannot be read.
    """
    try:
        kind, data = _content(block)
        text = _decoded(kind, data)
    except InvalidRequest as exc:
        raise InvalidRequest(f"A DocumentBlock in a {role} message {exc.message}", hint=_HINT) from exc.__cause__
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"A DocumentBlock in a {role} message cannot be read: {reason}."
        raise InvalidRequest(msg, hint=_HINT) from exc
    title = block.title if block.title != _NO_TITLE else ""
    return "\n".join(part for part in (title, text) if part)


def _content(block: DocumentBlock) -> tuple[str, bytes]:
    """The MIME type of a document, "" where none is known, and its bytes."""
    kind = block.document_mimetype or ""
    if isinstance(block.data, IOBase):
        return kind, bytes_of(block.data)
    if block.data is not None:
        return kind, _plain(block.data)
    if block.path:
        return kind, _read(Path(block.path))
    if block.url:
        return _in_url(block.url)
    raise InvalidRequest("has neither data nor a path nor a URL.")


def _plain(data: bytes) -> bytes:
    """LlamaIndex holds bytes in base64, but for those that were set later."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data


def _read(path: Path) -> bytes:
    if not path.is_file():  # a pipe or a device may never end
        raise InvalidRequest(f"names {str(path)!r:.{_LONGEST_SHOWN}}, where there is no file.")
    return path.read_bytes()


def _in_url(url: str) -> tuple[str, bytes]:
    # LlamaIndex guesses the type of any URL by its end, which in a data: URL is text.
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise InvalidRequest("is at a URL; documents are not fetched.")
    header, comma, body = rest.partition(",")
    if not comma:
        raise InvalidRequest("has a data: URL without a comma.")
    kind, *parameters = header.split(";")
    data = unquote_to_bytes(body)
    return kind, base64.b64decode(data, validate=True) if "base64" in parameters else data


def _decoded(kind: str, data: bytes) -> str:
    if _no_text.match(kind) or data.startswith(_SIGNATURES) or b"\0" in data:
        raise InvalidRequest(f"is no text{f' but {kind:.64}' if kind else ''}.")
    try:
        return data.decode("utf-8-sig")  # the mark that some editors put before the text is none of it
    except UnicodeDecodeError as exc:
        raise InvalidRequest("is no text in UTF-8.") from exc
