"""Requests of `POST /v1/responses`: from OpenAI's items and options to a `Request` of `completion`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from bing_llm.completion.prompt import History, HistoryBuilder, HistoryCall, join_lines
from bing_llm.completion.request import Request
from bing_llm.serve.errors import ApiError
from bing_llm.serve.options import refuse, request_of
from bing_llm.serve.parts import Content, own_text_of, pictures_in, problem_of, text_of
from bing_llm.tools.calls import JsonObject

_NAMES = {"response_format": "text.format", "max_tokens": "max_output_tokens"}

_SEARCHES = ("web_search", "web_search_preview")
"""Tools (also with a date after them) that need no calls: the service searches by itself."""

_SILENT = ("reasoning", "web_search_call", "image_generation_call", "compaction")
"""Items that are the service's own: what they led to is in its messages."""


class InputItem(msgspec.Struct, frozen=True):
    """One item of the input or of an earlier output; which fields it has depends on its type.

    Attributes:
        type: Its type; None for a message.
        role: Who wrote a message.
        content: What a message holds.
        call_id: The id of a call, in the call and in its output.
        name: The name of the tool that is called.
        arguments: The arguments of a call as JSON.
        output: What a tool returned.
    """

    type: str | None = None
    role: Literal["developer", "system", "user", "assistant"] | None = None
    content: Any = None  # items of other types have anything there
    call_id: str | None = None
    name: str | None = None
    arguments: str | JsonObject | None = None
    output: Any = None


class TextFormat(msgspec.Struct, frozen=True):
    """How the text of the answer is formed."""

    format: JsonObject | None = None


class ResponsesRequest(msgspec.Struct, frozen=True):
    """A request as OpenAI's API takes it; only what this server uses, or has to refuse."""

    input: str | list[InputItem] = msgspec.field(default_factory=list)
    model: str | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    store: bool | None = None
    tools: list[JsonObject] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    text: TextFormat | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    include: list[str] | None = None  # what can be included is there anyway
    stream_options: Any = None  # padding against those who measure the lengths of chunks
    conversation: Any = None
    background: bool | None = None
    prompt: Any = None

    @property
    def items(self) -> tuple[InputItem, ...]:
        """The items of the input."""
        if isinstance(self.input, str):
            return (InputItem(type="message", role="user", content=self.input),)
        return tuple(self.input)

    def to_request(self, earlier: Sequence[InputItem] = ()) -> Request:
        """What is asked of the model.

        Args:
            earlier: The items before the input, those of the previous responses.

        Raises:
            ApiError: An option or an item cannot be meant here.
            BingError: The history cannot be sent.
        """
        self._check()
        options = {
            "tools": [tool for tool in self.tools or () if not _is_search(tool)],
            "tool_choice": self.tool_choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": None if self.text is None else self.text.format,
            "max_tokens": self.max_output_tokens,
        }
        history = history_of(self.instructions, [*earlier, *self.items], start=len(earlier))
        return request_of(history, options, names=_NAMES)

    def echo(self) -> dict[str, Any]:
        """What the response repeats of it."""
        return {
            "background": False,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "store": self.store is not False,
            "temperature": None,
            "text": {"format": (self.text and self.text.format) or {"type": "text"}},
            "tool_choice": self.tool_choice or "auto",
            "tools": self.tools or [],
            "top_p": None,
            "truncation": "disabled",
            "user": self.user,
        }

    def _check(self) -> None:
        if self.background:
            raise refuse("background", "A response cannot run in the background.", "Stream it.")
        if self.conversation:
            raise refuse("conversation", "There are no stored conversations.", "Pass previous_response_id.")
        if self.prompt:
            raise refuse("prompt", "There are no stored prompts.", "Pass instructions and input.")


_Run: TypeAlias = list[tuple[str, HistoryCall | None]]
"""What a model wrote in one go: texts, and calls."""


def history_of(instructions: str | None, items: Sequence[InputItem], *, start: int = 0) -> History:
    """The history of OpenAI's items.

    =============================  ===========================================================
    item                           what becomes of it
    =============================  ===========================================================
    message (developer, system)    a message of the role `system`, as `instructions` before all
    message (user)                 a message of that role
    message (assistant),           one message of the role `assistant` for those that follow
    function_call                  each other, its calls after its text
    function_call_output           a result, with the name of its tool
    reasoning, web_search_call,    nothing: they are the service's own
    image_generation_call
    =============================  ===========================================================

    Args:
        instructions: What the model is asked to heed.
        items: The items, the oldest first.
        start: The index of the first item of the request itself, for errors.

    Raises:
        ApiError: There are none, or one of them is of another type.
        InvalidRequest: This turn's author wrote what the service cannot take.
    """
    if not items:
        raise ApiError(400, "input is empty; pass one item at least.", code="invalid_value", param="input")
    history = HistoryBuilder()
    if instructions:
        history.add("system", instructions)
    run: _Run = []
    for at, item in enumerate(items, -start):
        place = f"input[{at}]"
        kind = item.type or "message"
        if kind == "message" and item.role == "assistant":
            run.append((own_text_of(_content(item.content, f"{place}.content")), None))
        elif kind == "function_call":
            run.append(("", HistoryCall.of(item.name or "", item.arguments, item.call_id)))
        elif kind not in _SILENT:
            _add_run(history, run)
            run = []
            _add(history, item, kind, place)
    _add_run(history, run)
    return history.build()


def _add_run(history: HistoryBuilder, run: Iterable[tuple[str, HistoryCall | None]]) -> None:
    run = list(run)
    if run:
        history.add_answer(join_lines(text for text, _ in run), [call for _, call in run if call is not None])


def _add(history: HistoryBuilder, item: InputItem, kind: str, place: str) -> None:
    if kind == "message":
        content = _content(item.content, f"{place}.content")
        if item.role == "user":
            images = pictures_in(content, f"{place}.content")
            problem = problem_of(content, f"{place}.content")
            history.add("user", text_of(content), images=images, problem=problem)
        elif item.role is not None:
            history.add("system", text_of(content))
        else:
            raise ApiError(400, f"{place} has no role.", code="invalid_value", param=place)
    elif kind == "function_call_output":
        content = _content(item.output, f"{place}.output")
        images = pictures_in(content, f"{place}.output")
        history.add_result(text_of(content), call_id=item.call_id or "", name=item.name or "", images=images)
    else:
        allowed = "message, function_call, function_call_output, reasoning"
        msg = f"{place} is of the type {kind!r:.64}, which this server does not take. Allowed: {allowed}."
        raise ApiError(400, msg, code="invalid_value", param=place)


def _content(given: object, place: str) -> Content:
    """The content of a message or of a result.

    Raises:
        ApiError: It is not one.
    """
    try:
        content: Content = msgspec.convert(given, Content)
    except msgspec.ValidationError as exc:
        raise ApiError(
            400, f"{place} is not text or a list of parts: {exc}.", code="invalid_type", param=place
        ) from exc
    return content


def _is_search(tool: JsonObject) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind.startswith(_SEARCHES)
