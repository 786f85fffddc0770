"""What LlamaIndex does around an LLM: global settings, handlers that count and watch, selectors, evaluators."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.callbacks import (
    CallbackManager,
    CBEventType,
    EventPayload,
    LlamaDebugHandler,
    TokenCountingHandler,
)
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import QueryEngineTool

from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import ServiceError
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import MOORING, documents, index_of, reply_to, sent
from tests.integrations.llama_index.llms.bing.models import WAYS, asked, last_of, responses_of, text_of
from tests.integrations.turns import call

ASKED = "What is my mooring?"
SAID = reply_to(ASKED)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LlamaIndex's global settings, put back afterwards."""
    for name in ("_llm", "_embed_model", "_callback_manager", "_prompt_helper", "_transformations"):
        monkeypatch.setattr(Settings, name, None)
    return Settings


async def test_the_llm_may_be_set_for_all(settings: Any, llm: Bing) -> None:
    """Engines, extractors and synthesizers take it from there."""
    settings.llm = llm
    settings.embed_model = MockEmbedding(embed_dim=8)
    assert settings.llm is llm
    index = VectorStoreIndex.from_documents(documents())
    assert str(index.as_query_engine().query(ASKED)) == SAID
    assert str(await index.as_query_engine().aquery(ASKED)) == SAID


async def test_callbacks_may_be_set_for_all(settings: Any, llm: Bing) -> None:
    """They hear of each call once."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    settings.callback_manager = CallbackManager([handler])
    settings.llm = llm
    assert (await settings.llm.acomplete(ASKED)).text == SAID
    assert settings.llm.complete(ASKED).text == SAID
    assert len(handler.get_event_pairs(CBEventType.LLM)) == 2


# --- handlers ---------------------------------------------------------------------------------------------------------


def attach(llm: Bing, handler: Any) -> Bing:
    """The LLM with this handler."""
    llm.callback_manager = CallbackManager([handler])
    return llm


def payloads(handler: LlamaDebugHandler) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The payloads of the start and the end of each call."""
    return [(start.payload or {}, end.payload or {}) for start, end in handler.get_event_pairs(CBEventType.LLM)]


@pytest.mark.parametrize("way", WAYS)
async def test_tokens_are_counted(way: str, llm: Bing) -> None:
    """By LlamaIndex's own tokenizer, since the service tells no number: of the question and of the whole answer."""
    handler = TokenCountingHandler()
    await last_of(attach(llm, handler), way, ASKED)
    (event,) = handler.llm_token_counts
    assert event.completion_token_count == len(handler.tokenizer(event.completion))
    assert SAID in event.completion
    assert event.prompt_token_count >= len(handler.tokenizer(ASKED))
    assert handler.total_llm_token_count == event.prompt_token_count + event.completion_token_count


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_seen_once(way: str, llm: Bing) -> None:
    """One start and one end, with the question and the answer."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    await responses_of(attach(llm, handler), way, ASKED)
    ((started, given),) = payloads(handler)
    assert ASKED in str(started)
    assert text_of(given[EventPayload.RESPONSE if "chat" in way else EventPayload.COMPLETION]) == SAID


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_that_fails_is_seen_to_end(way: str, bing_emulator: Emulator) -> None:
    """With the error."""
    bing_emulator.brain = Scripted(lambda _question: [ServiceError()])
    handler = LlamaDebugHandler(print_trace_on_end=False)
    async with Bing(endpoint=bing_emulator.url, max_retries=0) as llm:
        with pytest.raises(ServiceError):
            await responses_of(attach(llm, handler), way, ASKED)
    ((_, given),) = payloads(handler)
    assert isinstance(given[EventPayload.EXCEPTION], ServiceError)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_query_is_counted_and_watched(streaming: bool, settings: Any, llm: Bing) -> None:  # noqa: FBT001
    """Each of an engine's calls of the model once, by handlers that are set for all."""
    counter, watcher = TokenCountingHandler(), LlamaDebugHandler(print_trace_on_end=False)
    settings.callback_manager = CallbackManager([counter, watcher])
    engine: Any = index_of().as_query_engine(llm=llm, streaming=streaming)
    response = engine.query(ASKED)
    assert ("".join(response.response_gen) if streaming else str(response)) == SAID
    response = await engine.aquery(ASKED)
    tokens = [token async for token in response.async_response_gen()] if streaming else [str(response)]
    assert "".join(tokens) == SAID
    assert len(watcher.get_event_pairs(CBEventType.LLM)) == len(counter.llm_token_counts) == 2
    assert len(watcher.get_event_pairs(CBEventType.QUERY)) == 2


async def test_calls_at_once_are_kept_apart(llm: Bing) -> None:
    """Each end belongs to its start."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    attach(llm, handler)
    questions = [f"What is number {number}?" for number in range(8)]
    await asyncio.gather(*(llm.achat(asked(question)) for question in questions))
    pairs = payloads(handler)
    assert len(pairs) == len(questions)
    for started, given in pairs:
        (message,) = started[EventPayload.MESSAGES]
        assert given[EventPayload.RESPONSE].message.content == reply_to(message.content)


# --- what asks a model beside engines ---------------------------------------------------------------------------------


async def test_a_router_lets_the_model_choose(bing_emulator: Emulator) -> None:
    """By a call of a tool, as LlamaIndex asks models that have them."""
    answers = {
        "choices": call("SingleSelection", index=2, reason="It is of papers."),
        "papers": "Until May.",
    }
    bing_emulator.brain = Scripted(lambda question: [answers["papers" if "Query: " in question.text else "choices"]])
    with Bing(endpoint=bing_emulator.url) as llm:
        tools = [
            QueryEngineTool.from_defaults(index_of().as_query_engine(llm=llm), name=name, description=f"About {name}.")
            for name in ("boats", "papers")
        ]
        engine = RouterQueryEngine.from_defaults(tools, llm=llm)
        for response in (engine.query(ASKED), await engine.aquery(ASKED)):
            assert str(response) == "Until May."
            assert response.metadata is not None
            assert response.metadata["selector_result"].ind == 1


async def test_a_model_ranks_and_judges(bing_emulator: Emulator) -> None:
    """A reranker and an evaluator read the model's words."""
    bing_emulator.brain = Scripted(
        lambda question: ["Doc: 2, ", "Relevance: 9\n"] if "Relevance" in question.text else ["YES"]
    )
    with Bing(endpoint=bing_emulator.url) as llm:
        nodes = index_of().as_retriever().retrieve(ASKED)
        (best,) = LLMRerank(llm=llm, top_n=1).postprocess_nodes(nodes, query_str=ASKED)
        assert (best.node.node_id, best.score) == (nodes[1].node.node_id, 9.0)
        verdict = await FaithfulnessEvaluator(llm=llm).aevaluate(response="Number 12.", contexts=[MOORING])
        assert verdict.passing is True
    assert any(MOORING in prompt for prompt in sent(bing_emulator))
