"""Requests of `POST /v1/chat/completions`: from OpenAI's messages and options to a `Request` of `completion`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from bing_llm.completion.prompt import History, HistoryBuilder, HistoryCall
from bing_llm.completion.request import Request
from bing_llm.serve.errors import ApiError
from bing_llm.serve.options import refuse, request_of
from bing_llm.serve.parts import Content, own_text_of, pictures_in, problem_of, text_of
from bing_llm.tools.calls import JsonObject

_FUNCTIONS = "Pass `tools` and `tool_choice`, which replaced it."


class Function(msgspec.Struct, frozen=True):
    """A call's tool, and its arguments as JSON; some clients pass an object."""

    name: str = ""
    arguments: str | JsonObject | None = None


class Custom(msgspec.Struct, frozen=True):
    """A call of a tool that takes free text."""

    name: str = ""
    input: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that a model made earlier."""

    id: str = ""
    function: Function | None = None
    custom: Custom | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """One message; which fields it has depends on its role."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: Content = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream has besides.

    Attributes:
        include_usage: Whether the last chunk has an estimate of the tokens.
    """

    include_usage: bool | None = None


Stop: TypeAlias = str | list[str] | None


class ChatRequest(msgspec.Struct, frozen=True):
    """A request as OpenAI's API takes it; only what this server uses, or has to refuse."""

    messages: list[ChatMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[JsonObject] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    response_format: JsonObject | None = None
    stop: Stop = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None  # who asks: it changes no answer, of OpenAI's either
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with an estimate of the tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def to_request(self) -> Request:
        """What is asked of the model.

        Raises:
            ApiError: An option cannot be meant here.
            BingError: The history cannot be sent.
        """
        self._check()
        options = {
            "tools": self.tools,
            "tool_choice": self.tool_choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": self.response_format,
            "stop": self.stop,
            "max_tokens": self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
        }
        return request_of(history_of(self.messages), options)

    def _check(self) -> None:
        if self.n not in (None, 1):
            raise refuse("n", f"n is {self.n}; the service gives one answer a turn.", "Ask several times.")
        if self.audio is not None or "audio" in (self.modalities or ()):
            raise refuse("modalities", "The service gives no audio.", "Ask for text.")
        for name in ("functions", "function_call"):
            if getattr(self, name):
                raise refuse(name, f"{name} is not supported.", _FUNCTIONS)


def history_of(messages: Sequence[ChatMessage]) -> History:
    """The history of OpenAI's messages.

    =======================  ===========================================================
    message                  what becomes of it
    =======================  ===========================================================
    developer, system        a message of the role `system`
    user, assistant          a message of its role; calls of an assistant after its text
    tool, function           a result, with the name of its tool
    =======================  ===========================================================

    Raises:
        ApiError: There are no messages.
        InvalidRequest: This turn's author wrote what the service cannot take.
    """
    if not messages:
        raise ApiError(400, "messages is empty; pass one at least.", code="invalid_value", param="messages")
    history = HistoryBuilder()
    for at, message in enumerate(messages):
        _add(history, message, f"messages[{at}].content")
    return history.build()


def _add(history: HistoryBuilder, message: ChatMessage, place: str) -> None:
    name, content = message.name or "", message.content
    match message.role:
        case "developer" | "system":
            history.add("system", text_of(content), name=name)
        case "user":
            images = pictures_in(content, place)
            history.add("user", text_of(content), name=name, images=images, problem=problem_of(content, place))
        case "assistant":
            text = own_text_of(content) or message.refusal or ""
            history.add_answer(text, _calls_of(message), name=name)
        case "tool" | "function":
            images, call_id = pictures_in(content, place), message.tool_call_id or ""
            history.add_result(text_of(content), call_id=call_id, name=name, images=images)


def _calls_of(message: ChatMessage) -> list[HistoryCall]:
    calls = []
    for call in message.tool_calls or ():
        if call.function is not None:
            calls.append(HistoryCall.of(call.function.name, call.function.arguments, call.id))
        elif call.custom is not None:
            calls.append(HistoryCall.of(call.custom.name, call.custom.input, call.id))
    if message.function_call is not None and not calls:
        calls = [HistoryCall.of(message.function_call.name, message.function_call.arguments)]
    return calls
