"""A conformance suite for LlamaIndex LLMs.

Written for any LLM: it needs pytest, pydantic and llama-index-core, and nothing of this project. Copy this file with
the folder `conformance` beside it, then subclass what fits your LLM, and say how to make one:

    from .llama_index_conformance import LLMConformance, StructuredConformance, ToolConformance

    class TestMyLLM(LLMConformance):
        def make_llm(self, **settings):
            return MyLLM(endpoint="http://127.0.0.1:8080", **settings)

    class TestMyTools(ToolConformance):
        make_llm = TestMyLLM.make_llm

- `LLMConformance`: every LLM. Answers and streams, messages, events, predictions, configuration, concurrency.
- `ToolConformance`: an LLM that calls tools.
- `AgentConformance`: the same, called by the agents of LlamaIndex.
- `StructuredConformance`: an LLM that answers with objects.

`Subject` documents what a suite declares of its LLM: what it can do, how to make it in other ways, and what to ask it.
A single test that does not apply is named in `left_out`, with the reason.
"""

from __future__ import annotations

import pytest

MODULES = ("agents", "answers", "concurrency", "configuration", "events", "messages", "prompts", "structured", "tools")
pytest.register_assert_rewrite(*(f"{__package__}.conformance.{name}" for name in MODULES))  # before they are imported

from .conformance.agents import AgentConformance  # noqa: E402
from .conformance.answers import AnswerConformance  # noqa: E402
from .conformance.concurrency import ConcurrencyConformance  # noqa: E402
from .conformance.configuration import ConfigurationConformance  # noqa: E402
from .conformance.events import EventConformance  # noqa: E402
from .conformance.messages import MessageConformance  # noqa: E402
from .conformance.prompts import PromptConformance  # noqa: E402
from .conformance.structured import StructuredConformance  # noqa: E402
from .conformance.subject import BLOCK_KINDS, Subject  # noqa: E402
from .conformance.tools import ToolConformance  # noqa: E402

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
]


class LLMConformance(
    AnswerConformance,
    MessageConformance,
    EventConformance,
    PromptConformance,
    ConfigurationConformance,
    ConcurrencyConformance,
):
    """Everything that every LLM should do."""
