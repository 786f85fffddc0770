"""Citations: blocks beside the text, in every way of asking, and none of them in what engines make of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, CitationBlock, MessageRole, TextBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

from bing_llm import events as ev
from llama_index.llms.bing import convert
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.knowledge import index_of
from tests.integrations.llama_index.llms.bing.models import CHATS, asked, last_of, llm_of, responses_of
from tests.integrations.turns import turn

TEXT = "High water is at noon.[^1^] Low water is at six.[^2^]"
CITATIONS = (ev.Citation(1, "https://a.example", "Tides"), ev.Citation(2, "https://b.example", "Ports"))
SEARCH = ev.Search("tides", (ev.SearchResult("Tides", "https://a.example", ("Noon.",)),))


def cited() -> list[Any]:
    """A turn with two citations, of which a search found one."""
    return turn("High water is at noon.[^1^] ", "Low water is at six.[^2^]", citations=CITATIONS, searches=(SEARCH,))


@pytest.mark.parametrize("way", CHATS)
async def test_a_citation_is_a_block_beside_the_text(way: str) -> None:
    """With its source, and the place of its marker; in a stream, the last response has it."""
    *before, last = await responses_of(llm_of(FakeBackend(cited())), way)
    text, *citations = last.message.blocks
    assert text == TextBlock(text=TEXT)
    assert all(isinstance(citation, CitationBlock) for citation in citations)
    assert [(one.source, one.title, one.cited_content.text) for one in citations] == [
        ("https://a.example", "Tides", "Noon."),
        ("https://b.example", "Ports", "Ports"),
    ]
    places = [one.additional_location_info for one in citations]
    assert [TEXT[place["start_index"] : place["end_index"]] for place in places] == ["[^1^]", "[^2^]"]
    assert not any(isinstance(block, CitationBlock) for response in before for block in response.message.blocks)
    assert last.message.content == TEXT


async def test_an_answer_with_citations_is_stored_and_sent_without_them() -> None:
    """They are the service's own notes to its text, which the next turn does not repeat."""
    message = (await last_of(llm_of(FakeBackend(cited())), "achat")).message
    stored = ChatMessage.model_validate_json(message.model_dump_json())
    assert stored == message
    assert convert([stored]) == convert([ChatMessage(TEXT, role=MessageRole.ASSISTANT)])


@pytest.mark.parametrize("streaming", [False, True])
def test_the_answer_of_a_query_is_its_text(streaming: bool) -> None:  # noqa: FBT001
    """An engine's response is text, which has the markers and no block."""
    engine = index_of().as_query_engine(llm=llm_of(FakeBackend(cited())), streaming=streaming)
    response: Any = engine.query("When?")
    assert ("".join(response.response_gen) if streaming else str(response)) == TEXT


def test_a_chat_engine_keeps_the_citations() -> None:
    """Its memory holds the message with its blocks, and counts its tokens; the next turn goes on from it."""
    backend = FakeBackend(cited(), turn("Yes."))
    memory = ChatMemoryBuffer.from_defaults(token_limit=4000)
    engine = SimpleChatEngine.from_defaults(llm=llm_of(backend), memory=memory)
    assert str(engine.chat(str(asked()[0].content))) == TEXT
    assert sum(isinstance(block, CitationBlock) for block in memory.get_all()[-1].blocks) == 2
    assert str(engine.chat("Sure?")) == "Yes."
