"""Packing: LlamaIndex fills prompts up to the context window by its own count of tokens, and no service refuses one."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, DocumentSummaryIndex, MockEmbedding, VectorStoreIndex, get_response_synthesizer
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.indices import prompt_helper
from llama_index.core.indices.prompt_helper import PromptHelper
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.prompts import PromptTemplate
from llama_index.core.response_synthesizers import ResponseMode, refine
from llama_index.core.utils import get_tokenizer
from pydantic import BaseModel

from bing_llm.emulator import Emulator, Obedient
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import memory

pytestmark = pytest.mark.system

LIMIT = 32_000
"""Characters of a prompt and its context, from which on the emulator refuses them, as a ChatHub did."""

_WORDS = (
    ("The committee", "A report of the ministry", "Her brother", "The old harbour", "Nobody in the village"),
    ("decided that", "had long suspected that", "would never admit that", "explained to the visitors that"),
    ("the northern railway", "an agreement about the fisheries", "the weather of that winter", "the constitution"),
    ("was important for the whole country", "could not be understood by its enemies", "would change within a year"),
)
SUMMARY = "Summarize it."


class Report(BaseModel):
    """What a text says."""

    title: str
    summary: str


def prose() -> str:
    """English sentences, each of them different."""
    return " ".join(f"{' '.join(words)}." for words in itertools.product(*_WORDS)) * 2


def code() -> str:
    """Python with its indentation."""
    return f"{inspect.getsource(refine)}\n\n{inspect.getsource(prompt_helper)}"


def cjk() -> str:
    """Japanese, about one token a character."""
    return "量子力学は現代物理学の根幹を成す理論であり、分子や原子の微視的な物理現象を記述する。" * 300


TEXTS = {"prose": prose, "code": code, "cjk": cjk}


def characters_per_token(text: str) -> float:
    """By LlamaIndex's tokenizer."""
    return len(text) / len(get_tokenizer()(text))


@pytest.fixture(params=["chathub", "workiq"])
def llm(request: pytest.FixtureRequest, bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM of each service, asking one that refuses what is too long."""
    bing_emulator.brain = Obedient(pace=0)
    made = {
        "chathub": lambda: Bing(endpoint=bing_emulator.url, max_retries=0),
        "workiq": lambda: Bing(
            endpoint=bing_emulator.workiq_url, token=bing_emulator.token, time_zone="UTC", max_retries=0
        ),
    }
    with made[request.param]() as llm:
        yield llm


def longest(emulator: Emulator) -> int:
    """The characters of the longest prompt and context that were sent."""
    return max(len(one.context) + len(one.text) for one in emulator.requests if one.kind == "chat")


def index_of(text: str, **settings: Any) -> VectorStoreIndex:
    """An index of one long text; with equal embeddings it finds any of its nodes."""
    splitter = TokenTextSplitter(chunk_size=1024)
    return VectorStoreIndex.from_documents(
        [Document(text=text)], embed_model=MockEmbedding(embed_dim=8), transformations=[splitter], **settings
    )


def test_the_texts_are_dense() -> None:
    """English prose has 4.7 characters a token and code is denser, so that they fill more than an estimate of 4."""
    assert characters_per_token(prose()) > 4.7
    assert characters_per_token(code()) > 4.7
    assert characters_per_token(cjk()) < 1.5


MODES = [
    ResponseMode.COMPACT,
    ResponseMode.REFINE,
    ResponseMode.TREE_SUMMARIZE,
    ResponseMode.SIMPLE_SUMMARIZE,
    ResponseMode.COMPACT_ACCUMULATE,
]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_packs_what_is_taken(llm: Bing, mode: ResponseMode, kind: str, bing_emulator: Emulator) -> None:
    """A query over ten nodes, and over the whole text at once: nothing is refused, and the prompts are full."""
    text = TEXTS[kind]()
    llm.system_prompt = "Answer in the language of the question, and name the passages that you used."
    index_of(text).as_query_engine(llm=llm, similarity_top_k=10, response_mode=mode).query(SUMMARY)
    synthesizer = get_response_synthesizer(llm=llm, response_mode=mode)
    synthesizer.get_response(SUMMARY, [text])
    assert longest(bing_emulator) < LIMIT
    if kind == "prose" and mode is not ResponseMode.REFINE:  # that one asks for each node alone
        assert longest(bing_emulator) > LIMIT / 2


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE])
def test_an_object_leaves_room_for_its_schema(
    llm: Bing, mode: ResponseMode, kind: str, bing_emulator: Emulator
) -> None:
    """A query whose answer is an object sends its schema with each prompt."""
    engine = index_of(TEXTS[kind]()).as_query_engine(
        llm=llm.as_structured_llm(Report), similarity_top_k=10, response_mode=mode
    )
    engine.query(SUMMARY)
    assert longest(bing_emulator) < LIMIT


@pytest.mark.parametrize("kind", TEXTS)
def test_summaries_of_documents_are_taken(llm: Bing, kind: str, bing_emulator: Emulator) -> None:
    """DocumentSummaryIndex packs whole documents."""
    DocumentSummaryIndex.from_documents(
        [Document(text=TEXTS[kind]())],
        llm=llm,
        embed_model=MockEmbedding(embed_dim=8),
        transformations=[TokenTextSplitter(chunk_size=1024)],
        response_synthesizer=get_response_synthesizer(llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE),
    )
    assert longest(bing_emulator) < LIMIT


@pytest.mark.parametrize("kind", TEXTS)
def test_a_chat_with_ten_nodes_is_taken(llm: Bing, kind: str, bing_emulator: Emulator) -> None:
    """A chat engine puts what it found before the question."""
    engine = index_of(TEXTS[kind]()).as_chat_engine(
        chat_mode=ChatMode.CONTEXT, llm=llm, similarity_top_k=10, memory=memory()
    )
    engine.chat(SUMMARY)
    engine.chat("And in one sentence?")
    assert longest(bing_emulator) < LIMIT


def test_a_long_answer_leaves_room_for_a_prompt() -> None:
    """`max_tokens` may be larger than the window: the service does not count the answer to the prompt."""
    llm = Bing(backend="emulator", max_tokens=100_000)
    assert llm.metadata.num_output < llm.metadata.context_window / 2
    helper = PromptHelper.from_llm_metadata(llm.metadata)
    assert helper.repack(PromptTemplate("{text}"), [prose()])


def test_a_window_of_your_own_counts() -> None:
    """Who knows the limit of a service of their own says so."""
    llm = Bing(backend="emulator", context_window=100_000, callback_manager=CallbackManager())
    assert llm.metadata.context_window == 100_000
