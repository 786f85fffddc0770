"""What ChatBing costs above LangChain itself.

Both stream the same one-word deltas from memory, without callbacks: ChatBing over a backend that has its events in
memory, and a chat model that does nothing but wrap each word into a chunk, which no chat model can do without. That is
the floor. Each case is compared with the floor of the same way of asking.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from benchmarks.measuring import Bound, Sample, Work, difference, interleaved, median, quotient, reading, report
from benchmarks.memory import client_from_memory, words
from langchain_bing import ChatBing

__all__ = ["main", "run"]

MOST_US = 10.0
"""CPU time of a delta above the floor, in microseconds, that `astream` may take."""
MOST_SYNC = 2.5
"""CPU time of a synchronous stream, in that of its floor: what waits is handed over in one hop between the threads."""

CASES = ("astream", "stream", "astream, v1", "stream, v1", "astream, joined", "stream, joined")
HEADER = ("case", "CPU us/delta", "floor", "above", "of the floor's", "chunks")


class Floor(BaseChatModel):
    """The least that a streaming chat model can do."""

    _words: list[str] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "floor"

    def streaming(self, texts: list[str]) -> Floor:
        """The same model, which now streams these."""
        self._words = texts
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError  # it is only streamed

    def _stream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 - LangChain's signature, here and below
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> Iterator[ChatGenerationChunk]:
        for word in self._words:
            yield self._chunk(word)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))

    async def _astream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in self._words:
            yield self._chunk(word)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))

    def _chunk(self, word: str) -> ChatGenerationChunk:
        if self.output_version != "v1":
            return ChatGenerationChunk(message=AIMessageChunk(content=word))
        blocks: list[str | dict[Any, Any]] = [{"type": "text", "text": word, "index": 0}]
        metadata = {"output_version": "v1"}
        return ChatGenerationChunk(message=AIMessageChunk(content=blocks, response_metadata=metadata))


async def run(*, deltas: int, rounds: int) -> dict[str, tuple[list[Sample], list[Sample]]]:
    """The samples of each case, and those of its floor."""
    texts = words(deltas)
    works: dict[str, Work] = {}
    async with client_from_memory(texts) as client:
        for case in CASES:
            version = "v1" if "v1" in case else None
            bing = ChatBing(client=client, join_deltas="joined" in case, output_version=version)
            floor = Floor(output_version=version).streaming(texts)
            works[case] = _asking(bing, case)
            works[f"{case}, floor"] = _asking(floor, case)
        samples = await interleaved(works, deltas=deltas, rounds=rounds)
    return {case: (samples[case], samples[f"{case}, floor"]) for case in CASES}


def _asking(model: BaseChatModel, case: str) -> Work:
    return reading(partial(model.stream if case.startswith("stream") else model.astream, "Go on."))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langchain_overhead", description=__doc__)
    parser.add_argument("--deltas", type=int, default=5000, help="one-word deltas of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each case")
    sizes = parser.parse_args(arguments)
    measured = asyncio.run(run(deltas=sizes.deltas, rounds=sizes.rounds), debug=False)
    rows = [
        (case, f"{median(samples).cpu_us:.1f}", f"{median(floor).cpu_us:.1f}", f"{difference(samples, floor):+.1f}",
         f"{quotient(samples, floor):.2f}", f"{median(samples).chunks:.0f}")
        for case, (samples, floor) in measured.items()
    ]  # fmt: skip
    bounds = [Bound("CPU of astream above the floor", difference(*measured["astream"]), MOST_US, "us a delta")]
    bounds += [
        Bound(f"CPU of {case}, in that of its floor", quotient(*measured[case]), MOST_SYNC, "times")
        for case in CASES
        if case.startswith("stream")
    ]
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
