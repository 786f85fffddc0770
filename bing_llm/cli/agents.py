"""`bing-llm agents`: what an agent of Microsoft 365 Copilot says of itself, and where ids of agents are found."""

from __future__ import annotations

from collections.abc import Iterator

from bing_llm._safe_text import one_line
from bing_llm.backends.base import AgentCard
from bing_llm.cli.errors import ExitCode
from bing_llm.cli.loop import Loop
from bing_llm.client import BingClient

WHERE_IDS_ARE = """\
Over A2A, the service has no call that lists agents. The id of one is in the address bar of Copilot Chat (such as
`P_...`) while the agent is open there, and Microsoft's `workiq list-agents` shows the ids of all."""


def agents(agent_id: str | None = None, *, endpoint: str | None = None) -> ExitCode:
    """Show the card of an agent; without an id, that of Copilot itself, and where the ids are found.

    Args:
        agent_id: The agent.
        endpoint: The base URL of the service; None takes `BING_LLM_ENDPOINT`, else Work IQ's.

    Raises:
        BingError: There is no such agent, the service refused, or it could not be reached.
    """
    # The time zone is a part of turns, and there is none here.
    client = BingClient(backend="workiq", agent=agent_id, protocol="a2a", endpoint=endpoint, time_zone="UTC")

    async def ask() -> AgentCard:
        async with client:
            return await client.agent_card()

    with Loop() as loop:
        card = loop.run(ask())
    print("\n".join(_lines(card)))
    if agent_id is None:
        print(f"\n{WHERE_IDS_ARE}")
    return ExitCode.OK


def _lines(card: AgentCard) -> Iterator[str]:
    """What a person wants to know; the agent's own words cannot steer the terminal."""
    version = f" {one_line(card.version)}" if card.version else ""
    yield f"{one_line(card.name) or '(no name)'}{version}"
    if card.description:
        yield one_line(card.description)
    yield f"Streaming: {'yes' if card.streaming else 'no'}"
    for skill in card.skills:
        words = f": {one_line(skill.description)}" if skill.description else ""
        yield f"Skill: {one_line(skill.name or skill.id)}{words}"
