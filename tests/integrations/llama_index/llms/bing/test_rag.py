"""Answers from documents: query engines and chat engines, asked in each way, say what the model said."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from llama_index.core import Document, PromptTemplate
from llama_index.core.base.response.schema import AsyncStreamingResponse, PydanticResponse, StreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.memory import Memory
from llama_index.core.response_synthesizers import ResponseMode, TreeSummarize, get_response_synthesizer
from pydantic import BaseModel

from bing_llm.emulator import Emulator, Scripted
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import (
    MOORING,
    PERMIT,
    documents,
    index_of,
    memory,
    reply_to,
    sent,
)
from tests.integrations.llama_index_version import STREAMS_OBJECTS_OF_TEXT
from tests.integrations.turns import call

ASKED = "What is my mooring?"
MODES = [
    ResponseMode.COMPACT,
    ResponseMode.REFINE,
    ResponseMode.TREE_SUMMARIZE,
    ResponseMode.SIMPLE_SUMMARIZE,
]
CHAT_WAYS = ["chat", "achat", "stream_chat", "astream_chat"]


async def tokens_of(response: Any) -> list[str]:
    """The pieces of a response as they come; one where it is whole."""
    if isinstance(response, AsyncStreamingResponse):
        return [token async for token in response.async_response_gen()]
    if isinstance(response, StreamingResponse):
        return list(response.response_gen)
    return [str(response)]


# --- query engines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("way", ["query", "aquery"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_query_engine_answers(
    mode: ResponseMode,
    way: str,
    streaming: bool,  # noqa: FBT001
    llm: Bing,
    bing_emulator: Emulator,
) -> None:
    """In each mode, synchronous or not, streamed or not, the model is sent both documents, and its answer comes out."""
    engine: Any = index_of().as_query_engine(llm=llm, response_mode=mode, streaming=streaming, use_async=True)
    response = await engine.aquery(ASKED) if way == "aquery" else engine.query(ASKED)
    tokens = await tokens_of(response)
    assert "".join(tokens) == reply_to(ASKED)
    assert len(response.source_nodes) == 2
    prompts = "".join(sent(bing_emulator))
    assert MOORING in prompts
    assert PERMIT in prompts


async def test_a_query_engine_asks_of_each_document(llm: Bing) -> None:
    """`accumulate` asks once a document, all at once where it may."""
    engine = index_of().as_query_engine(llm=llm, response_mode=ResponseMode.ACCUMULATE, use_async=True)
    for response in (engine.query(ASKED), await engine.aquery(ASKED)):
        assert str(response).count(reply_to(ASKED)) == 2


@pytest.mark.parametrize("way", ["get_response", "aget_response"])
async def test_a_tree_is_summarized_with_many_calls_at_once(way: str, llm: Bing, bing_emulator: Emulator) -> None:
    """A tree makes as many calls as the context window requires, also from synchronous code."""
    small = llm.model_copy(update={"context_window": 600, "max_tokens": 64})
    synthesizer: Any = TreeSummarize(llm=small, use_async=True)
    chapters = [f"Chapter {number} is of the sea. {'The sea is wide. ' * 60}" for number in range(4)]
    answer = getattr(synthesizer, way)(ASKED, chapters)
    assert (await answer if way == "aget_response" else answer) == reply_to(ASKED)
    prompts = sent(bing_emulator)
    assert len(prompts) > len(chapters)
    assert all(any(chapter[:9] in prompt for prompt in prompts) for chapter in chapters)


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.REFINE])
def test_an_answer_is_refined(mode: ResponseMode, llm: Bing, bing_emulator: Emulator) -> None:
    """Where not all fits into one prompt, a later one holds the answer so far."""
    small = llm.model_copy(update={"context_window": 1000, "max_tokens": 64})
    long = [Document(text="The sea is wide. " * 120), Document(text="The quay is long. " * 120)]
    engine = index_of(long).as_query_engine(llm=small, response_mode=mode)
    assert str(engine.query(ASKED)) == reply_to(ASKED)
    first, *later = sent(bing_emulator)
    assert "Original Answer" not in first
    assert later
    assert all(f"Original Answer: {reply_to(ASKED)}" in prompt for prompt in later)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fits", [True, False])
async def test_an_answer_that_does_not_fit_is_left_out(fits: bool, streaming: bool, bing_emulator: Emulator) -> None:  # noqa: FBT001
    """`structured_answer_filtering` asks for a call of a tool, which says whether the answer is one."""
    verdict = call("StructuredRefineResponse", query_satisfied=fits, answer="Number 12.")
    bing_emulator.brain = Scripted(lambda _question: [verdict])
    with Bing(endpoint=bing_emulator.url) as llm:
        refine = partial(
            get_response_synthesizer,
            llm,
            response_mode=ResponseMode.REFINE,
            structured_answer_filtering=True,
            streaming=streaming,
        )
        if streaming and not STREAMS_OBJECTS_OF_TEXT:
            with pytest.raises(ValueError, match="Streaming not supported"):
                refine()
            return
        synthesizer = refine()
        engine = index_of().as_query_engine(response_synthesizer=synthesizer, llm=llm)
        for response in (engine.query(ASKED), await engine.aquery(ASKED)):
            assert "".join(await tokens_of(response)).strip() == ("Number 12." if fits else "Empty Response")


class Mooring(BaseModel):
    """Where a boat lies."""

    number: int
    quay: str


async def test_an_answer_may_be_an_object(bing_emulator: Emulator) -> None:
    """Of the class that a structured LLM answers with."""
    bing_emulator.brain = Scripted(lambda _question: ['{"number": 12, ', '"quay": "north"}'])
    with Bing(endpoint=bing_emulator.url) as llm:
        engine = index_of().as_query_engine(llm=llm.as_structured_llm(Mooring))
        for response in (engine.query(ASKED), await engine.aquery(ASKED)):
            assert isinstance(response, PydanticResponse)
            assert response.response == Mooring(number=12, quay="north")
    assert all(MOORING in prompt for prompt in sent(bing_emulator))


# --- chat engines -----------------------------------------------------------------------------------------------------


def chat_engine(mode: str, llm: Bing) -> BaseChatEngine:
    """An engine for a chat about the documents; `simple` knows none."""
    if mode == "simple":
        return SimpleChatEngine.from_defaults(llm=llm, memory=memory())
    made: BaseChatEngine = index_of().as_chat_engine(
        chat_mode=ChatMode(mode), llm=llm, memory=memory(), streaming=mode == "condense_question"
    )
    return made


async def said_by(engine: BaseChatEngine, way: str, asked: str) -> str:
    """The answer to a message."""
    response: Any = getattr(engine, way)(asked)
    if way.startswith("a"):
        response = await response
    if way == "stream_chat":
        return "".join(response.response_gen)
    if way == "astream_chat":
        return "".join([token async for token in response.async_response_gen()])
    return str(response)


@pytest.mark.parametrize("way", CHAT_WAYS)
@pytest.mark.parametrize(("mode", "condensed"), [("simple", 0), ("context", 0), ("condense_plus_context", 2)])
async def test_a_chat_engine_goes_on_in_one_conversation(
    mode: str, condensed: int, way: str, llm: Bing, bing_emulator: Emulator
) -> None:
    """While the documents are the same, what was said is not said again; each question is condensed in its own."""
    engine = chat_engine(mode, llm)
    for asked in (ASKED, "And my permit?", "Thank you."):
        assert await said_by(engine, way, asked) == reply_to(asked)
    chats = [request for request in bing_emulator.requests if request.kind == "chat"]
    assert len({request.conversation_id for request in chats}) == 1 + condensed
    assert (chats[-1].context, chats[-1].text) == ("", "Thank you.")


@pytest.mark.parametrize("way", CHAT_WAYS)
@pytest.mark.parametrize("mode", ["simple", "context", "condense_plus_context"])
async def test_a_chat_engine_answers_twice(mode: str, way: str, llm: Bing, bing_emulator: Emulator) -> None:
    """In each way; the second message is asked with the first and its answer, and with the documents."""
    llm.continue_conversations = False
    engine = chat_engine(mode, llm)
    assert await said_by(engine, way, ASKED) == reply_to(ASKED)
    assert await said_by(engine, way, "And my permit?") == reply_to("And my permit?")
    last = sent(bing_emulator)[-1]
    assert last.endswith("And my permit?")
    assert reply_to(ASKED) in last
    assert (mode == "simple") is (PERMIT not in last)
    assert [message.content for message in engine.chat_history] == [
        ASKED,
        reply_to(ASKED),
        "And my permit?",
        reply_to("And my permit?"),
    ]


@pytest.mark.parametrize("way", CHAT_WAYS)
async def test_a_chat_with_the_memory_of_llama_index(way: str, llm: Bing) -> None:
    """The one that engines make where none is given, a database in memory."""
    kept = Memory.from_defaults(token_limit=4000)
    engine = index_of().as_chat_engine(llm=llm, memory=kept)
    assert await said_by(engine, way, ASKED) == reply_to(ASKED)
    assert await said_by(engine, way, "And my permit?") == reply_to("And my permit?")
    assert len(await kept.aget_all()) == 4
    store: Any = kept.sql_store
    await store._async_engine.dispose()  # nobody else closes it


@pytest.mark.parametrize("way", CHAT_WAYS)
async def test_a_question_is_condensed(way: str, llm: Bing, bing_emulator: Emulator) -> None:
    """The model writes the question anew with the history, and is asked that."""
    engine = chat_engine("condense_question", llm)
    await said_by(engine, way, ASKED)
    assert await said_by(engine, way, "And my permit?") == reply_to("And my permit?")
    condensing, answering = sent(bing_emulator)[-2:]
    assert reply_to(ASKED) in condensing
    assert PERMIT in answering


async def test_the_llm_is_asked_by_templates(llm: Bing) -> None:
    """`predict`, `stream` and their twins, of which engines are made."""
    prompt, expected = PromptTemplate("What is {thing}?"), reply_to("What is the tide?")
    assert llm.predict(prompt, thing="the tide") == expected
    assert await llm.apredict(prompt, thing="the tide") == expected
    assert "".join(llm.stream(prompt, thing="the tide")) == expected
    assert "".join([token async for token in await llm.astream(prompt, thing="the tide")]) == expected


def test_the_documents_stay_as_they_were(llm: Bing) -> None:
    """Engines share nodes with the index: nothing changes them."""
    found = documents()
    before = [document.model_dump() for document in found]
    index_of(found).as_query_engine(llm=llm).query(ASKED)
    assert [document.model_dump() for document in found] == before
