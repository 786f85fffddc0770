"""The bodies of the requests."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.backends.workiq.request import chat_body, create_body
from bing_llm.messages import Prompt
from bing_llm.services import Location, WorkIQ

ZONE = {"timeZone": "Europe/Zurich"}
FILE = "https://contoso.sharepoint.com/sites/x/Shared%20Documents/a.docx"


def test_a_conversation_is_created_with_an_empty_object() -> None:
    """The service takes nothing there."""
    assert create_body() == {}


def test_a_turn_holds_text_and_time_zone() -> None:
    """Nothing else is needed, and nothing else is sent unasked."""
    service = WorkIQ(token="x", time_zone="Europe/Zurich")
    assert chat_body(Prompt("Hi"), service) == {"message": {"text": "Hi"}, "locationHint": ZONE}


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"search": False}, {"contextualResources": {"webContext": {"isWebEnabled": False}}}),
        ({"files": (FILE,)}, {"contextualResources": {"files": [{"uri": FILE}]}}),
        (
            {"files": (FILE,), "search": False},
            {"contextualResources": {"files": [{"uri": FILE}], "webContext": {"isWebEnabled": False}}},
        ),
        ({"location": Location(47.4, 8.5)}, {"locationHint": {**ZONE, "latitude": 47.4, "longitude": 8.5}}),
        ({"entity_tags": "strip", "prompt_limit": 9}, {}),
    ],
)
def test_options_go_into_the_body(options: dict[str, Any], added: dict[str, Any]) -> None:
    """Each option stands under the service's name; those of the client alone are not sent."""
    body = chat_body(Prompt("Hi"), WorkIQ(token="x", time_zone="Europe/Zurich", **options))
    assert body == {"message": {"text": "Hi"}, "locationHint": ZONE, **added}


def test_context_says_what_it_is() -> None:
    """History goes beside the message, as one entry with a description; an empty one is left out."""
    service = WorkIQ(token="x", time_zone="UTC")
    body: dict[str, Any] = chat_body(Prompt("Hi", "[user](#message)\nHello\n\n"), service)
    [entry] = body["additionalContext"]
    assert entry.pop("description")
    assert entry == {"text": "[user](#message)\nHello\n\n"}
    assert "additionalContext" not in chat_body(Prompt("Hi", ""), service)
