"""The chunks of one call: streamed, or summed up to a result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from bing_llm.completion.stream import Completion, Item
from bing_llm.errors import BingError
from langchain_bing.chunks import TextChunks
from langchain_bing.errors import raise_as_model_error

__all__ = ["ChunkStream", "result_of"]


class ChunkStream(AsyncIterator[ChatGenerationChunk]):
    """The chunks of a completion.

    Not a generator: LangChain never closes the iterator that `_astream` gives. A generator would be closed by a hook of
    the loop, some turns of it later; this lets go of the socket as soon as it is dropped.
    """

    def __init__(self, completion: Completion, chunks: TextChunks, attempts: int) -> None:
        self._completion = completion
        self._chunks = chunks
        self._attempts = attempts

    async def __anext__(self) -> ChatGenerationChunk:
        """The next chunk.

        Raises:
            BingError: The turn failed; also of LangChain's `ModelError` family.
        """
        try:
            while True:
                chunk = self._chunks.add(await self._completion.__anext__())
                if chunk is not None:
                    return chunk
        except BingError as exc:
            raise_as_model_error(exc, self._attempts)

    async def aclose(self) -> None:
        """Close the socket now."""
        self._completion.close()


def result_of(chunks: TextChunks, items: Iterable[Item]) -> ChatResult:
    """The whole message: the sum of the chunks that the items make."""
    made = (chunks.add(item) for item in items)
    return generate_from_stream(chunk for chunk in made if chunk is not None)
