"""What a turn of Work IQ asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.workiq import requests
from bing_llm.emulator.workiq.requests import ChatBody, read_chat
from bing_llm.errors import InvalidRequest
from tests.emulator.workiq.visitor import body


def read(**changes: Any) -> ChatBody:
    """The body with these fields, as it is read."""
    return read_chat(json.dumps(body(**changes)).encode())


def refusal(**changes: Any) -> str:
    """Why the body with these fields is refused."""
    with pytest.raises(InvalidRequest) as caught:
        read(**changes)
    return caught.value.service_message or ""


def test_the_least_that_is_wanted() -> None:
    """Message and time zone are enough; nothing is known then, and the web may be searched."""
    chat = read()
    assert (chat.message.text, chat.context, chat.files, chat.search, chat.characters) == ("Hello", "", (), True, 5)


def test_everything_that_can_be_said() -> None:
    """Context, files and place are read; what is not known is passed over."""
    chat = read(
        message={"text": "Hi", "@odata.type": "#microsoft.graph.copilotConversationRequestMessageParameter"},
        locationHint={"timeZone": "UTC", "latitude": 47.4, "countryOrRegion": "CH", "countryOrRegionConfidence": 0.9},
        additionalContext=[{"text": "one", "description": "first"}, {"description": "no text"}, {"text": "two"}],
        contextualResources={
            "files": [{"uri": "https://contoso.sharepoint.com/a.docx"}],
            "webContext": {"isWebEnabled": False},
        },
        responseOptions={"isDeltaStreamingEnabled": True},
    )
    assert (chat.context, chat.search, chat.characters) == ("one\n\ntwo", False, 8)
    assert chat.files == ("https://contoso.sharepoint.com/a.docx",)
    assert chat.location_hint.country_or_region == "CH"


@pytest.mark.parametrize(
    "resources", [None, {}, {"webContext": None}, {"webContext": {}}, {"webContext": {"isWebEnabled": None}}]
)
def test_search_is_on_unless_it_is_off(resources: dict[str, Any] | None) -> None:
    """Only a plain False turns the web search off."""
    assert read(contextualResources=resources).search


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"message": None}, "message"),
        ({"message": {}}, "text"),
        ({"message": {"text": ""}}, "no text"),
        ({"message": {"text": 1}}, r"\$.message.text"),
        ({"locationHint": None}, "locationHint"),
        ({"locationHint": {}}, "timeZone"),
        ({"locationHint": {"timeZone": ""}}, "not an IANA name"),
        ({"locationHint": {"timeZone": "W. Europe Standard Time"}}, "not an IANA name"),
        ({"locationHint": {"timeZone": "../../etc/passwd"}}, "not an IANA name"),
        ({"additionalContext": [{"text": 1}]}, "additionalContext"),
        ({"contextualResources": {"files": [{}]}}, "uri"),
        ({"contextualResources": {"files": [{"uri": "file:///a"}]}}, "'file:///a'"),
    ],
)
def test_what_the_service_refuses(changes: dict[str, Any], why: str) -> None:
    """What is missing or wrong is named."""
    said = refusal(**changes)
    assert why.replace("\\", "") in said


def test_without_a_database_of_zones_only_spaces_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has no time zones, a name of Windows is still refused by its spaces."""
    monkeypatch.setattr(requests, "_zones", frozenset)
    assert read().location_hint.time_zone == "Europe/Zurich"
    assert "not an IANA name" in refusal(locationHint={"timeZone": "Pacific Standard Time"})
    assert "not an IANA name" in refusal(locationHint={"timeZone": ""})


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
def test_anything_is_read_or_refused(content: bytes) -> None:
    """No bytes give another error than InvalidRequest."""
    with pytest.raises(InvalidRequest):
        read_chat(content)


def test_deep_nesting_is_refused() -> None:
    """JSON that is nested beyond all measure is a body like any other that is not valid."""
    with pytest.raises(InvalidRequest):
        read_chat(b'{"message":' + b"[" * 100_000)
