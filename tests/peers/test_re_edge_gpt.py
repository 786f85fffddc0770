"""re-edge-gpt talks to the emulator as it talked to the service: only the host is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bing_llm.emulator import Emulator, Scripted
from bing_llm.events import Citation, Reply, SearchResult, SearchResults, SearchStarted, TurnCompleted

pytestmark = pytest.mark.peers

Talk = Callable[..., list[dict[str, Any]]]


def test_an_answer_arrives_whole(bing_emulator: Emulator, talk_with_re_edge_gpt: Talk) -> None:
    """The client creates a conversation, puts its prompt, and gives back what the brain said."""
    bing_emulator.brain = Scripted([["Hello ", "there."]])
    [answer] = talk_with_re_edge_gpt(bing_emulator.url, "ask", "Good morning")
    assert answer == {"text": "Hello there.", "sources": {}, "suggestions": []}
    creation, chat = bing_emulator.requests
    assert (creation.kind, creation.path) == ("creation", "/turing/conversation/create")
    assert (chat.kind, chat.path, chat.text) == ("chat", "/sydney/ChatHub", "Good morning")


def test_an_answer_streams_in_growing_snapshots(bing_emulator: Emulator, talk_with_re_edge_gpt: Talk) -> None:
    """Each piece of text that the brain says comes as the whole text so far."""
    bing_emulator.brain = Scripted([["Hello ", "there, ", "you."]])
    [answer] = talk_with_re_edge_gpt(bing_emulator.url, "stream", "Good morning")
    assert answer["snapshots"] == ["Hello ", "Hello there, ", "Hello there, you."]


def test_a_search_is_shown_above_a_streamed_answer(bing_emulator: Emulator, talk_with_re_edge_gpt: Talk) -> None:
    """The client puts the subtle lines of messages about a search before the answer's text."""
    found = SearchResults((SearchResult("Python releases", "https://example.org/python"),))
    bing_emulator.brain = Scripted([[SearchStarted("newest python"), found, "Python 3.14."]])
    [answer] = talk_with_re_edge_gpt(bing_emulator.url, "stream", "Which Python is new?")
    assert answer["snapshots"][0] == "Searching the web for: `newest python`\n"
    assert answer["snapshots"][-1].endswith("Python 3.14.")


def test_sources_and_suggestions_are_found(bing_emulator: Emulator, talk_with_re_edge_gpt: Talk) -> None:
    """The client reads both from the answer's message in the final frame."""
    reply = Reply(
        text="Python 3.14 is out[^1^].",
        citations=(Citation(1, "https://example.org/python", "Python releases"),),
        suggestions=("What is new in it?", "When does it end?"),
    )
    bing_emulator.brain = Scripted([[TurnCompleted(reply)]])
    [answer] = talk_with_re_edge_gpt(bing_emulator.url, "ask", "Which Python is new?")
    assert answer == {
        "text": "Python 3.14 is out[^1^].",
        "sources": {"Python releases": "https://example.org/python"},
        "suggestions": ["What is new in it?", "When does it end?"],
    }


def test_two_turns_are_one_conversation(bing_emulator: Emulator, talk_with_re_edge_gpt: Talk) -> None:
    """The client counts its turns from 3, and the emulator goes by the number that the first turn has."""
    bing_emulator.brain = Scripted([["First."], ["Second."]])
    answers = talk_with_re_edge_gpt(bing_emulator.url, "ask", "one", "two")
    assert [answer["text"] for answer in answers] == ["First.", "Second."]
    creation, *chats = bing_emulator.requests
    assert creation.kind == "creation"
    assert [(chat.text, chat.invocation_id) for chat in chats] == [("one", "3"), ("two", "4")]
    assert len({chat.conversation_id for chat in chats}) == 1
