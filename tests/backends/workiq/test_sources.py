"""Citations, annotations and the sensitivity label of an answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm.backends.workiq.frames import Message
from bing_llm.backends.workiq.sources import annotations_of, citations_of, sensitivity_label_of
from bing_llm.events import Citation
from tests.backends.workiq.wire import EMPTY_LABEL, message

ANNOTATION = {"attributionType": "annotation", "attributionSource": "model", "providerDisplayName": "Ada"}


def attribution(url: Any, title: Any = "Plan.docx", kind: str = "citation") -> dict[str, Any]:
    """An attribution as the samples have it."""
    return {
        "attributionType": kind,
        "attributionSource": "grounding",
        "providerDisplayName": title,
        "seeMoreWebUrl": url,
        "imageWebUrl": "",
        "imageWidth": 0,
    }


def read(**fields: Any) -> Message:
    """A message with these fields."""
    return msgspec.json.decode(msgspec.json.encode(message("Hi", **fields)), type=Message)


@pytest.mark.parametrize(
    ("fields", "citations"),
    [
        ({}, ()),
        ({"attributions": None}, ()),
        ({"attributions": "x"}, ()),
        ({"attributions": [7, None, {}]}, ()),
        (
            {"attributions": [ANNOTATION, attribution("https://a.example"), attribution("https://b.example", "B")]},
            (Citation(1, "https://a.example", "Plan.docx"), Citation(2, "https://b.example", "B")),
        ),
        (
            {"attributions": [attribution("javascript:x"), attribution(None, None), attribution("HTTP://c.example")]},
            (Citation(1, "", "Plan.docx"), Citation(2, "", ""), Citation(3, "HTTP://c.example", "Plan.docx")),
        ),
        (
            {
                "attributions": [ANNOTATION],
                "references": {
                    "k1": {"targetLink": "https://a.example", "isCitedInResponse": True},
                    "k2": {"targetLink": "https://b.example", "isCitedInResponse": False},
                    "k3": 7,
                },
            },
            (Citation(1, "https://a.example"), Citation(2, "https://b.example")),
        ),
        ({"references": [{"targetLink": "data:x"}]}, (Citation(1, ""),)),
        (
            {
                "attributions": [attribution("https://a.example", "A")],
                "references": {"k": {"targetLink": "https://b.example"}},
            },
            (Citation(1, "https://a.example", "A"),),
        ),
    ],
)
def test_marker_n_is_the_nth_citation(fields: dict[str, Any], citations: tuple[Citation, ...]) -> None:
    """Attributions of type citation count, in order and none left out; without any, the references do."""
    assert citations_of(read(**fields), 1000) == citations


def test_annotations_are_kept_as_they_came() -> None:
    """Attributions of other types, known or to come, are annotations."""
    other = attribution("https://x.example", kind="unknownFutureValue")
    attributions = [ANNOTATION, attribution("https://a.example"), other]
    assert annotations_of(read(attributions=attributions)) == [ANNOTATION, other]


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (EMPTY_LABEL, {}),
        ({**EMPTY_LABEL, "displayName": "Secret", "priority": 3}, {"displayName": "Secret", "priority": 3}),
        (None, {}),
        ("x", {}),
    ],
)
def test_a_label_is_what_it_says(label: Any, shown: dict[str, Any]) -> None:
    """Fields without a value are left out; samples have labels of nothing else."""
    assert sensitivity_label_of(read(sensitivityLabel=label)) == shown


def test_links_of_annotations_are_harmless() -> None:
    """A URL that is no link of a web page is empty, the rest of the annotation stays."""
    hostile = {**ANNOTATION, "seeMoreWebUrl": "javascript:alert(1)", "imageWebUrl": "data:x", "imageFavIcon": 7}
    harmless = {**hostile, "seeMoreWebUrl": "", "imageWebUrl": "", "imageFavIcon": ""}
    assert annotations_of(read(attributions=[hostile])) == [harmless]


def test_so_many_citations_are_read() -> None:
    """No more than were asked for."""
    many = [attribution("https://a.example")] * 5
    assert [len(citations_of(read(attributions=many), most)) for most in (1, 5, 9)] == [1, 5, 5]
