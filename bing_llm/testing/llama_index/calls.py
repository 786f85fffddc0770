"""The eight methods of an LLM under one signature, and what came of them in one form."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

Answer: TypeAlias = ChatResponse | CompletionResponse
T = TypeVar("T")

CHATS = ("chat", "stream_chat", "achat", "astream_chat")
COMPLETIONS = ("complete", "stream_complete", "acomplete", "astream_complete")
METHODS = (*COMPLETIONS, *CHATS)
STREAMS = ("stream_complete", "astream_complete", "stream_chat", "astream_chat")
ASYNC_METHODS = ("acomplete", "astream_complete", "achat", "astream_chat")

each_method = pytest.mark.parametrize("method", METHODS)
each_chat = pytest.mark.parametrize("method", CHATS)
each_stream = pytest.mark.parametrize("method", STREAMS)
each_async_method = pytest.mark.parametrize("method", ASYNC_METHODS)


def user(text: str) -> ChatMessage:
    """A message of the user."""
    return ChatMessage(role="user", content=text)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it on a new loop, which is closed afterwards."""
    return asyncio.run(coroutine)


def question(method: str, prompt: str | Sequence[ChatMessage]) -> Any:
    """What this method takes: a text, or messages."""
    if "chat" not in method:
        return prompt
    return [user(prompt)] if isinstance(prompt, str) else prompt


async def acall(llm: LLM, method: str, prompt: str | Sequence[ChatMessage], **options: Any) -> list[Answer]:
    """Call a method by name inside a loop; all its responses, which is one where it does not stream."""
    asked = question(method, prompt)
    if not method.startswith("a"):
        return _listed(getattr(llm, method)(asked, **options))
    answer = await getattr(llm, method)(asked, **options)
    return [chunk async for chunk in answer] if "stream" in method else [answer]


def call(llm: LLM, method: str, prompt: str | Sequence[ChatMessage], **options: Any) -> list[Answer]:
    """Like `acall`, from code without a loop; an asynchronous method gets a new one."""
    if method.startswith("a"):
        return run(acall(llm, method, prompt, **options))
    return _listed(getattr(llm, method)(question(method, prompt), **options))


def _listed(answer: Any) -> list[Answer]:
    return [answer] if isinstance(answer, ChatResponse | CompletionResponse) else list(answer)


def text_of(answer: Answer) -> str:
    """The text so far."""
    return answer.text if isinstance(answer, CompletionResponse) else answer.message.content or ""


def said(llm: LLM, method: str, prompt: str | Sequence[ChatMessage], **options: Any) -> str:
    """The whole text that a method gives."""
    return text_of(call(llm, method, prompt, **options)[-1])


def failure_of(llm: LLM, method: str, prompt: str) -> Exception:
    """What a method raises, which is an error of its own where it gives an answer."""
    try:
        answered = said(llm, method, prompt)
    except Exception as exc:  # noqa: BLE001 - which one is the caller's question
        return exc
    msg = f"{method} of an LLM that fails answered {answered!r}"
    raise AssertionError(msg)


async def asaid(llm: LLM, method: str, prompt: str | Sequence[ChatMessage], **options: Any) -> str:
    """Like `said`, inside a loop."""
    return text_of((await acall(llm, method, prompt, **options))[-1])
