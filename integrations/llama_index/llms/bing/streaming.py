"""Streams of responses that own their turn: to close one, or to drop it, closes the socket at once.

LlamaIndex's decorators wrap what a model streams in generators of their own, which let go of it late, and not at all
while a handler of events keeps the exception. So the turn is held outside of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from bing_llm.completion.stream import Completion
from bing_llm.sync import iterate
from llama_index.llms.bing.responses import Responses

__all__ = ["AsyncStream", "Stream", "StreamCall"]

R = TypeVar("R", bound=ChatResponse | CompletionResponse)
T = TypeVar("T")


class _Items(AsyncGenerator[R, None]):
    """The responses of a completion, as the decorators want them."""

    def __init__(self, completion: Completion, responses: Responses[R]) -> None:
        self._completion = completion
        self._responses = responses

    async def asend(self, value: None) -> R:
        del value
        while True:
            response = self._responses.add(await self._completion.__anext__())
            if response is not None:
                return response

    async def athrow(self, *exc_info: Any) -> R:
        self._completion.close()
        raise exc_info[0]


class StreamCall(Generic[R]):
    """One streamed call. To the decorators it is the model: what they ask of one, it takes from there.

    Args:
        llm: The model.
        begin: Makes the completion and its responses; raises where the call cannot be made.
    """

    def __init__(self, llm: LLM, begin: Callable[[], tuple[Completion, Responses[R]]]) -> None:
        self._llm = llm
        self._begin = begin
        self._completion: Completion | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    def _open(self) -> tuple[Completion, Responses[R]]:
        self._completion, responses = self._begin()
        return self._completion, responses

    def close(self) -> None:
        """Close the socket now. May be called twice, and from any thread."""
        if self._completion is not None:
            self._completion.close()

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[R, None, None]:
        """The responses, one step on the background loop each."""
        del messages, kwargs  # known to `begin`; the decorator tells them on
        return self._stream()

    @llm_completion_callback()
    def complete(self, prompt: str, **kwargs: Any) -> Generator[R, None, None]:
        """As `chat`."""
        del prompt, kwargs
        return self._stream()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[R, None]:
        """The responses, on the caller's loop."""
        del messages, kwargs
        return _Items(*self._open())

    @llm_completion_callback()
    async def acomplete(self, prompt: str, **kwargs: Any) -> AsyncGenerator[R, None]:
        """As `achat`."""
        del prompt, kwargs
        return _Items(*self._open())

    def _stream(self) -> Generator[R, None, None]:
        completion, responses = self._open()
        return self._responses(completion, responses)

    def _responses(self, completion: Completion, responses: Responses[R]) -> Generator[R, None, None]:
        for item in iterate(completion):
            response = responses.add(item)
            if response is not None:
                yield response


class Closing(Protocol):
    """What holds a socket."""

    def close(self) -> None:
        """Close it now. May be called twice, and from any thread."""


class Stream(Generator[T, None, None]):
    """A generator, and what holds the socket behind it."""

    def __init__(self, generator: Generator[T, None, None], held: Closing) -> None:
        self._generator = generator
        self._held = held

    def __next__(self) -> T:
        return next(self._generator)

    def send(self, value: None) -> T:
        """As of any generator."""
        return self._generator.send(value)

    def throw(self, *exc_info: Any) -> T:
        """As of any generator; closes the socket first."""
        self._held.close()
        return self._generator.throw(*exc_info)

    def close(self) -> None:
        """Close the socket now."""
        self._held.close()
        self._generator.close()

    def __del__(self) -> None:
        self._held.close()


class AsyncStream(AsyncGenerator[T, None]):
    """An asynchronous generator, and what holds the socket behind it."""

    def __init__(self, generator: AsyncGenerator[T, None], held: Closing) -> None:
        self._generator = generator
        self._held = held

    async def __anext__(self) -> T:
        return await self._generator.__anext__()  # not the awaitable itself: a step holds its stream

    async def asend(self, value: None) -> T:
        """As of any asynchronous generator."""
        return await self._generator.asend(value)

    async def athrow(self, *exc_info: Any) -> T:
        """As of any asynchronous generator; closes the socket first."""
        self.close()
        return await self._generator.athrow(*exc_info)

    async def aclose(self) -> None:
        """Close the socket now."""
        self.close()
        await self._generator.aclose()

    def close(self) -> None:
        """Close the socket now, without waiting for anything."""
        self._held.close()

    def __del__(self) -> None:
        self.close()
