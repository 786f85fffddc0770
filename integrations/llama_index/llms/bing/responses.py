"""A completion's items as LlamaIndex's responses: each holds all that came so far, and what is new as `delta`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from typing_extensions import assert_never

from bing_llm import events as ev
from bing_llm.completion import Completed, Item, metadata_of, new_call_id, told_in
from bing_llm.tools import Call, InvalidCall

__all__ = ["ChatResponses", "CompletionResponses", "Responses"]

R = TypeVar("R", bound=ChatResponse | CompletionResponse)


class Responses(ABC, Generic[R]):
    """The responses of one call of a model.

    Args:
        model: The model's name.
        new_id: Makes the id of a call.
    """

    def __init__(self, model: str, *, new_id: Callable[[], str] = new_call_id) -> None:
        self._model = model
        self._new_id = new_id
        self._text = ""
        self._thinking = ""
        self._calls: list[ToolCallBlock] = []
        self._problems: dict[str, str] = {}

    def add(self, item: Item) -> R | None:
        """The response that an item makes, None for none."""
        match item:
            case str():
                self._text += item
                return self._made(item, {}, {"model": self._model}, self._called())
            case Call(name=name, arguments=arguments):
                self._calls.append(ToolCallBlock(tool_call_id=self._new_id(), tool_name=name, tool_kwargs=arguments))
                return self._response("")
            case InvalidCall(name=name, text=text, reason=reason):
                call_id = self._new_id()
                self._calls.append(ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=text))
                self._problems[call_id] = reason
                return self._response("")
            case ev.Progress(text=text):
                line = f"\n{text}" if self._thinking else text
                self._thinking += line
                return self._response("", more={"thinking_delta": line})
            case ev.SearchStarted() | ev.SearchResults() | ev.ImageCreated():
                return None  # they are in the reply
            case Completed():
                told = _told_in(item.reply)
                raw = {"model": self._model, **metadata_of(item), **told}
                return self._response("", more=told, raw=raw, kept=told)
            case _:
                assert_never(item)

    def whole(self, items: Iterable[Item]) -> R:
        """The response to all items at once; it has no delta."""
        last: R | None = None
        for item in items:
            last = self.add(item) or last
        assert last is not None  # noqa: S101 - for type checkers: the last item is always Completed
        last.delta = None
        return last

    def _response(
        self,
        delta: str,
        *,
        more: dict[str, Any] | None = None,
        raw: dict[str, Any] | None = None,
        kept: dict[str, Any] | None = None,
    ) -> R:
        """All that came so far.

        Args:
            delta: What is new of the text.
            more: What the response says besides.
            raw: What is told of the call; the name of the model at least.
            kept: What its message says besides: agents and memories keep the message alone.
        """
        return self._made(delta, dict(more or {}), raw or {"model": self._model}, {**self._called(), **(kept or {})})

    @abstractmethod
    def _made(self, delta: str, more: dict[str, Any], raw: dict[str, Any], kept: dict[str, Any]) -> R:
        """The response, of parts that are its own."""

    def _called(self) -> dict[str, Any]:
        """The calls in OpenAI's form, which LlamaIndex's own programs look for."""
        if not self._calls:
            return {}
        problems = {"tool_parse_errors": dict(self._problems)} if self._problems else {}
        return {"tool_calls": list(map(_openai_form, self._calls)), **problems}


class ChatResponses(Responses[ChatResponse]):
    """Responses of a chat: their message has one block of text, after the thinking and before the calls."""

    def _made(self, delta: str, more: dict[str, Any], raw: dict[str, Any], kept: dict[str, Any]) -> ChatResponse:
        blocks: list[ContentBlock] = []
        if self._thinking:
            blocks.append(ThinkingBlock(content=self._thinking))
        if self._text or not self._calls:
            blocks.append(TextBlock(text=self._text))
        blocks += self._calls
        message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=kept)
        return ChatResponse(message=message, delta=delta, raw=raw, additional_kwargs=more)


class CompletionResponses(Responses[CompletionResponse]):
    """Responses of a completion, which has no message."""

    def _made(self, delta: str, more: dict[str, Any], raw: dict[str, Any], kept: dict[str, Any]) -> CompletionResponse:
        return CompletionResponse(text=self._text, delta=delta, raw=raw, additional_kwargs={**kept, **more})


def _told_in(reply: ev.Reply) -> dict[str, Any]:
    """What was told, with pictures as `image_urls`: LlamaIndex takes `images` of a message for its own documents."""
    told = told_in(reply)
    return {"image_urls" if name == "images" else name: value for name, value in told.items()}


def _openai_form(call: ToolCallBlock) -> dict[str, Any]:
    arguments = call.tool_kwargs
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": written}}
