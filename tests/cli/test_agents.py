"""`bing-llm agents`."""

from __future__ import annotations

import pytest

from bing_llm.emulator import Agent, Emulator
from tests.cli.conftest import Command


@pytest.fixture
def agents(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, as the Work IQ that the environment names."""
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.workiq_url)
    monkeypatch.setenv("WORKIQ_TOKEN", bing_emulator.token)
    return bing_emulator


def test_an_agent_says_what_it_is(agents: Emulator, command: Command) -> None:
    """Name, description, streaming and skills."""
    shown = command("agents", "P_researcher.emulator")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "Researcher 1.0.0",
        "Reads, and cites what it read.",
        "Streaming: yes",
        "Skill: research: Finds sources.",
    ]
    assert "Streaming: no" in command("agents", "P_clerk.emulator", "--endpoint", agents.a2a_url).out


def test_without_an_id_it_says_where_ids_are_found(agents: Emulator, command: Command) -> None:
    """After the card of Copilot itself."""
    shown = command("agents")
    assert shown.out.startswith("Microsoft Copilot 1.0.0\n")
    assert "address bar of Copilot Chat" in shown.out
    assert [request.path for request in agents.requests] == ["/a2a/.well-known/agent-card.json"]


def test_an_unknown_agent_is_named(agents: Emulator, command: Command) -> None:
    """It is asked for once."""
    shown = command("agents", "P_nobody")
    assert shown.code == 1
    assert "P_nobody" in shown.err
    assert len(agents.requests) == 1


def test_a_card_cannot_steer_the_terminal(agents: Emulator, command: Command) -> None:
    """Its words are an agent's."""
    hostile = Agent(name="Nice\x1b[2J\nStreaming: no", description="\u202ex", skills={"s\x9b": "\x07"})
    with Emulator(agents={"P_1": hostile}, token=agents.token) as other:
        shown = command("agents", "P_1", "--endpoint", other.a2a_url)
    assert shown.code == 0
    assert all(line.isprintable() for line in shown.out.splitlines())
    assert shown.out.splitlines()[0] == "Nice\\u001b[2J Streaming: no 1.0.0"


def test_an_agent_is_asked(agents: Emulator, command: Command) -> None:
    """`--agent` alone chooses Work IQ."""
    shown = command("ask", "What is 6 * 7?", "--agent", "P_writer.emulator", "--time-zone", "Europe/Zurich")
    assert (shown.code, shown.err) == (0, "")
    assert "42" in shown.out
    assert [request.path for request in agents.requests][-1] == "/a2a/P_writer.emulator/"
    shown = command("ask", "Hi", "--protocol", "a2a", "--no-search", "--time-zone", "Europe/Zurich")
    assert shown.code == 2
    assert "--search" in shown.err or "search" in shown.err
