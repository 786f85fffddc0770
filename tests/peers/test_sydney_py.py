"""sydney-py talks to the emulator as it talked to the service: only the host is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bing_llm.emulator import Emulator, Scripted
from bing_llm.events import Event, SearchResult, SearchResults, SearchStarted, Suggestions

pytestmark = pytest.mark.peers

Talk = Callable[..., list[dict[str, Any]]]

PAGE = SearchResult("Python releases", "https://example.org/python")
SEARCHED: list[str | Event] = [
    SearchStarted("newest python"),
    SearchResults((PAGE,)),
    "Python 3.14 ",
    "is out[^1^].",
    Suggestions(("What is new in it?", "When does it end?")),
]


def test_an_answer_arrives_whole(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client creates a conversation, puts its prompt, and gives back what the brain said."""
    bing_emulator.brain = Scripted([["Hello ", "there."]])
    assert talk_with_sydney_py(bing_emulator.url, "ask", "Good morning") == [{"text": "Hello there."}]
    creation, chat = bing_emulator.requests
    assert (creation.kind, creation.path) == ("creation", "/turing/conversation/create")
    assert (chat.kind, chat.path, chat.text) == ("chat", "/sydney/ChatHub", "Good morning")


def test_an_answer_streams_in_the_pieces_that_the_brain_said(
    bing_emulator: Emulator, talk_with_sydney_py: Talk
) -> None:
    """Each piece of text is a snapshot of its own, and each snapshot extends the one before."""
    bing_emulator.brain = Scripted([["Hello ", "there, ", "you."]])
    [answer] = talk_with_sydney_py(bing_emulator.url, "stream", "Good morning")
    assert [piece for piece in answer["pieces"] if piece] == ["Hello ", "there, ", "you."]


def test_a_search_leaves_no_trace_in_a_streamed_answer(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client knows messages about a search from the answer by their cards."""
    bing_emulator.brain = Scripted([SEARCHED])
    [answer] = talk_with_sydney_py(bing_emulator.url, "stream", "Which Python is new?")
    assert "".join(answer["pieces"]) == "Python 3.14 is out[^1^]."


def test_sources_and_suggestions_are_found(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client reads sources from the answer's card, and suggestions from the answer's message."""
    bing_emulator.brain = Scripted([SEARCHED])
    [answer] = talk_with_sydney_py(bing_emulator.url, "cited", "Which Python is new?")
    assert answer == {
        "text": '[1]: https://example.org/python "Python releases"\n\nPython 3.14 is out[^1^][1].',
        "suggestions": ["What is new in it?", "When does it end?"],
    }


def test_two_turns_are_one_conversation(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client leaves the first turn's socket open and puts the second on another one."""
    bing_emulator.brain = Scripted([["First."], ["Second."]])
    answers = talk_with_sydney_py(bing_emulator.url, "ask", "one", "two")
    assert [answer["text"] for answer in answers] == ["First.", "Second."]
    creation, *chats = bing_emulator.requests
    assert creation.kind == "creation"
    assert [(chat.text, chat.invocation_id) for chat in chats] == [("one", "0"), ("two", "1")]
    assert len({chat.conversation_id for chat in chats}) == 1


def test_a_picture_is_uploaded_and_goes_with_the_prompt(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client uploads in a form whose boundary its header does not name, and refers to the picture by its id."""
    bing_emulator.brain = Scripted([["A cat."]])
    assert talk_with_sydney_py(bing_emulator.url, "look", "What is this?") == [{"text": "A cat."}]
    _, upload, chat = bing_emulator.requests
    assert upload.kind == "upload"
    assert upload.body["imageInfo"] == {"url": "https://example.org/cat.png"}
    assert chat.body["arguments"][0]["message"]["imageUrl"].startswith(f"{bing_emulator.url}/images/blob?bcid=")


def test_conversations_are_listed(bing_emulator: Emulator, talk_with_sydney_py: Talk) -> None:
    """The client's list of conversations has the one that it just used."""
    bing_emulator.brain = Scripted([["Hello."]])
    [answer] = talk_with_sydney_py(bing_emulator.url, "list", "Good morning")
    _, chat, listing = bing_emulator.requests
    assert listing.kind == "list"
    assert answer == {"text": "Hello.", "conversations": [chat.conversation_id]}
