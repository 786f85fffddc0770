"""One LLM on loops that come and go, with none, in a running one, and in threads: its text comes out each time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import LLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.response_synthesizers import TreeSummarize

from bing_llm.emulator import Emulator
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import MOORING, documents, index_of, memory, reply_to
from tests.integrations.llama_index.llms.bing.models import asked
from tests.integrations.llama_index.llms.bing.services import becomes_idle

ASKED = "What is my mooring?"
SAID = reply_to(ASKED)


def summaries_by(llm: LLM) -> list[str]:
    """What a pipeline, called synchronously, gets from the model."""
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), SummaryExtractor(llm=llm, show_progress=False)])
    return [node.metadata["section_summary"] for node in pipeline.run(documents=documents())]


def chat_engine(llm: LLM, mode: str) -> BaseChatEngine:
    """A chat about the documents."""
    made: BaseChatEngine = index_of().as_chat_engine(chat_mode=ChatMode(mode), llm=llm, memory=memory())
    return made


# --- one loop after another -------------------------------------------------------------------------------------------


def test_each_run_has_a_loop_of_its_own(llm: Bing, bing_emulator: Emulator) -> None:
    """`asyncio.run` again and again, synchronous calls between: each is answered, and leaves no connection."""

    async def streamed() -> str:
        return "".join([chunk.delta or "" async for chunk in await llm.astream_chat(asked(ASKED))])

    for _ in range(3):
        assert asyncio.run(llm.acomplete(ASKED)).text == SAID
        assert asyncio.run(llm.achat(asked(ASKED))).message.content == SAID
        assert asyncio.run(streamed()) == SAID
        assert becomes_idle(bing_emulator)
    assert llm.complete(ASKED).text == SAID
    assert asyncio.run(llm.acomplete(ASKED)).text == SAID
    assert "".join(chunk.delta or "" for chunk in llm.stream_complete(ASKED)) == SAID


@pytest.mark.usefixtures("loop_of_the_thread")
def test_synchronous_code_of_llama_index(llm: Bing) -> None:
    """Pipelines and trees run their coroutines on the thread's idle loop, or on one of their own."""
    for _ in range(2):
        assert all(MOORING in text or "permit" in text for text in summaries_by(llm))
        assert TreeSummarize(llm=llm, use_async=True).get_response(ASKED, [MOORING]) == SAID
        assert asyncio.run(llm.acomplete(ASKED)).text == SAID
        assert llm.complete(ASKED).text == SAID


def test_closing_reaches_a_loop_that_does_not_run(llm: Bing, bing_emulator: Emulator) -> None:
    """What an idle loop has open is closed with the LLM, also where that loop never runs again."""
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(llm.acomplete(ASKED)).text == SAID
    llm.close()
    assert becomes_idle(bing_emulator)
    loop.close()


def test_a_chat_goes_on_in_another_loop(llm: Bing) -> None:
    """An engine may be asked in one `asyncio.run` after the other, and synchronously between."""
    engine = chat_engine(llm, "condense_plus_context")

    async def streamed() -> str:
        response = await engine.astream_chat(ASKED)
        return "".join([token async for token in response.async_response_gen()])

    assert [asyncio.run(streamed()), asyncio.run(streamed())] == [SAID] * 2
    assert "".join(engine.stream_chat(ASKED).response_gen) == SAID
    assert asyncio.run(streamed()) == SAID


@pytest.mark.usefixtures("loop_of_the_thread")
def test_a_streamed_chat_without_a_running_loop(llm: Bing) -> None:
    """Twice: LlamaIndex reads the stream in a thread of its own."""
    engine = chat_engine(llm, "context")
    for _ in range(2):
        assert "".join(engine.stream_chat(ASKED).response_gen) == SAID


# --- in a running loop ------------------------------------------------------------------------------------------------


async def test_synchronous_calls_in_a_running_loop(llm: Bing) -> None:
    """Between awaits, in any order."""
    assert (await llm.acomplete(ASKED)).text == SAID
    assert llm.complete(ASKED).text == SAID
    assert len(summaries_by(llm)) == 2
    assert "".join(chunk.delta or "" for chunk in llm.stream_chat(asked(ASKED))) == SAID
    assert (await llm.achat(asked(ASKED))).message.content == SAID
    assert TreeSummarize(llm=llm, use_async=True).get_response(ASKED, [MOORING]) == SAID
    assert len(summaries_by(llm)) == 2
    assert "".join([chunk.delta or "" async for chunk in await llm.astream_complete(ASKED)]) == SAID


async def test_a_stream_goes_on_after_synchronous_calls(llm: Bing) -> None:
    """A synchronous call does not disturb a stream that is half read."""
    stream = await llm.astream_chat(asked(ASKED))
    other = llm.stream_chat(asked(ASKED))
    texts = [(await anext(stream)).delta or "", next(other).delta or ""]
    assert llm.complete(ASKED).text == SAID
    assert len(summaries_by(llm)) == 2
    texts[0] += "".join([chunk.delta or "" async for chunk in stream])
    texts[1] += "".join(chunk.delta or "" for chunk in other)
    assert texts == [SAID] * 2


# --- in threads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda llm, text: asyncio.run(llm.acomplete(text)).text,
        lambda llm, text: llm.complete(text).text,
        lambda llm, text: str(index_of().as_query_engine(llm=llm).query(text)),
        lambda llm, text: str(asyncio.run(index_of().as_query_engine(llm=llm).aquery(text))),
    ],
    ids=["acomplete", "complete", "query", "aquery"],
)
def test_threads_ask_at_once(ask: Callable[[LLM, str], str], llm: Bing, bing_emulator: Emulator) -> None:
    """Each with a loop of its own; everyone gets the answer to their own question, twice."""
    questions = [f"What is number {number}?" for number in range(4)]
    with ThreadPoolExecutor(len(questions)) as pool:
        for _ in range(2):
            answers = list(pool.map(lambda text: ask(llm, text), questions))
            assert answers == [reply_to(question) for question in questions]
    llm.close()
    assert becomes_idle(bing_emulator)


def test_a_stream_is_read_in_another_thread(llm: Bing) -> None:
    """Begun here, read on there, ended here: streams of the LLM, of an engine, and in a running loop."""
    engine = index_of().as_query_engine(llm=llm, streaming=True)
    response = engine.query(ASKED)
    assert isinstance(response, StreamingResponse)
    streams: list[Any] = [
        (chunk.delta or "" for chunk in llm.stream_chat(asked(ASKED))),
        llm.stream_complete(ASKED),
        response.response_gen,
    ]
    with ThreadPoolExecutor(1) as pool:
        for stream in streams:
            read = [next(stream)]
            read.append(pool.submit(next, stream).result())
            read += pool.submit(asyncio.run, _all_of(stream)).result()
            assert "".join(token if isinstance(token, str) else token.delta or "" for token in read) == SAID


async def _all_of(stream: Any) -> list[Any]:
    return list(stream)


# --- nothing is left --------------------------------------------------------------------------------------------------


def test_many_runs_leave_nothing(llm: Bing, bing_emulator: Emulator) -> None:
    """No thread and no connection more after many loops than after one."""

    async def some() -> None:
        await llm.acomplete(ASKED)
        left = await llm.astream_chat(asked(ASKED))
        assert SAID.startswith((await anext(left)).delta or "?")
        llm.complete(ASKED)

    asyncio.run(some())
    threads = set(threading.enumerate())
    for _ in range(10):
        asyncio.run(some())
    assert set(threading.enumerate()) == threads
    llm.close()
    assert becomes_idle(bing_emulator)
