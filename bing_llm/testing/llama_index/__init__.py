"""A conformance suite for LlamaIndex LLMs: does an LLM do what LlamaIndex expects of it?

It tests any LLM, and knows nothing of Bing. It needs pytest, pydantic and llama-index-core. Five lines test yours:

    from bing_llm.testing.llama_index import LLMConformance

    class TestMyLLM(LLMConformance):
        def make_llm(self, **settings):
            return MyLLM(endpoint="http://127.0.0.1:8080", **settings)

What the LLM cannot do is declared as class attributes, and its tests are then not collected:

    class TestMyLLM(LLMConformance):
        calls_tools = False
        gives_objects = False
        block_kinds = frozenset({"text", "image"})
        left_out = {"test_the_output_parser_is_used": "not supported: issue 123"}

`Subject` documents all of it: the capabilities, other ways to make the LLM, and what it is asked. `smoke_only = True`
keeps one test for each thing that an LLM does. `LLMConformance` consists of parts, which can be tested alone, each in a
class of its own:

- `AnswerConformance`, `MessageConformance`, `EventConformance`, `PromptConformance`, `ConfigurationConformance` and
  `ConcurrencyConformance`: every LLM
- `ToolConformance` and `AgentConformance`: an LLM that calls tools, by itself and in LlamaIndex's agents
- `StructuredConformance`: an LLM that answers with objects
"""

from __future__ import annotations

from bing_llm.testing.llama_index.agents import AgentConformance
from bing_llm.testing.llama_index.answers import AnswerConformance
from bing_llm.testing.llama_index.concurrency import ConcurrencyConformance
from bing_llm.testing.llama_index.configuration import ConfigurationConformance
from bing_llm.testing.llama_index.events import EventConformance
from bing_llm.testing.llama_index.messages import MessageConformance
from bing_llm.testing.llama_index.prompts import PromptConformance
from bing_llm.testing.llama_index.structured import StructuredConformance
from bing_llm.testing.llama_index.subject import BLOCK_KINDS, Subject, smoke
from bing_llm.testing.llama_index.tools import ToolConformance

__all__ = [
    "BLOCK_KINDS",
    "AgentConformance",
    "AnswerConformance",
    "ConcurrencyConformance",
    "ConfigurationConformance",
    "EventConformance",
    "LLMConformance",
    "MessageConformance",
    "PromptConformance",
    "StructuredConformance",
    "Subject",
    "ToolConformance",
    "smoke",
]


class LLMConformance(
    AnswerConformance,
    MessageConformance,
    EventConformance,
    PromptConformance,
    ConfigurationConformance,
    ConcurrencyConformance,
    StructuredConformance,
    AgentConformance,
    ToolConformance,
):
    """Everything that an LLM should do, as far as it declares that it can."""
