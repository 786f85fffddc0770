"""LLMs over services that say what a test wrote down, and responses made comparable."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, MessageRole

from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend, client_of


def llm_of(backend: FakeBackend, **settings: Any) -> Bing:
    """An LLM that asks this service."""
    return Bing(client=client_of(backend), **settings)


def user(text: str) -> ChatMessage:
    """A message of the user."""
    return ChatMessage(text, role=MessageRole.USER)


def asked(text: str = "Hello") -> list[ChatMessage]:
    """A history of one message."""
    return [user(text)]


WAYS = ("chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete", "stream_complete", "astream_complete")
"""The eight ways of asking, by their names."""

CHATS = WAYS[:4]


async def responses_of(llm: Any, way: str, prompt: Any = "Hello", **options: Any) -> Sequence[Any]:
    """All responses that a way of asking gives; one where it does not stream."""
    messages = prompt if isinstance(prompt, list) else asked(prompt)
    text = prompt[-1].content if isinstance(prompt, list) else prompt
    answer = getattr(llm, way)(messages if "chat" in way else text, **options)
    if way.startswith("a"):
        answer = await answer
        return [response async for response in answer] if "stream" in way else [answer]
    return list(answer) if "stream" in way else [answer]


async def last_of(llm: Any, way: str, prompt: Any = "Hello", **options: Any) -> Any:
    """The last response, or the only one."""
    return (await responses_of(llm, way, prompt, **options))[-1]


def text_of(response: ChatResponse | CompletionResponse) -> str | None:
    """The whole text."""
    return response.message.content if isinstance(response, ChatResponse) else response.text


def said(response: ChatResponse | CompletionResponse) -> Any:
    """What a response says, without what differs from run to run: the random part of ids of calls, and the delta."""
    text, known = json.dumps({**response.model_dump(mode="json"), "delta": None}), dict[str, str]()
    numbered = re.sub(r"call_[0-9a-f]{32}", lambda found: known.setdefault(found[0], f"call-{len(known) + 1}"), text)
    return json.loads(numbered)
