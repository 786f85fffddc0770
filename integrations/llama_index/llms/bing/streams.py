"""Streams of responses: generators of Python, whose socket closes as soon as they are left.

LlamaIndex, and what traces it, look at the type of a stream and at its frame, so a stream has to be a generator itself.
But a generator may be released late: an asynchronous one in a later step of its loop, and any one while a handler of
events keeps the exception that ended it. So each call is also held outside of them, and closed first:

- by `finally`, when the stream ends, fails or is closed, because a handler may keep the generator long after that
- by `weakref.finalize`, when it is dropped: the loop closes an asynchronous generator in a later step, and Python does
  not run the `finally` of one that was never begun

`aclosing` ends the stream inside with the one around it; the loop would do that in a later step, too.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from bing_llm.completion.stream import Completion
from bing_llm.sync import iterate
from llama_index.llms.bing.responses import Responses

R = TypeVar("R", bound=ChatResponse | CompletionResponse)
T = TypeVar("T")


class Closing(Protocol):
    """Anything that holds a socket."""

    def close(self) -> None:
        """Close it now. May be called twice, and from any thread."""


class StreamedCall(Generic[R]):
    """One streamed call: makes its responses, and holds its completion."""

    def __init__(self) -> None:
        self._completion: Completion | None = None

    def open(self, completion: Completion, responses: Responses[R]) -> Generator[R, None, None]:
        """The responses of a completion, each one step on the background loop."""
        self._completion = completion
        return _responses(completion, responses)

    def aopen(self, completion: Completion, responses: Responses[R]) -> AsyncGenerator[R, None]:
        """The responses of a completion, on the caller's loop."""
        self._completion = completion
        return _aresponses(completion, responses)

    def close(self) -> None:
        """Close the socket now. May be called twice, and from any thread."""
        if self._completion is not None:
            self._completion.close()


def _responses(completion: Completion, responses: Responses[R]) -> Generator[R, None, None]:
    for item in iterate(completion):
        response = responses.add(item)
        if response is not None:
            yield response


async def _aresponses(completion: Completion, responses: Responses[R]) -> AsyncGenerator[R, None]:
    async for item in completion:
        response = responses.add(item)
        if response is not None:
            yield response


def closing(stream: Generator[T, None, None], held: Closing) -> Generator[T, None, None]:
    """The stream, as a generator that closes `held` when it ends, is closed or is dropped."""
    return _closed_when_dropped(_closing(stream, held), held)


def aclosing_now(stream: AsyncGenerator[T, None], held: Closing) -> AsyncGenerator[T, None]:
    """The stream, as an asynchronous generator that closes `held` when it ends, is closed or is dropped."""
    return _closed_when_dropped(_aclosing(stream, held), held)


def _closing(stream: Generator[T, None, None], held: Closing) -> Generator[T, None, None]:
    try:
        yield from stream
    finally:
        held.close()


async def _aclosing(stream: AsyncGenerator[T, None], held: Closing) -> AsyncGenerator[T, None]:
    async with aclosing(stream):
        try:
            async for item in stream:
                yield item
        finally:
            held.close()


G = TypeVar("G", bound=Generator[object, None, None] | AsyncGenerator[object, None])


def _closed_when_dropped(generator: G, held: Closing) -> G:
    weakref.finalize(generator, held.close).atexit = False
    return generator
