"""The content of a message, in the forms of both APIs: its text, its pictures, and what the service cannot take. Pure.

========================================  ===================================================================
part                                      what becomes of it
========================================  ===================================================================
text, input_text, output_text, refusal    its text, each part on a line of its own
image_url, input_image                    `[image]`; the picture goes with the turn if it is the question's,
                                          or else one of the newest results
audio, files, others                      refused in the newest user message while that has no answer;
                                          elsewhere a word such as `[audio]` or `[file: application/pdf]`
========================================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from bing_llm.completion.prompt import image_url, join_lines, placeholder
from bing_llm.errors import InvalidRequest

_TEXTS = ("text", "input_text", "output_text", "refusal", "summary_text")
_PICTURES = ("image_url", "input_image")
_WORDS = {"input_audio": "audio", "output_audio": "audio", "file": "file", "input_file": "file"}
_ALLOWED = "Allowed: text, and pictures as data: or http(s) URLs."


class ImageUrl(msgspec.Struct, frozen=True):
    """Where a picture is: a `data:` URL, or an http(s) URL that the service fetches itself."""

    url: str


class File(msgspec.Struct, frozen=True):
    """A file, whose data is a `data:` URL."""

    file_data: str | None = None


class Part(msgspec.Struct, frozen=True):
    """One part of a content; what it holds besides depends on its type, and a type that is not known holds anything."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: File | None = None
    file_data: str | None = None


Content: TypeAlias = str | list[Part] | None


def text_of(content: Content) -> str:
    """The text, with a word for each part that is not text."""
    if content is None or isinstance(content, str):
        return content or ""
    return join_lines(_text(part) for part in content)


def own_text_of(content: Content) -> str:
    """The text alone, as a model wrote it: the rest of its message was the service's own."""
    if content is None or isinstance(content, str):
        return content or ""
    return join_lines(_text(part) for part in content if part.type in _TEXTS)


def problem_of(content: Content, place: str) -> InvalidRequest | None:
    """The first part that the service cannot take; None for nothing.

    Args:
        content: The content of a user's message.
        place: Where it stands, as `messages[0].content`.
    """
    for at, part in enumerate(content if isinstance(content, list) else ()):
        if part.type not in (*_TEXTS, *_PICTURES):
            msg = f"{place}[{at}] is of the type {part.type!r:.64}, which the service does not take."
            return InvalidRequest(msg, hint=_ALLOWED)
    return None


def pictures_in(content: Content, place: str) -> Iterator[str]:
    """The URLs of the pictures.

    Raises:
        InvalidRequest: One is neither an http(s) nor a `data:` URL.
    """
    for at, part in enumerate(content if isinstance(content, list) else ()):
        if part.type in _PICTURES:
            given = part.image_url
            url = given.url if isinstance(given, ImageUrl) else given
            yield image_url(url, where=f"{place}[{at}]", hint=_ALLOWED)


def _text(part: Part) -> str:
    if part.type in _TEXTS:
        return part.text or part.refusal or ""
    if part.type in _PICTURES:
        return placeholder("image")
    return placeholder(_WORDS.get(part.type, part.type), _mime_type(part))


def _mime_type(part: Part) -> str | None:
    data = part.file_data or (part.file.file_data if part.file else None) or ""
    return data.removeprefix("data:").partition(";")[0] if data.startswith("data:") else None
