"""What an answer rests on: citations, annotations and its sensitivity label.

These parts are decoration: one that does not have the known shape gives nothing, never an error. The service's own
pages disagree where the sources stand, in `attributions` or in `references` (docs/protocol/workiq.md, section 5):
both are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from bing_llm._urls import web_url
from bing_llm.backends.workiq.frames import Message, decoded
from bing_llm.events import Citation

__all__ = ["annotations_of", "citations_of", "sensitivity_label_of"]

_CITATION = "citation"
_LINKS: Final = ("seeMoreWebUrl", "imageWebUrl", "imageFavIcon")


def citations_of(message: Message, most: int) -> tuple[Citation, ...]:
    """The sources behind the `[^n^]` markers: attributions of type citation, else references, numbered in order.

    None is left out, so that numbers and places agree. One whose URL is no harmless link has the URL "".

    Args:
        message: The answer.
        most: How many are read.
    """
    attributed = [each for each in _attributions(message) if each.get("attributionType") == _CITATION]
    named = [(_text(each, "seeMoreWebUrl"), _text(each, "providerDisplayName")) for each in attributed]
    if not named:
        named = [(_text(each, "targetLink"), "") for each in _references(message)]
    return tuple(Citation(number, web_url(url), title) for number, (url, title) in enumerate(islice(named, most), 1))


def annotations_of(message: Message) -> list[dict[str, Any]]:
    """The attributions of other types, as they came: links of the people, files and events that the text names.

    But a URL that is no harmless link is "".
    """
    others = (each for each in _attributions(message) if each.get("attributionType") != _CITATION)
    return [{**each, **{key: web_url(_text(each, key)) for key in _LINKS if key in each}} for each in others]


def sensitivity_label_of(message: Message) -> dict[str, Any]:
    """The highest label of what the answer rests on, without its empty fields."""
    label = decoded(message.sensitivity_label)
    return {key: value for key, value in label.items() if value is not None} if isinstance(label, dict) else {}


def _attributions(message: Message) -> Iterator[dict[str, Any]]:
    return _dicts(decoded(message.attributions))


def _references(message: Message) -> Iterator[dict[str, Any]]:
    references = decoded(message.references)
    return _dicts(list(references.values()) if isinstance(references, dict) else references)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""
