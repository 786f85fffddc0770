"""Answers: the eight methods, and what a stream is made of."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)
from pydantic import BaseModel

from bing_llm.testing.llama_index.calls import Answer, call, each_chat, each_method, each_stream, said, text_of
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

USAGE = ("usage", "usage_metadata", "token_usage")
"""Where LlamaIndex and its handlers look for the number of tokens."""


class AnswerConformance(Subject):
    """Each method answers, they agree, and a stream is its answer in pieces."""

    @smoke
    @each_method
    def test_every_method_answers(self, method: str) -> None:
        """Each of the eight methods gives the answer, with the type that its name promises."""
        answers = call(self.make_llm(), method, self.prompt)
        expected = ChatResponse if "chat" in method else CompletionResponse
        assert answers, f"{method} gave nothing at all"
        assert {type(answer) for answer in answers} == {expected}, f"{method} gave something else"
        assert self.is_answer(text_of(answers[-1])), f"{method} answered {text_of(answers[-1])!r}"

    @needs("is_repeatable")
    @each_method
    def test_the_methods_agree(self, method: str) -> None:
        """Sync or async, whole or streamed, as messages or as a prompt: the same question has the same answer."""
        llm = self.make_llm()
        assert said(llm, method, self.prompt) == said(llm, "complete", self.prompt), f"{method} differs from complete"

    @each_method
    def test_an_llm_answers_again(self, method: str) -> None:
        """One LLM answers any number of times."""
        llm = self.make_llm()
        texts = [said(llm, method, self.prompt) for _ in range(3)]
        assert all(self.is_answer(text) for text in texts), f"{method} answered {texts}"

    @smoke
    @each_stream
    def test_deltas_add_up_to_the_text(self, method: str) -> None:
        """The deltas of a stream, joined, are the text of its last chunk."""
        chunks = call(self.make_llm(), method, self.prompt)
        assert "".join(chunk.delta or "" for chunk in chunks) == text_of(chunks[-1])

    @smoke
    @each_stream
    def test_a_chunk_holds_the_text_so_far(self, method: str) -> None:
        """The text of each chunk is everything that came until then: the sum of the deltas, this one included."""
        so_far = ""
        for index, chunk in enumerate(call(self.make_llm(), method, self.prompt)):
            so_far += chunk.delta or ""
            assert text_of(chunk) == so_far, f"chunk {index} of {method} does not hold the text so far"

    @each_stream
    def test_no_delta_is_missing(self, method: str) -> None:
        """Each chunk has a delta that is text, if empty: without it, `stream()` and chat engines show nothing."""
        deltas = [chunk.delta for chunk in call(self.make_llm(), method, self.prompt)]
        assert all(isinstance(delta, str) for delta in deltas), f"deltas of {method}: {deltas}"

    @needs("streams_in_pieces")
    @each_stream
    def test_a_stream_comes_in_pieces(self, method: str) -> None:
        """A stream is not the whole answer at once."""
        pieces = [chunk.delta for chunk in call(self.make_llm(), method, self.prompt) if chunk.delta]
        assert len(pieces) > 1, f"{method} gave all its text in one chunk"

    @each_stream
    def test_chunks_are_objects_of_their_own(self, method: str) -> None:
        """A chunk does not change once it was given: who keeps chunks keeps what they said."""
        kept: list[Answer] = call(self.make_llm(), method, self.prompt)
        assert len({id(chunk) for chunk in kept}) == len(kept), f"{method} gives the same object again"
        lengths = [len(text_of(chunk)) for chunk in kept]
        deltas = [len(chunk.delta or "") for chunk in kept]
        assert lengths == [sum(deltas[: index + 1]) for index in range(len(kept))], "earlier chunks have changed"

    @each_chat
    def test_a_message_has_one_text_block(self, method: str) -> None:
        """The text of a message is in one block: `content` joins several by line breaks that nobody wrote."""
        for index, answer in enumerate(call(self.make_llm(), method, self.prompt)):
            message = _message(answer)
            blocks = [block for block in message.blocks if isinstance(block, TextBlock)]
            assert len(blocks) == 1, f"response {index} of {method} has {len(blocks)} text blocks"

    @needs("thinking_prompt")
    @pytest.mark.parametrize("method", ["stream_chat", "astream_chat"])
    def test_thinking_is_not_text(self, method: str) -> None:
        """What the model thinks comes as `thinking_delta` of a chunk, and adds up to one ThinkingBlock; not as text."""
        chunks = call(self.make_llm(), method, self.thinking_prompt)
        deltas = [chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks]
        blocks = [block for block in _message(chunks[-1]).blocks if isinstance(block, ThinkingBlock)]
        assert [block.content for block in blocks] == ["".join(deltas)]
        assert any(deltas), "nothing was thought"
        assert "".join(chunk.delta or "" for chunk in chunks) == text_of(chunks[-1])

    @each_chat
    def test_the_assistant_answers(self, method: str) -> None:
        """The role of an answer is `assistant`."""
        roles = {_message(answer).role for answer in call(self.make_llm(), method, self.prompt)}
        assert roles == {MessageRole.ASSISTANT}

    @each_chat
    def test_an_answer_can_be_stored(self, method: str) -> None:
        """A message survives JSON, as chat stores and workflow contexts need it."""
        message = _message(call(self.make_llm(), method, self.prompt)[-1])
        assert ChatMessage.model_validate_json(message.model_dump_json()) == message

    @each_method
    def test_raw_can_be_read(self, method: str) -> None:
        """`raw` is None, a dict or a pydantic model: of anything else TokenCountingHandler and agents raise."""
        kinds = {
            type(answer.raw).__name__ for answer in call(self.make_llm(), method, self.prompt) if not _fits(answer)
        }
        assert not kinds, f"{method} gave raw as {kinds}"

    @each_method
    def test_no_usage_is_invented(self, method: str) -> None:
        """An LLM that does not know the number of tokens says nothing of it, rather than 0."""
        for answer in call(self.make_llm(), method, self.prompt):
            raw = answer.raw.model_dump() if isinstance(answer.raw, BaseModel) else answer.raw
            for place in (raw if isinstance(raw, dict) else {}, answer.additional_kwargs):
                for key in USAGE:
                    assert not _all_zero(place.get(key)), f"{method} gave {key} = {place[key]}"


def _message(answer: Answer) -> ChatMessage:
    assert isinstance(answer, ChatResponse)
    return answer.message


def _fits(answer: Answer) -> bool:
    return answer.raw is None or isinstance(answer.raw, dict | BaseModel)


def _all_zero(usage: Any) -> bool:
    numbers = dict(usage).values() if usage else ()
    counted = [number for number in numbers if isinstance(number, int | float)]
    return bool(counted) and not any(counted)
