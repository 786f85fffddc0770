"""LLMs with one fault each, in what they answer, hear, tell and predict."""

# ruff: noqa: D102 - what a method does wrong, its class says

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    MessageRole,
    TextBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback

from tests.testing.llama_index.reference import Reference, whole


class Faulty(Reference):
    """One that conforms; what is derived from it has a fault. `caught_by` names the tests that must fail for it."""

    caught_by: ClassVar[tuple[str, ...]] = ()


# --- answers ----------------------------------------------------------------------------------------------------------


class NoDelta(Faulty):
    """Streams without deltas."""

    caught_by = ("test_no_delta_is_missing", "test_a_template_is_answered", "test_predictions_agree")

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            yield chunk.model_copy(update={"delta": None})


class WholeDelta(Faulty):
    """Gives the text so far as the delta."""

    caught_by = ("test_deltas_add_up_to_the_text",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            yield chunk.model_copy(update={"delta": chunk.message.content})


class TextOfDelta(Faulty):
    """Gives the delta as the text, but for the last chunk."""

    caught_by = ("test_a_chunk_holds_the_text_so_far",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        whole = list(super().chunks(messages, options))
        for chunk in whole[:-1]:
            yield chunk.model_copy(update={"message": ChatMessage(role="assistant", content=chunk.delta)})
        yield whole[-1]


class AllAtOnce(Faulty):
    """Streams everything in one chunk."""

    caught_by = ("test_a_stream_comes_in_pieces",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        last = list(super().chunks(messages, options))[-1]
        yield last.model_copy(update={"delta": last.message.content})


class OneChunk(Faulty):
    """Gives one object again and again, changed."""

    caught_by = ("test_chunks_are_objects_of_their_own",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        same = ChatResponse(message=ChatMessage(role="assistant"))
        for chunk in super().chunks(messages, options):
            same.message, same.delta = chunk.message, chunk.delta
            yield same


class BlockPerWord(Faulty):
    """Gives a block for each word."""

    caught_by = ("test_a_message_has_one_text_block",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            words = (chunk.message.content or "").split()
            message = ChatMessage(role="assistant", blocks=[TextBlock(text=word) for word in words])
            yield chunk.model_copy(update={"message": message})


class ThinksAloud(Faulty):
    """Says what it thinks."""

    caught_by = ("test_thinking_is_not_text",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            thought = chunk.additional_kwargs.pop("thinking_delta", None)
            yield chunk.model_copy(update={"delta": thought or chunk.delta})


class WrongRole(Faulty):
    """Answers as the user."""

    caught_by = ("test_the_assistant_answers",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            chunk.message.role = MessageRole.USER
            yield chunk


class ObjectInMessage(Faulty):
    """Puts an object of its own into the message."""

    caught_by = ("test_an_answer_can_be_stored",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            chunk.message.additional_kwargs["client"] = self
            yield chunk


class TextAsRaw(Faulty):
    """Gives `raw` as text."""

    caught_by = ("test_raw_can_be_read", "test_tokens_can_be_counted")

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            yield chunk.model_copy(update={"raw": "data: [DONE]"})


class ZeroUsage(Faulty):
    """Says that no token was used."""

    caught_by = ("test_no_usage_is_invented",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            yield chunk.model_copy(update={"raw": {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}})


class Moody(Faulty):
    """Says something else each time."""

    caught_by = ("test_the_methods_agree",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        message = super().reply(messages, options)
        return message if message.additional_kwargs else ChatMessage(role="assistant", content=f"Turn {self._turns}.")


class Silent(Faulty):
    """Says nothing."""

    caught_by = ("test_every_method_answers",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        del messages, options
        return ChatMessage(role="assistant", content="")


class OneTurn(Faulty):
    """Answers once."""

    caught_by = ("test_an_llm_answers_again",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        message = super().reply(messages, options)
        return message if self._turns == 1 else ChatMessage(role="assistant", content="")


# --- messages ---------------------------------------------------------------------------------------------------------


class KeepsHistory(Faulty):
    """Appends its answer to the caller's list."""

    caught_by = ("test_messages_are_left_as_they_were",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        message = super().reply(messages, options)
        assert isinstance(messages, list)
        messages.append(message)
        return message


class ListsOnly(Faulty):
    """Takes messages for a list."""

    caught_by = ("test_any_sequence_of_messages_is_taken",)

    def reply(self, messages: Any, options: dict[str, Any]) -> ChatMessage:
        return super().reply(messages.copy(), options)


class LastMessageOnly(Faulty):
    """Sends the last message alone."""

    caught_by = ("test_earlier_messages_are_heard",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        return super().reply(messages[-1:], options)


class ThreeRoles(Faulty):
    """Leaves out what is in a role that it does not know."""

    caught_by = ("test_a_role_is_taken_or_refused",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        known = (MessageRole.SYSTEM, MessageRole.USER, MessageRole.ASSISTANT)
        return super().reply([message for message in messages if message.role in known], options)


class TextOnly(Faulty):
    """Leaves out every block that is not text."""

    caught_by = ("test_a_block_is_taken_or_refused",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        return super().reply([ChatMessage(role=one.role, content=one.content) for one in messages], options)


class FirstBlockOnly(Faulty):
    """Leaves out every block but the first."""

    caught_by = ("test_texts_of_one_message_are_all_heard",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        return super().reply([ChatMessage(role=one.role, blocks=one.blocks[:1]) for one in messages], options)


class NeedsContent(Faulty):
    """Takes content for text."""

    caught_by = ("test_a_message_may_be_empty", "test_a_call_without_text_is_taken")

    def reply(self, messages: Any, options: dict[str, Any]) -> ChatMessage:
        assert all(message.content.strip() for message in messages)
        return super().reply(messages, options)


class UserLast(Faulty):
    """Wants the user to speak last."""

    caught_by = ("test_a_system_message_may_come_last",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        if messages[-1].role is MessageRole.SYSTEM:
            msg = "The last message must be the user's."
            raise ValueError(msg)
        return super().reply(messages, options)


class SystemFirst(Faulty):
    """Wants one system message, before all others."""

    caught_by = ("test_several_system_messages_are_taken",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        if any(message.role is MessageRole.SYSTEM for message in messages[1:]):
            msg = "A system message must be the first."
            raise ValueError(msg)
        return super().reply(messages, options)


# --- events -----------------------------------------------------------------------------------------------------------


class Undecorated(Faulty):
    """Tells nobody of a chat."""

    caught_by = (
        "test_a_call_is_reported_once",
        "test_the_end_event_has_the_answer",
        "test_legacy_callbacks_are_called_once",
        "test_tokens_can_be_counted",
        "test_the_rate_limiter_is_asked_once",
        "test_a_failed_call_is_reported",
    )

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return whole(list(self.chunks(messages, kwargs)))


class AsyncBySync(Faulty):
    """Chats asynchronously by its synchronous method, as CustomLLM does."""

    caught_by = (
        "test_a_call_is_reported_once",
        "test_legacy_callbacks_are_called_once",
        "test_the_rate_limiter_is_asked_once",
        "test_async_is_not_sync_in_disguise",
        "test_asynchronous_calls_overlap",
    )

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        response: ChatResponse = self.chat(messages, **kwargs)
        return response

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        async def stream() -> ChatResponseAsyncGen:
            for chunk in self.stream_chat(messages, **kwargs):
                yield chunk

        return stream()


# --- predictions ------------------------------------------------------------------------------------------------------


class NoSystemPrompt(Faulty):
    """Forgets its system prompt."""

    caught_by = ("test_the_system_prompt_is_heard",)

    def _extend_messages(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        return messages


class UsersOnly(Faulty):
    """Leaves out all that is not the user's."""

    caught_by = ("test_a_template_of_messages_is_answered",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        return super().reply([message for message in messages if message.role is MessageRole.USER], options)


class Unparsed(Faulty):
    """Forgets its output parser."""

    caught_by = ("test_the_output_parser_is_used",)

    def _parse_output(self, output: str) -> str:
        return output
