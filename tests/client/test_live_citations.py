"""Citations of an answer as Work IQ gives it, from the server to the caller."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage, CitationBlock

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Obedient
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

QUESTION = "Search the web for tides, and cite your sources."
TITLES = ["news", "overview"]


@pytest.fixture
def settings(bing_emulator: Emulator) -> dict[str, Any]:
    """What makes a client of the emulator's Work IQ, which searches and cites."""
    bing_emulator.brain = Obedient(pace=0)
    endpoint = {"endpoint": bing_emulator.workiq_url, "token": bing_emulator.token}
    return {"backend": "workiq", "time_zone": "UTC", **endpoint}


@pytest.mark.parametrize("over_stream", [True, False])
async def test_a_client_has_them_with_their_places(settings: dict[str, Any], *, over_stream: bool) -> None:
    """Streamed and whole; what was given of the text extends to the reply's."""
    async with BingClient(**settings, over_stream=over_stream) as client, client.stream(QUESTION) as turn:
        text = "".join([piece async for piece in turn.text])
        reply = await turn.reply()
    assert (text, reply.revised) == (reply.text, False)
    assert [each.title for each in reply.citations] == TITLES
    for each in reply.citations:
        assert [reply.text[start:end] for start, end in each.spans] == [f"[{each.number}]({each.url})"]
    assert "sensitivityLabel" not in reply.metadata


async def test_footnotes_stand_in_their_place(settings: dict[str, Any]) -> None:
    """The form that ChatHub has, whose places count in the text as it is returned."""
    async with BingClient(**settings, citation_markers="footnote") as client:
        reply = await client.ask(QUESTION)
    assert [reply.text[start:end] for each in reply.citations for start, end in each.spans] == ["[^1^]", "[^2^]"]
    assert "](" not in reply.text


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_langchain_has_annotations(settings: dict[str, Any], way: str) -> None:
    """One for each marker, in the text of its block."""
    async with BingClient(**settings) as client:
        model = ChatBing(client=client, output_version="v1")
        if way == "invoke":
            message: Any = await model.ainvoke(QUESTION)
        else:
            chunks = [chunk async for chunk in model.astream(QUESTION)]
            message = sum(chunks[1:], chunks[0])
            assert isinstance(message, AIMessageChunk)
    (text,) = [block for block in message.content_blocks if block["type"] == "text"]
    annotations = text["annotations"]
    assert [each["title"] for each in annotations] == TITLES
    for number, each in enumerate(annotations, 1):
        assert text["text"][each["start_index"] : each["end_index"]] == f"[{number}]({each['url']})"


@pytest.mark.parametrize("way", ["achat", "astream_chat"])
async def test_llama_index_has_citation_blocks(settings: dict[str, Any], way: str) -> None:
    """After the text, one for each marker; of a stream, in the last response."""
    async with BingClient(**settings) as client:
        llm = Bing(client=client)
        messages = [ChatMessage(content=QUESTION)]
        if way == "achat":
            response = await llm.achat(messages)
        else:
            response = [each async for each in await llm.astream_chat(messages)][-1]
    blocks = [block for block in response.message.blocks if isinstance(block, CitationBlock)]
    text = response.message.content or ""
    assert [block.title for block in blocks] == TITLES
    for number, block in enumerate(blocks, 1):
        place = block.additional_location_info
        assert text[place["start_index"] : place["end_index"]] == f"[{number}]({block.source})"
