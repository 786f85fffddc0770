"""Agent cards: what an agent says of itself, and where it is asked (docs/protocol/a2a.md, section 1).

A card is data from outside: whatever it names, the token goes to the origin of the endpoint alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from bing_llm._urls import origin, web_url
from bing_llm.backends.base import AgentCard, AgentSkill
from bing_llm.backends.json_text import decode_or_none, objects_in, text_in
from bing_llm.errors import ProtocolError

WELL_KNOWN: Final = ".well-known/agent-card.json"

_JSON_RPC = "JSONRPC"


def agent_base(base: str, agent: str | None) -> str:
    """Where an agent is, below the base URL of A2A; None for Copilot itself. The id cannot lead elsewhere."""
    return f"{base}/" if agent is None else f"{base}/{quote(agent, safe='')}/"


def default_card(base: str) -> AgentCard:
    """The card of Copilot itself, as it is documented, for a service that shows none."""
    return AgentCard(name="Microsoft Copilot", version="1.0.0", streaming=True, url=agent_base(base, None))


def parse_card(body: bytes, card_url: str) -> AgentCard:
    """The card that a JSON text holds.

    Args:
        body: The text.
        card_url: Where the card is. Its origin is that of the endpoint, to which the agent must belong too.

    Raises:
        ProtocolError: It is not a card, or names no place of this origin where the agent is asked over JSON-RPC.
    """
    card = decode_or_none(body)
    if not isinstance(card, dict):
        raise ProtocolError("The service sent an agent card that is not a JSON object.")
    capabilities = card.get("capabilities")
    return AgentCard(
        name=text_in(card, "name"),
        description=text_in(card, "description"),
        version=text_in(card, "version"),
        streaming=isinstance(capabilities, dict) and capabilities.get("streaming") is True,
        skills=tuple(_skill(skill) for skill in objects_in(card.get("skills"))),
        url=_place(card, card_url),
        raw=card,
    )


def _skill(skill: dict[str, object]) -> AgentSkill:
    return AgentSkill(
        id=text_in(skill, "id"),
        name=text_in(skill, "name"),
        description=text_in(skill, "description"),
        tags=_texts(skill.get("tags")),
        examples=_texts(skill.get("examples")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _place(card: dict[str, object], card_url: str) -> str:
    """The URL to ask at: of version 1.0 before others, and of the origin of the endpoint, whatever else is named.

    A relative one is resolved against the URL of the card.
    """
    named = [*_interfaces(card)]
    newest_first = sorted(named, key=lambda interface: not interface[1].startswith("1"))
    for url, _ in newest_first:
        place = _joined(card_url, url)
        if web_url(place) and origin(place) == origin(card_url):
            # Put together from our own origin: how its name is spelled must not matter.
            ours, parts = urlsplit(card_url), urlsplit(place)
            return urlunsplit((ours.scheme, ours.netloc, parts.path or "/", parts.query, ""))
    if not named:
        msg = "The agent card names no URL for JSON-RPC, over which this library asks."
        raise ProtocolError(msg, hint="The agent cannot be asked with this version.")
    msg = "The agent card names another host than the endpoint's, to which the token is not sent."
    raise ProtocolError(msg, hint="Check the agent's id and endpoint=; a card may name the endpoint's own origin only.")


def _interfaces(card: dict[str, object]) -> Iterator[tuple[str, str]]:
    """The URLs for JSON-RPC with their versions: of a card of version 1.0, else of an older one."""
    for interface in objects_in(card.get("supportedInterfaces")):
        if text_in(interface, "protocolBinding").upper() == _JSON_RPC and text_in(interface, "url"):
            yield text_in(interface, "url"), text_in(interface, "protocolVersion")
    version = text_in(card, "protocolVersion")
    if text_in(card, "url") and (text_in(card, "preferredTransport") or _JSON_RPC).upper() == _JSON_RPC:
        yield text_in(card, "url"), version
    for interface in objects_in(card.get("additionalInterfaces")):
        if text_in(interface, "transport").upper() == _JSON_RPC and text_in(interface, "url"):
            yield text_in(interface, "url"), version


def _joined(card_url: str, url: str) -> str:
    """The URL in full; "" for what is not a URL."""
    try:
        return urljoin(card_url, url)
    except ValueError:
        return ""
