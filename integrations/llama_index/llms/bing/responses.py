"""A completion's items as LlamaIndex's responses: each holds all that came so far, and what is new as `delta`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, assert_never

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

from bing_llm import events as ev
from bing_llm.completion.metadata import completion_metadata, new_call_id, reply_metadata
from bing_llm.completion.stream import Completed, Item
from bing_llm.tools.calls import Call, InvalidCall

__all__ = ["ChatResponses", "CompletionResponses", "Responses"]

R = TypeVar("R", bound=ChatResponse | CompletionResponse)


class _Told(NamedTuple):
    """What one response says besides all that came so far.

    Attributes:
        delta: What is new of the text.
        more: What the response says besides.
        raw: What is told of the call.
        kept: What its message says besides: agents and memories keep the message alone.
    """

    delta: str = ""
    more: Mapping[str, Any] = {}
    raw: Mapping[str, Any] = {}
    kept: Mapping[str, Any] = {}


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
        self._openai_calls: list[dict[str, Any]] = []
        self._problems: dict[str, str] = {}

    def add(self, item: Item) -> R | None:
        """The response that an item makes, None for none."""
        if isinstance(item, str):  # as nearly all are: the shortest way
            self._text += item
            return self._made(item, {}, {"model": self._model}, self._called())
        told = self._take(item)
        return None if told is None else self._response(told)

    def whole(self, items: Sequence[Item]) -> R:
        """The response to all items at once, the last of them included; it has no delta."""
        told = None
        for item in items:
            told = self._take(item) or told
        response = self._response(told or _Told())
        response.delta = None
        return response

    def _take(self, item: Item) -> _Told | None:
        """Note an item; answer with what its response says besides all that came, None where it makes none."""
        match item:
            case str():
                self._text += item
                return _Told(item)
            case Call() | InvalidCall():
                self._call(item)
                return _Told()
            case ev.Progress(text=text):
                line = f"\n{text}" if self._thinking else text
                self._thinking += line
                return _Told(more={"thinking_delta": line})
            case ev.SearchStarted() | ev.SearchResults() | ev.ImageCreated():
                return None  # they are in the reply
            case Completed():
                return self._end(item)
            case _:
                assert_never(item)

    def _call(self, call: Call | InvalidCall) -> None:
        call_id = self._new_id()
        kwargs = call.arguments if isinstance(call, Call) else call.text
        block = ToolCallBlock(tool_call_id=call_id, tool_name=call.name, tool_kwargs=kwargs)
        self._calls.append(block)
        self._openai_calls.append(_openai_form(block))
        if isinstance(call, InvalidCall):
            self._problems[call_id] = call.reason

    def _end(self, end: Completed) -> _Told:
        """What holds in the end: agents and memories take the last message, and act on it.

        That is the text that the service had at last, and no call out of an answer that it withdrew.
        """
        if end.final is not None or end.reply.revoked:
            self._calls, self._openai_calls, self._problems = [], [], {}
        if end.final is not None:
            self._text = "".join(piece for piece in end.final if isinstance(piece, str))
            for piece in () if end.reply.revoked else end.final:
                if not isinstance(piece, str):
                    self._call(piece)
        told = _told_in(end.reply)
        return _Told(more=told, raw={**completion_metadata(end), **told}, kept=told)

    def _response(self, told: _Told) -> R:
        return self._made(
            told.delta, dict(told.more), {"model": self._model, **told.raw}, {**self._called(), **told.kept}
        )

    @abstractmethod
    def _made(self, delta: str, more: dict[str, Any], raw: dict[str, Any], kept: dict[str, Any]) -> R:
        """The response, of parts that are its own."""

    def _called(self) -> dict[str, Any]:
        """The calls in OpenAI's form, which LlamaIndex's own programs look for."""
        if not self._calls:
            return {}
        problems = {"tool_parse_errors": dict(self._problems)} if self._problems else {}
        return {"tool_calls": list(self._openai_calls), **problems}


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
    told = reply_metadata(reply)
    return {"image_urls" if name == "images" else name: value for name, value in told.items()}


def _openai_form(call: ToolCallBlock) -> dict[str, Any]:
    arguments = call.tool_kwargs
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": written}}
