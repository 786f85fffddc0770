"""Pipelines whose extractors ask the model: called in each way and again, what it said is in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core import DocumentSummaryIndex, MockEmbedding
from llama_index.core.extractors import (
    BaseExtractor,
    KeywordExtractor,
    PydanticProgramExtractor,
    QuestionsAnsweredExtractor,
    SummaryExtractor,
    TitleExtractor,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import LLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.program import LLMTextCompletionProgram
from llama_index.core.schema import BaseNode
from pydantic import BaseModel

from bing_llm.emulator import Emulator, Question, Scripted
from bing_llm.errors import Throttled
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import MOORING, PERMIT, documents, sent

SAID = {"Title:": "The harbour", "Summary:": "Of boats.", "Keywords:": "mooring, quay"}
QUESTIONS = "Where is the mooring?"
EXTRACTED = {
    "document_title": SAID["Title:"],
    "section_summary": SAID["Summary:"],
    "excerpt_keywords": SAID["Keywords:"],
    "questions_this_excerpt_can_answer": QUESTIONS,
}
CALLS = 2 * (2 + 1 + 1 + 1)
"""Of two documents: a title is asked for twice, with the candidates once more."""


def extracting(question: Question) -> list[str]:
    """What the service says to an extractor."""
    return [SAID.get(question.text.split()[-1], QUESTIONS)]


@pytest.fixture
def llm(llm: Bing, bing_emulator: Emulator) -> Bing:
    """An LLM whose service knows what extractors ask for."""
    bing_emulator.brain = Scripted(extracting)
    return llm


def pipeline_of(*extractors: BaseExtractor, **settings: Any) -> IngestionPipeline:
    """A pipeline of a splitter and these extractors, which want nodes, not documents."""
    return IngestionPipeline(transformations=[SentenceSplitter(), *extractors], **settings)


def extractors_of(llm: LLM) -> list[BaseExtractor]:
    """Those of LlamaIndex that ask a model. The bar that shows how far they are has a thread that never ends."""
    kinds = [TitleExtractor, SummaryExtractor, KeywordExtractor, QuestionsAnsweredExtractor]
    return [kind(llm=llm, show_progress=False) for kind in kinds]


def extracted_from(nodes: Sequence[BaseNode]) -> list[dict[str, Any]]:
    """What was extracted of each node, without what was known."""
    return [{key: value for key, value in node.metadata.items() if key != "source"} for node in nodes]


@pytest.mark.usefixtures("loop_of_the_thread")
def test_a_pipeline_runs_twice(llm: Bing, bing_emulator: Emulator) -> None:
    """From synchronous code: on the loop that the thread has, else in a loop of LlamaIndex's own each time."""
    for _ in range(2):
        pipeline = pipeline_of(*extractors_of(llm), disable_cache=True)
        assert extracted_from(pipeline.run(documents=documents())) == [EXTRACTED] * 2
    prompts = sent(bing_emulator)
    assert len(prompts) == 2 * CALLS
    assert {MOORING, PERMIT} == {text for text in (MOORING, PERMIT) if any(text in prompt for prompt in prompts)}


async def test_a_pipeline_runs_inside_a_loop(llm: Bing) -> None:
    """Awaited or called, in any order; a call runs in a thread of LlamaIndex's, whose loop is closed each time."""
    pipeline = pipeline_of(*extractors_of(llm), disable_cache=True)
    runs = [
        await pipeline.arun(documents=documents()),
        pipeline.run(documents=documents()),
        pipeline.run(documents=documents()),
        await pipeline.arun(documents=documents()),
    ]
    assert [extracted_from(nodes) for nodes in runs] == [[EXTRACTED] * 2] * 4


@pytest.mark.usefixtures("loop_of_the_thread")
def test_what_a_pipeline_has_done_is_not_asked_again(llm: Bing, bing_emulator: Emulator) -> None:
    """LlamaIndex knows a transformation by its settings: those of a second LLM like the first are the same."""
    found, pipeline = documents(), pipeline_of(*extractors_of(llm))
    first = pipeline.run(documents=found, in_place=False)
    like = pipeline_of(*extractors_of(Bing(endpoint=bing_emulator.url)), cache=pipeline.cache)
    assert extracted_from(like.run(documents=found, in_place=False)) == extracted_from(first) == [EXTRACTED] * 2
    assert len(sent(bing_emulator)) == CALLS
    other = pipeline_of(*extractors_of(Bing(endpoint=bing_emulator.url, model="bing-precise")), cache=pipeline.cache)
    other.run(documents=found, in_place=False)
    assert len(sent(bing_emulator)) == 2 * CALLS


@pytest.mark.usefixtures("loop_of_the_thread")
def test_a_pipeline_raises_what_the_service_says(bing_emulator: Emulator) -> None:
    """LlamaIndex replaces each RuntimeError by a message about nested loops; ours are not RuntimeErrors."""
    bing_emulator.brain = Scripted(lambda _question: [Throttled()])
    with Bing(endpoint=bing_emulator.url, max_retries=0) as llm, pytest.raises(Throttled):
        pipeline_of(KeywordExtractor(llm=llm, show_progress=False)).run(documents=documents()[:1])


async def test_a_pipeline_in_a_loop_raises_what_the_service_says(bing_emulator: Emulator) -> None:
    """There too."""
    bing_emulator.brain = Scripted(lambda _question: [Throttled()])
    async with Bing(endpoint=bing_emulator.url, max_retries=0) as llm:
        with pytest.raises(Throttled):
            pipeline_of(KeywordExtractor(llm=llm, show_progress=False)).run(documents=documents()[:1])


class Place(BaseModel):
    """What a note is about."""

    name: str


async def test_a_pipeline_extracts_objects(bing_emulator: Emulator) -> None:
    """A program of LlamaIndex's own reads them out of the model's text."""
    bing_emulator.brain = Scripted(lambda _question: ['```json\n{"name": "quay"}\n```'])
    async with Bing(endpoint=bing_emulator.url) as llm:
        program = LLMTextCompletionProgram.from_defaults(output_cls=Place, prompt_template_str="{input}", llm=llm)
        pipeline = pipeline_of(PydanticProgramExtractor(program=program, show_progress=False), disable_cache=True)
        for nodes in (await pipeline.arun(documents=documents()), pipeline.run(documents=documents())):
            assert extracted_from(nodes) == [{"name": "quay"}] * 2


@pytest.mark.usefixtures("loop_of_the_thread")
@pytest.mark.parametrize("use_async", [False, True])
def test_an_index_of_summaries(use_async: bool, bing_emulator: Emulator) -> None:  # noqa: FBT001
    """It asks of each document while it is built."""
    bing_emulator.brain = Scripted(lambda question: ["Of a permit." if PERMIT in question.text else "Of a mooring."])
    found = documents()
    with Bing(endpoint=bing_emulator.url) as llm:
        index = DocumentSummaryIndex.from_documents(
            found, llm=llm, embed_model=MockEmbedding(embed_dim=8), use_async=use_async
        )
    summaries = [index.get_document_summary(document.id_) for document in found]
    assert summaries == ["Of a mooring.", "Of a permit."]
