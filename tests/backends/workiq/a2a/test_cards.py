"""Agent cards: both forms, and what a hostile one cannot do."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given

from bing_llm.backends.base import AgentSkill
from bing_llm.backends.workiq.a2a.cards import WELL_KNOWN, agent_base, default_card, parse_card
from bing_llm.errors import ProtocolError
from tests.backends.workiq.test_snapshots import JSON

BASE = "https://workiq.svc.cloud.microsoft/a2a"
EVIL = "https://evil.example/a2a"


def interface(url: str, binding: str = "JSONRPC", version: str = "1.0") -> dict[str, str]:
    """One way to ask an agent."""
    return {"url": url, "protocolBinding": binding, "protocolVersion": version}


def place(card: Any, base: str = BASE) -> str:
    """Where a card says that the agent is asked."""
    return parse_card(json.dumps(card).encode(), base).url


def test_the_documented_card_is_read() -> None:
    """That of Copilot itself."""
    card = {
        "name": "Microsoft Copilot",
        "description": "Ask",
        "version": "1.0.0",
        "supportedInterfaces": [interface(BASE)],
        "capabilities": {"streaming": True, "pushNotifications": False},
        "defaultInputModes": ["text"],
        "skills": [{"id": "s", "name": "Search", "description": "Finds", "tags": ["a"], "examples": ["b", 7]}, 7],
    }
    parsed = parse_card(json.dumps(card).encode(), BASE)
    assert (parsed.name, parsed.description, parsed.version) == ("Microsoft Copilot", "Ask", "1.0.0")
    assert (parsed.streaming, parsed.url, parsed.raw) == (True, BASE, card)
    assert parsed.skills == (AgentSkill(id="s", name="Search", description="Finds", tags=("a",), examples=("b",)),)


def test_an_older_card_is_read() -> None:
    """Before version 1.0, the URL stood at the top; others were beside it."""
    assert place({"url": f"{BASE}/x"}) == f"{BASE}/x"
    assert place({"url": f"{BASE}/x", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0"}) == f"{BASE}/x"
    others = [{"url": f"{BASE}/y", "transport": "JSONRPC"}]
    assert place({"url": f"{BASE}/x", "preferredTransport": "GRPC", "additionalInterfaces": others}) == f"{BASE}/y"


def test_an_interface_of_this_version_comes_first() -> None:
    """Of JSON-RPC alone, and of the endpoint's origin alone."""
    assert place({"supportedInterfaces": [interface(f"{BASE}/g", "GRPC"), interface(f"{BASE}/j")]}) == f"{BASE}/j"
    older = interface(f"{BASE}/old", version="0.3")
    assert place({"supportedInterfaces": [older, interface(f"{BASE}/new")]}) == f"{BASE}/new"
    assert place({"supportedInterfaces": [interface(EVIL), older]}) == f"{BASE}/old"


@pytest.mark.parametrize("capabilities", [None, {}, {"streaming": False}, {"streaming": "yes"}, [], "streaming"])
def test_an_agent_streams_only_if_its_card_says_so(capabilities: Any) -> None:
    """All agents take `SendMessage`."""
    card = {"url": BASE, "capabilities": capabilities}
    assert not parse_card(json.dumps(card).encode(), BASE).streaming


@pytest.mark.parametrize(
    "url",
    [
        EVIL,
        "http://workiq.svc.cloud.microsoft/a2a",
        "https://workiq.svc.cloud.microsoft:444/a2a",
        "https://workiq.svc.cloud.microsoft.evil.example/a2a",
        "https://workiq.svc.cloud.microsoft@evil.example/a2a",
        "https://evil.example\\@workiq.svc.cloud.microsoft/a2a",
        "https://evil.example#@workiq.svc.cloud.microsoft/a2a",
        "//evil.example/a2a",
        "javascript:alert(1)",
        "https://[",
        "https://workiq.svc.cloud.microsoft /a2a",
    ],
)
def test_a_card_names_no_other_origin(url: str) -> None:
    """In neither form: the token is not sent there."""
    for card in ({"supportedInterfaces": [interface(url)]}, {"url": url}):
        with pytest.raises(ProtocolError, match="token is not sent"):
            place(card)


@pytest.mark.parametrize(
    "url",
    ["https://WORKIQ.svc.cloud.microsoft/x", "https://workiq.svc.cloud.microsoft:443/x"],
)
def test_one_origin_has_several_spellings(url: str) -> None:
    """What is asked is spelled as the endpoint."""
    assert place({"url": url}) == "https://workiq.svc.cloud.microsoft/x"


@pytest.mark.parametrize(
    ("url", "place_of_it"), [("/rpc", "/rpc"), ("../", "/a2a/x/"), ("?v=1", f"/a2a/x/{WELL_KNOWN}?v=1")]
)
def test_a_relative_url_is_resolved_against_that_of_the_card(url: str, place_of_it: str) -> None:
    """In both forms of card."""
    for card in ({"supportedInterfaces": [interface(url)]}, {"url": url}):
        assert place(card, f"{BASE}/x/{WELL_KNOWN}") == f"https://workiq.svc.cloud.microsoft{place_of_it}"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b'{"url": 7}', b'{"supportedInterfaces": [7]}'])
def test_what_is_not_a_card_is_refused(body: bytes) -> None:
    """Also one that names no way to ask."""
    with pytest.raises(ProtocolError):
        parse_card(body, BASE)


@given(JSON)
def test_any_json_gives_a_card_of_the_endpoints_origin_or_an_error(value: Any) -> None:
    """Nothing else leaves the parser."""
    for card in (value, {"url": value}, {"supportedInterfaces": value}, {"url": BASE, "skills": value}):
        try:
            parsed = parse_card(json.dumps(card).encode(), BASE)
        except ProtocolError:
            continue
        assert urlsplit(parsed.url)[:2] == urlsplit(BASE)[:2]


@pytest.mark.parametrize(
    ("agent", "path"),
    [
        (None, "/"),
        ("P_1.a-b_c", "/P_1.a-b_c/"),
        ("a/../../b?c#d", "/a%2F..%2F..%2Fb%3Fc%23d/"),
        ("ä %2F", "/%C3%A4%20%252F/"),
    ],
)
def test_an_id_cannot_lead_elsewhere(agent: str | None, path: str) -> None:
    """It is one segment of the path, whatever it holds."""
    assert agent_base(BASE, agent) == f"{BASE}{path}"


def test_copilot_has_a_card_where_none_is_shown() -> None:
    """The documented one."""
    card = default_card(BASE)
    assert (card.url, card.streaming) == (f"{BASE}/", True)
