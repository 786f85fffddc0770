"""LLMs with one fault each, in their calls of tools."""

# ruff: noqa: D102 - what a method does wrong, its class says

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.llm import ToolSelection

from tests.testing.llama_index.faults.answers import Faulty
from tests.testing.llama_index.reference import ARGUMENTS


class NotSaid(Faulty):
    """Does not say that it calls functions."""

    caught_by = ("test_the_metadata_says_so", "test_a_function_agent_answers", "test_a_workflow_finds_its_agent")

    @property
    def metadata(self) -> LLMMetadata:
        return super().metadata.model_copy(update={"is_function_calling_model": False})


class AppendsToHistory(Faulty):
    """Appends the question to the caller's history."""

    caught_by = ("test_preparing_leaves_the_history_alone", "test_the_history_is_left_alone")

    def _prepare_chat_with_tools(self, tools: Sequence[Any], **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        messages = super()._prepare_chat_with_tools(tools, **kwargs)["messages"]
        history = kwargs.get("chat_history") or []
        history[:] = messages
        kwargs.update(user_msg=None, chat_history=history)
        return {**super()._prepare_chat_with_tools(tools, **kwargs), "messages": history}


class NoCalls(Faulty):
    """Never calls."""

    caught_by = (
        "test_a_call_is_made",
        "test_every_chunk_can_be_asked_for_calls",
        "test_a_tool_is_predicted_and_called",
        "test_a_required_call_is_made",
        "test_a_function_agent_may_be_given_its_first_tool",
        "test_a_function_agent_shows_its_answer_as_it_comes",
        "test_an_agent_hands_off",
    )

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        del messages, options
        return []


class NoObjects(Faulty):
    """Calls what is a function, and not what stands for an object."""

    caught_by = ("test_a_function_agent_gives_an_object", "test_an_object_is_given", "test_a_structured_llm_answers")

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        return [call for call in super().calls(messages, options) if not call.tool_name[:1].isupper()]


class HalfCalls(Faulty):
    """Streams a call before its arguments have come."""

    caught_by = ("test_a_call_is_given_when_it_is_whole",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            blocks = [block for block in chunk.message.blocks if isinstance(block, ToolCallBlock)]
            if blocks:
                halves = [block.model_copy(update={"tool_kwargs": {}}) for block in blocks]
                yield ChatResponse(message=ChatMessage(role="assistant", blocks=list(halves)), delta="")
            yield chunk


class CallsAsText(Faulty):
    """Shows its calls in the text, too."""

    caught_by = ("test_text_and_calls_do_not_mix",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        for chunk in super().chunks(messages, options):
            if chunk.message.additional_kwargs:
                text = json.dumps(chunk.message.additional_kwargs["tool_calls"])
                chunk.message.blocks.insert(0, TextBlock(text=text))
            yield chunk


class NoBlocks(Faulty):
    """Gives its calls in the additional arguments alone."""

    caught_by = ("test_a_call_is_a_block",)

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        message = super().reply(messages, options)
        message.blocks = [block for block in message.blocks if not isinstance(block, ToolCallBlock)]
        return message


class Lenient(Faulty):
    """Gives an empty list where there is no call, by default."""

    caught_by = ("test_no_call_is_an_error_unless_allowed", "test_no_call_is_an_error_or_an_answer")

    def get_tool_calls_from_response(  # type: ignore[override]
        self, response: ChatResponse, **kwargs: Any
    ) -> list[ToolSelection]:
        return super().get_tool_calls_from_response(response, **{**kwargs, "error_on_no_tool_call": False})


class ReadsText(Faulty):
    """Takes text for calls."""

    caught_by = ("test_text_is_not_read_as_a_call",)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002 - the base class's signature
        **kwargs: Any,
    ) -> list[ToolSelection]:
        if '"name"' in (response.message.content or ""):
            return [ToolSelection(tool_id="1", tool_name="add", tool_kwargs={})]
        return super().get_tool_calls_from_response(response, error_on_no_tool_call, **kwargs)


class StrictArguments(Faulty):
    """Reads arguments without care."""

    caught_by = ("test_arguments_may_be_text",)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[ToolSelection]:
        for block in response.message.blocks:
            if isinstance(block, ToolCallBlock) and isinstance(block.tool_kwargs, str):
                json.loads(block.tool_kwargs)
        return super().get_tool_calls_from_response(response, error_on_no_tool_call, **kwargs)


class NumberedCalls(Faulty):
    """Numbers its calls from 1 in each answer."""

    caught_by = ("test_ids_are_unique",)

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        calls = super().calls(messages, options)
        return [call.model_copy(update={"tool_call_id": f"call_{index}"}) for index, call in enumerate(calls)]


class NoResults(Faulty):
    """Leaves out what tools give."""

    caught_by = (
        "test_a_result_finds_its_call",
        "test_a_result_may_be_of_blocks",
        "test_a_result_ends_the_calls",
    )

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        return super().reply([message for message in messages if message.role is not MessageRole.TOOL], options)


class ManyCalls(Faulty):
    """Makes parallel calls, whether they are allowed or not."""

    caught_by = ("test_calls_are_one_at_a_time_unless_allowed", "test_one_of_several_calls_is_kept")

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        return super().calls(messages, {**options, "allow_parallel_tool_calls": True})


class SingleCalls(Faulty):
    """Never makes parallel calls."""

    caught_by = ("test_parallel_calls_are_made_where_allowed", "test_several_calls_are_made_where_allowed")

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        return super().calls(messages, options)[:1]


class NeedsTools(Faulty):
    """Wants a tool, where tools can be."""

    caught_by = ("test_there_may_be_no_tools", "test_a_function_agent_may_have_no_tools")

    def _prepare_chat_with_tools(self, tools: Sequence[Any], **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        assert tools, "tools must not be empty"
        return super()._prepare_chat_with_tools(tools, **kwargs)


class AlwaysCalls(Faulty):
    """Calls whenever there is a tool."""

    caught_by = ("test_tools_may_be_of_no_use",)

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        name = next((tool.metadata.name for tool in options.get("tools") or ()), "")
        made = ToolCallBlock(tool_call_id="call_1", tool_name=name, tool_kwargs=ARGUMENTS[name][0][1]) if name else None
        return super().calls(messages, options) or ([made] if made else [])


class SilentAfterTools(Faulty):
    """Says nothing but calls, once it has tools or has had them."""

    caught_by = (
        "test_a_function_agent_goes_on",
        "test_a_function_agent_stops_early",
        "test_a_react_agent_answers",
        "test_a_code_act_agent_answers",
    )

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        message = super().reply(messages, options)
        return message if message.additional_kwargs else ChatMessage(role="assistant", content="")
