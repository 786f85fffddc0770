"""A small LLM in memory that conforms, for the tests of the suite: broken ones are made from it.

It is also an example of what an LLM needs at least: eight methods of its own, each decorated, and two for tools.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    ContentBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import Field, PrivateAttr, SecretStr

ARGUMENTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "add": [("2 + 3", {"a": 2, "b": 3})],
    "get_weather": [("Paris", {"city": "Paris"}), ("London", {"city": "London"})],
    "handoff": [("Hand off", {"to_agent": "calculator", "reason": "It adds."})],
    "City": [("Paris", {"name": "Paris", "country": "France"})],
    "Journey": [("Paris", {"title": "Grand Tour", "stops": [{"name": "Paris", "country": "France"}]})],
    "Sum": [("2 + 3", {"total": 5})],
}
"""All that the model knows of tools: where it reads this, it calls with that."""


class Reference(FunctionCallingLLM):
    """Answers the last message: by calls where a tool fits, by a tool's result, or by some words.

    Attributes:
        model: Its name.
        api_key: A credential, of no use.
        script: Texts that it says instead, one a turn.
        failing: Whether it fails.
    """

    model: str = "reference"
    api_key: SecretStr | None = Field(default=None, exclude=True)
    script: list[str] = Field(default_factory=list)
    failing: bool = False

    _turns: int = PrivateAttr(default=0)
    _sent: list[str] = PrivateAttr(default_factory=list)

    @property
    def sent(self) -> str:
        """All that was sent to the model."""
        return "\n".join(self._sent)

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "conformance_reference"

    @property
    def metadata(self) -> LLMMetadata:
        """What it can do."""
        return LLMMetadata(
            context_window=8000,
            num_output=256,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: no credentials."""
        state = super().__getstate__()
        state["__dict__"] = {name: value for name, value in state["__dict__"].items() if name != "api_key"}
        return state

    # --- the model ----------------------------------------------------------------------------------------------------

    def reply(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatMessage:
        """The whole answer of the model."""
        self._sent.append(json.dumps([message.model_dump(mode="json") for message in messages]))
        self._turns += 1
        if self.failing:
            raise self.failure()
        if self.script:
            return ChatMessage(role="assistant", content=self.script[self._turns - 1])
        calls = self.calls(messages, options)
        if calls:
            return message_of(calls)
        last = messages[-1]
        if "valid JSON object" in (last.content or ""):  # as LlamaIndex's text program asks
            return ChatMessage(role="assistant", content=json.dumps(ARGUMENTS["City"][0][1]))
        if last.role is MessageRole.TOOL:
            return ChatMessage(role="assistant", content=f"The tool says: {last.content}")
        return ChatMessage(role="assistant", content="It is blue for a reason of its own.")

    def failure(self) -> Exception:
        """What it fails with."""
        return ConnectionError("Nobody listens.")

    def calls(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> list[ToolCallBlock]:
        """The calls that it wants to make."""
        asked = [message for message in messages if message.role is MessageRole.USER]
        answered = messages[-1].role is MessageRole.TOOL and "continue with the current request" not in (
            messages[-1].content or ""
        )
        text = "" if answered or not asked else asked[-1].content or ""
        tools = [tool.metadata.get_name() for tool in options.get("tools") or ()]
        found = [(name, kwargs) for name in tools for word, kwargs in ARGUMENTS.get(name, ()) if word in text]
        if not found and options.get("tool_required"):
            found = [(tools[0], ARGUMENTS[tools[0]][0][1])]
        kept = found if options.get("allow_parallel_tool_calls") else found[:1]
        return [ToolCallBlock(tool_call_id=new_id(), tool_name=name, tool_kwargs=dict(args)) for name, args in kept]

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        """The answer, word by word."""
        message, so_far, raw = self.reply(messages, options), "", {"model": self.model}
        thought: list[ContentBlock] = []
        if "Think" in (messages[-1].content or ""):
            thought = [ThinkingBlock(content="They ask.")]
            extra = {"thinking_delta": "They ask."}
            yield ChatResponse(
                message=ChatMessage(role="assistant", blocks=thought), delta="", additional_kwargs=extra, raw=raw
            )
        for word in re.findall(r"\S+\s*", message.content or ""):
            so_far += word
            blocks = [*thought, TextBlock(text=so_far)]
            yield ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), delta=word, raw=raw)
        if message.additional_kwargs or not so_far:
            yield ChatResponse(message=message, delta="", raw=raw)

    # --- the eight methods --------------------------------------------------------------------------------------------

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer."""
        return whole(list(self.chunks(messages, kwargs)))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer, as it comes."""
        yield from self.chunks(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer."""
        await asyncio.sleep(0)
        return whole(list(self.chunks(messages, kwargs)))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The answer, as it comes."""

        async def stream() -> ChatResponseAsyncGen:
            for chunk in self.chunks(messages, kwargs):
                await asyncio.sleep(0)
                yield chunk

        return stream()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002, FBT001, FBT002 - the base class's signature
        """The answer to one message."""
        return completed(whole(list(self.chunks([ChatMessage(content=prompt)], kwargs))))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:  # noqa: ARG002, FBT001, FBT002
        """The answer to one message, as it comes."""
        yield from map(completed, self.chunks([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002, FBT001, FBT002
        """The answer to one message."""
        await asyncio.sleep(0)
        return completed(whole(list(self.chunks([ChatMessage(content=prompt)], kwargs))))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:  # noqa: ARG002, FBT001, FBT002
        """The answer to one message, as it comes."""

        async def stream() -> CompletionResponseAsyncGen:
            for chunk in self.chunks([ChatMessage(content=prompt)], kwargs):
                await asyncio.sleep(0)
                yield completed(chunk)

        return stream()

    # --- tools --------------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(  # noqa: PLR0917 - the base class's signature
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002, FBT001, FBT002
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        tool_required: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> dict[str, Any]:
        message = ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg
        return {
            "messages": [*(chat_history or ()), *([message] if message else [])],
            "tools": tools,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
            **kwargs,
        }

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002 - the base class's signature
        **_kwargs: Any,
    ) -> list[ToolSelection]:
        """The calls in a response."""
        blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if error_on_no_tool_call and not blocks:
            msg = "The response has no call."
            raise ValueError(msg)
        return [
            ToolSelection(
                tool_id=block.tool_call_id or "", tool_name=block.tool_name, tool_kwargs=arguments_of(block.tool_kwargs)
            )
            for block in blocks
        ]


def new_id() -> str:
    """An id for a call."""
    return f"call_{uuid.uuid4().hex}"


def message_of(calls: list[ToolCallBlock]) -> ChatMessage:
    """A message of calls, in both places."""
    entries = [
        {
            "id": call.tool_call_id,
            "type": "function",
            "function": {"name": call.tool_name, "arguments": json.dumps(call.tool_kwargs)},
        }
        for call in calls
    ]
    return ChatMessage(role="assistant", blocks=list(calls), additional_kwargs={"tool_calls": entries})


def arguments_of(given: dict[str, Any] | str) -> dict[str, Any]:
    """Arguments as a dict; {} for text that is none."""
    if isinstance(given, dict):
        return given
    try:
        read = json.loads(given)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def whole(chunks: list[ChatResponse]) -> ChatResponse:
    """The response of a call that does not stream."""
    return chunks[-1].model_copy(update={"delta": None})


def completed(response: ChatResponse) -> CompletionResponse:
    """The same, of a completion."""
    text = "".join(block.text for block in response.message.blocks if isinstance(block, TextBlock))
    return CompletionResponse(text=text, delta=response.delta, raw=response.raw)
