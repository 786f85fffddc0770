"""The agents of the emulator, and their cards, which say where they are asked (docs/protocol/a2a.md, section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from bing_llm.emulator.workiq.shapes import JsonObject


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that the emulator has. Its answers come from the emulator's brain.

    Attributes:
        name: Its name.
        description: What it is for.
        streaming: Whether it answers in pieces. One that does not refuses `SendStreamingMessage` and `SubscribeToTask`.
        appends: Whether a piece of text is appended to what came before; else each is the whole text so far.
        skills: What it can do, by name.
        old_card: Whether its card has the form of before version 1.0, with its URL at the top.
        url: Where its card says that it is asked; None for where it is.
    """

    name: str = "Example agent"
    description: str = "Answers as the emulator does."
    streaming: bool = True
    appends: bool = False
    skills: Mapping[str, str] = MappingProxyType({})
    old_card: bool = False
    url: str | None = None


COPILOT = Agent(name="Microsoft Copilot", description="Answers questions about work.")
"""The default agent, whose card is documented."""

AGENTS: Mapping[str, Agent] = MappingProxyType(
    {
        "P_researcher.emulator": Agent(
            name="Researcher", description="Reads, and cites what it read.", skills={"research": "Finds sources."}
        ),
        "P_writer.emulator": Agent(name="Writer", description="Sends its text piece by piece.", appends=True),
        "P_clerk.emulator": Agent(
            name="Clerk", description="Answers when it is done; its card is old.", streaming=False, old_card=True
        ),
    }
)
"""The agents of an emulator that is given none, by their ids."""


def path_of(agent_id: str | None) -> str:
    """The path of an agent; None for Copilot, whose card names it without the slash."""
    return "/a2a" if agent_id is None else f"/a2a/{quote(agent_id, safe='')}/"


def card_of(agent: Agent, url: str) -> JsonObject:
    """The card of an agent.

    Args:
        agent: The agent.
        url: Where it is.
    """
    place = agent.url or url
    skills = [
        {"id": name, "name": name, "description": text, "tags": [], "examples": []}
        for name, text in agent.skills.items()
    ]
    common: JsonObject = {
        "name": agent.name,
        "description": agent.description,
        "version": "1.0.0",
        "capabilities": {"streaming": agent.streaming, "pushNotifications": False},
        "defaultInputModes": ["text"],
        "defaultOutputModes": ["text"],
        "skills": skills,
    }
    if agent.old_card:
        return {**common, "url": place, "preferredTransport": "JSONRPC"}
    interface = {"url": place, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    return {**common, "supportedInterfaces": [interface]}
