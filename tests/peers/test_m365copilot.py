"""Microsoft's own SDK for the Copilot Chat API talks to the emulator as to Graph: only the host is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bing_llm.emulator import Emulator, Scripted
from bing_llm.events import Citation, Reply, TurnCompleted

pytestmark = pytest.mark.peers

Talk = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def known_token(bing_emulator: Emulator) -> None:
    """The one that the driver sends."""
    bing_emulator.token = "emulator-token"


def test_a_conversation_is_created_and_answers(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """The SDK creates a conversation, puts its prompt, and parses both messages of the turn."""
    bing_emulator.brain = Scripted([["Hello ", "there."]])
    [answer] = talk_with_m365copilot(f"{bing_emulator.url}/beta", "chat", "Good morning")
    creation, chat = bing_emulator.requests
    assert answer == {
        "id": chat.conversation_id,
        "state": "active",
        "title": "Good morning",
        "turns": 1,
        "dated": True,
        "messages": ["Good morning", "Hello there."],
        "attributions": [],
    }
    assert (creation.kind, creation.path) == ("creation", "/beta/copilot/conversations")
    assert chat.path == f"/beta/copilot/conversations/{chat.conversation_id}/microsoft.graph.copilot.chat"


def test_what_the_sdk_can_say_is_understood(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """Context and web search of the SDK's request reach the brain."""
    bing_emulator.brain = Scripted(lambda question: [f"{question.context} {question.search}"])
    [answer] = talk_with_m365copilot(f"{bing_emulator.url}/beta", "chat", "Good morning")
    assert answer["messages"][-1] == "Earlier words. False"


def test_citations_are_attributions(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """The SDK finds the source of a marker, and the link of an entity, as typed attributions."""
    reply = Reply(
        text="<Person>Ann</Person> wrote it[^1^].", citations=(Citation(1, "https://example.org/plan", "Plan"),)
    )
    bing_emulator.brain = Scripted([[TurnCompleted(reply)]])
    [answer] = talk_with_m365copilot(f"{bing_emulator.url}/beta", "chat", "Who wrote it?")
    assert answer["attributions"] == [
        ["annotation", "model", "Ann", ""],
        ["citation", "grounding", "Plan", "https://example.org/plan"],
    ]


def test_a_stream_grows_in_snapshots(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """The bytes that the SDK gives are events, each with the whole answer so far, and the last with both messages."""
    bing_emulator.brain = Scripted([["Hello ", "there."]])
    [answer] = talk_with_m365copilot(f"{bing_emulator.url}/beta", "stream", "Good morning")
    texts = [[message["text"] for message in event["messages"]] for event in answer["events"]]
    assert texts == [[], ["Hello "], ["Hello there."], [], ["Good morning", "Hello there."]]


def test_two_turns_are_one_conversation(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """The second turn knows the first, and the title stays."""
    bing_emulator.brain = Scripted(lambda question: [f"{question.text} after {len(question.history)}"])
    answers = talk_with_m365copilot(f"{bing_emulator.url}/beta", "chat", "one", "two")
    assert [answer["messages"][-1] for answer in answers] == ["one after 0", "two after 1"]
    assert [(answer["title"], answer["turns"]) for answer in answers] == [("one", 1), ("one", 2)]


def test_another_token_is_refused(bing_emulator: Emulator, talk_with_m365copilot: Talk) -> None:
    """The SDK reads the refusal as the error of Graph that it is."""
    assert talk_with_m365copilot(f"{bing_emulator.url}/beta", "refused", "Good morning") == [
        {"status": 401, "code": "InvalidAuthenticationToken", "message": "Access token validation failure."}
    ]
