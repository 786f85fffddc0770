"""Models over services that say what a test wrote down, and messages made comparable."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_bing import ChatBing
from tests.fakes import FakeBackend, client_of


def model_of(backend: FakeBackend, **settings: Any) -> ChatBing:
    """A model that asks this service."""
    return ChatBing(client=client_of(backend), **settings)


def summed(chunks: Iterable[BaseMessage]) -> AIMessageChunk:
    """The whole message."""
    total = reduce(add, chunks)
    assert isinstance(total, AIMessageChunk)
    return total


def streamed(model: Any, prompt: Any, **options: Any) -> AIMessageChunk:
    """The sum of `stream`."""
    chunks: Iterator[BaseMessage] = model.stream(prompt, **options)
    return summed(chunks)


async def astreamed(model: Any, prompt: Any, **options: Any) -> AIMessageChunk:
    """The sum of `astream`."""
    chunks: AsyncIterator[BaseMessage] = model.astream(prompt, **options)
    return summed([chunk async for chunk in chunks])


def said(message: BaseMessage) -> dict[str, Any]:
    """What a message says, without what differs from run to run: ids of runs, and the random part of ids of calls."""
    assert isinstance(message, AIMessage)
    fields = {
        "content": message.content,
        "blocks": message.content_blocks,
        "calls": message.tool_calls,
        "invalid": [{**call, "error": None} for call in message.invalid_tool_calls],
        "metadata": message.response_metadata,
        "more": message.additional_kwargs,
        "usage": message.usage_metadata,
    }
    text, known = json.dumps(fields), dict[str, str]()
    numbered = re.sub(r"call_[0-9a-f]{32}", lambda found: known.setdefault(found[0], f"call-{len(known) + 1}"), text)
    same: dict[str, Any] = json.loads(numbered)
    return same
