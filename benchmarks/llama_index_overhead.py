"""What Bing for LlamaIndex costs above LlamaIndex itself.

Both stream the same one-word deltas from memory, under the same decorators: Bing over a backend that has its events in
memory, and a model that does nothing but wrap each word into a response, which no model can do without. That is the
floor. Each case is compared with the floor of the same way of asking.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse, LLMMetadata, MessageRole
from llama_index.core.llms import LLM, ChatMessage, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import PrivateAttr

from benchmarks.measuring import Bound, Sample, Work, interleaved, median, quotient, reading, report
from benchmarks.memory import client_from_memory, words
from llama_index.llms.bing import Bing

__all__ = ["main", "run"]

MOST = 1.3
"""The CPU time that `astream_chat` may take, in that of its floor."""
MOST_SYNC = 2.5
"""The same for each synchronous stream: what waits is handed over in one hop between the threads."""


class Case(NamedTuple):
    """A way of asking."""

    method: str
    joined: bool = False
    messages: int = 1


BOUND = "astream_chat"
CASES = {
    BOUND: Case("astream_chat"),
    "stream_chat": Case("stream_chat"),
    "astream_complete": Case("astream_complete"),
    "stream_complete": Case("stream_complete"),
    "astream_chat, joined": Case("astream_chat", joined=True),
    "stream_chat, joined": Case("stream_chat", joined=True),
    "astream_chat, 200 messages": Case("astream_chat", messages=200),
}
HEADER = ("case", "CPU us/delta", "floor", "of the floor's", "chunks")


class Floor(CustomLLM):
    """The least that a streaming model can do; its async methods do not call the others."""

    _words: list[str] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    def streaming(self, texts: list[str]) -> Floor:
        """The same model, which now streams these."""
        self._words = texts
        return self

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: FBT001, FBT002
        raise NotImplementedError  # it is only streamed

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse, None, None]:
        del messages, kwargs

        def chunks() -> Generator[ChatResponse, None, None]:
            text = ""
            for word in self._words:
                text += word
                yield _chat_chunk(text, word)

        return chunks()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        del messages, kwargs

        async def chunks() -> AsyncGenerator[ChatResponse, None]:
            text = ""
            for word in self._words:
                text += word
                yield _chat_chunk(text, word)

        return chunks()

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> Generator[CompletionResponse, None, None]:
        del prompt, formatted, kwargs

        def chunks() -> Generator[CompletionResponse, None, None]:
            text = ""
            for word in self._words:
                text += word
                yield CompletionResponse(text=text, delta=word)

        return chunks()

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> AsyncGenerator[CompletionResponse, None]:
        del prompt, formatted, kwargs

        async def chunks() -> AsyncGenerator[CompletionResponse, None]:
            text = ""
            for word in self._words:
                text += word
                yield CompletionResponse(text=text, delta=word)

        return chunks()


def _chat_chunk(text: str, word: str) -> ChatResponse:
    return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=text), delta=word)


async def run(*, deltas: int, rounds: int) -> dict[str, tuple[list[Sample], list[Sample]]]:
    """The samples of each case, and those of its floor."""
    texts = words(deltas)
    floor = Floor().streaming(texts)
    works: dict[str, Work] = {}
    async with client_from_memory(texts) as client:
        for name, case in CASES.items():
            works[name] = _asking(Bing(client=client, join_deltas=case.joined), case)
            works[f"{name}, floor"] = _asking(floor, case)
        samples = await interleaved(works, deltas=deltas, rounds=rounds)
    return {name: (samples[name], samples[f"{name}, floor"]) for name in CASES}


def _asking(model: LLM, case: Case) -> Work:
    stream = getattr(model, case.method)
    if case.method.endswith("complete"):
        return reading(partial(stream, "Go on."))
    roles = (MessageRole.USER, MessageRole.ASSISTANT)
    history = [ChatMessage("Go on.", role=roles[number % 2]) for number in range(case.messages - 1)]
    return reading(partial(stream, [*history, ChatMessage("Go on.")]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_index_overhead", description=__doc__)
    parser.add_argument("--deltas", type=int, default=5000, help="one-word deltas of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each case")
    sizes = parser.parse_args(arguments)
    measured = asyncio.run(run(deltas=sizes.deltas, rounds=sizes.rounds), debug=False)
    rows = [
        (name, f"{median(samples).cpu_us:.1f}", f"{median(floor).cpu_us:.1f}", f"{quotient(samples, floor):.2f}",
         f"{median(samples).chunks:.0f}")
        for name, (samples, floor) in measured.items()
    ]  # fmt: skip
    limits = {BOUND: MOST, **{name: MOST_SYNC for name in CASES if name.startswith("stream")}}
    bounds = [
        Bound(f"CPU of {name}, in that of its floor", quotient(*measured[name]), limit, "times")
        for name, limit in limits.items()
    ]
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
