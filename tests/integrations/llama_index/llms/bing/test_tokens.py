"""Counting: what LlamaIndex's TokenCountingHandler makes of our responses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.utils import get_tokenizer

from llama_index.llms.bing import responses
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.models import CHATS, WAYS, last_of, llm_of
from tests.integrations.turns import call, turn

ARGUMENTS = {"city": "Paris", "days": list(range(30))}


def forecast(city: str, days: list[int]) -> str:
    """Get the weather."""
    return f"{city}: {days}"


def tokens(text: str) -> int:
    """Count the tokens of a text as LlamaIndex does."""
    return len(get_tokenizer()(text))


async def counted(way: str, *lines: str, **options: Any) -> tuple[Any, int]:
    """The last response, and how many tokens of answers the handler counted."""
    counter = TokenCountingHandler()
    llm = llm_of(FakeBackend(turn(*lines)), callback_manager=CallbackManager([counter]))
    response = await last_of(llm, way, **options)
    return response, counter.completion_llm_token_count


@pytest.mark.parametrize("way", CHATS)
async def test_the_arguments_of_a_call_are_counted(way: str) -> None:
    """By LlamaIndex's tokenizer, and marked as an estimate: the service counts nothing."""
    response, count = await counted(way, "Let me see. ", call("forecast", **ARGUMENTS), tools=[forecast])
    expected = tokens("Let me see.") + tokens(f"forecast{json.dumps(ARGUMENTS)}")
    assert abs(count - expected) <= 2
    assert count == response.additional_kwargs["completion_tokens"]
    assert response.additional_kwargs["tokens_are_estimated"] is True
    assert response.raw["usage"] is None


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_of_text_is_counted_by_the_handler(way: str) -> None:
    """A response without calls has no estimate, because LlamaIndex counts its text."""
    response, count = await counted(way, "It rains in Paris.")
    assert count >= tokens("It rains in Paris.")
    assert "completion_tokens" not in response.additional_kwargs
    assert "usage" not in response.raw


async def test_long_arguments_are_counted_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer may take very long for text that a model made up."""

    def refuse() -> Any:
        raise AssertionError

    monkeypatch.setattr(responses, "get_tokenizer", refuse)
    assert responses._count_tokens("a" * 40_000) == 10_000
