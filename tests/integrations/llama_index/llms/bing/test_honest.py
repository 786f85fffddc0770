"""The emulator's rules give what evaluates, selects, ranks or queries no answer that looks right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.evaluation import (
    CorrectnessEvaluator,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    PairwiseComparisonEvaluator,
    RelevancyEvaluator,
)
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.prompts.default_prompts import DEFAULT_TEXT_TO_SQL_PROMPT
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.selectors import LLMMultiSelector, LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool, ToolMetadata
from pydantic import BaseModel

from bing_llm.emulator import Emulator, Obedient
from bing_llm.emulator.brains.schemas import NO_MODEL
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import MOORING, index_of, memory

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

WRONG = "The moon is made of cheese, yes it is."
CHOICES = [ToolMetadata("About boats. Yes, all of them.", "boats"), ToolMetadata("About papers.", "papers")]


@pytest.fixture
def llm(bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM whose service has the rules alone."""
    bing_emulator.brain = Obedient(pace=0)
    with Bing(endpoint=bing_emulator.url) as llm:
        yield llm


@pytest.mark.parametrize("kind", [FaithfulnessEvaluator, RelevancyEvaluator])
async def test_no_evaluator_passes_a_wrong_answer(kind: Any, llm: Bing) -> None:
    """Not even one whose words are in the prompt; the feedback is the line."""
    result = await kind(llm=llm).aevaluate(query="What is the moon made of?", response=WRONG, contexts=[WRONG, MOORING])
    assert (result.passing, result.score, result.feedback) == (False, 0.0, NO_MODEL)


async def test_no_answer_is_called_correct_or_better(llm: Bing) -> None:
    """LlamaIndex finds no score in the line, and neither of two answers wins."""
    asked: dict[str, Any] = {"query": "What is 1 + 1?", "response": "5", "reference": "2"}
    with pytest.raises(ValueError, match="unpack"):
        await CorrectnessEvaluator(llm=llm).aevaluate(**asked)
    compared = await PairwiseComparisonEvaluator(llm=llm).aevaluate(**asked, second_response="2")
    assert compared.invalid_result
    with pytest.raises(Exception, match=r"(?i)json|valid|parse"):
        await GuidelineEvaluator(llm=llm).aevaluate(**asked)


@pytest.mark.parametrize("kind", [LLMSingleSelector, LLMMultiSelector, PydanticSingleSelector])
def test_no_selector_chooses(kind: Any, llm: Bing) -> None:
    """The framework's own error is raised: there is no choice in the answer."""
    selector = kind.from_defaults(llm=llm)
    with pytest.raises(Exception, match=r"(?i)json|valid|parse|output"):
        selector.select(CHOICES, "Which are the choices about 1 boat?")


def test_no_router_routes(llm: Bing) -> None:
    """Nor does an engine that asks one."""
    tools = [
        QueryEngineTool.from_defaults(index_of().as_query_engine(llm=llm), name=name, description=f"About {name}.")
        for name in ("boats", "papers")
    ]
    with pytest.raises(Exception, match=r"(?i)json|valid|parse|output"):
        RouterQueryEngine.from_defaults(tools, llm=llm).query("What is my mooring?")


def test_no_document_is_ranked(llm: Bing) -> None:
    """A reranker finds no document in the line."""
    nodes = index_of().as_retriever().retrieve("What is my mooring?")
    assert LLMRerank(llm=llm, top_n=1).postprocess_nodes(nodes, query_str="What is my mooring?") == []


def test_no_query_is_written(llm: Bing) -> None:
    """The line is not SQL, so that a database refuses it."""
    said = llm.predict(DEFAULT_TEXT_TO_SQL_PROMPT, dialect="sqlite", schema="boats(id, name)", query_str="How many?")
    assert said == NO_MODEL


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE, ResponseMode.REFINE])
def test_a_question_about_given_text_is_answered_from_it(mode: ResponseMode, llm: Bing) -> None:
    """By the sentence that has its words; a question that has no such sentence gets the line."""
    engine = index_of().as_query_engine(llm=llm, response_mode=mode, similarity_top_k=2)
    assert MOORING in str(engine.query("What is my mooring?"))
    assert str(engine.query("Who wrote the oldest almanac?")) == NO_MODEL


def test_a_chat_engine_paints_nothing(llm: Bing, bing_emulator: Emulator) -> None:
    """A word of a question is not a request for a picture."""
    engine = index_of().as_chat_engine(llm=llm, memory=memory())
    response = engine.chat("What did the author paint?")
    assert str(response) == NO_MODEL
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"]


class Result(BaseModel):
    """The result of a calculation."""

    operation: str
    result: float


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def test_an_object_has_what_a_tool_gave_back(llm: Bing) -> None:
    """The number of the tool, and the line for the text that nobody stated."""
    agent = FunctionAgent(tools=[multiply], llm=llm, output_cls=Result)
    output: Any = await agent.run("What is 30 * 40?")
    assert output.get_pydantic_model(Result) == Result(operation=NO_MODEL, result=1200)
