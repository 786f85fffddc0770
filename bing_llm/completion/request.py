"""A `Request`: a history, and the options of a call in OpenAI's form, which both frameworks use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from bing_llm.completion.prompt import History
from bing_llm.completion.tokens import CHARACTERS_PER_TOKEN
from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource
from bing_llm.messages import Message
from bing_llm.tools.calls import Check, JsonObject, SchemaCheck, Tool, Toolbox
from bing_llm.tools.prompt import DEFAULT_PROMPT, Instructions, JsonFormat, ToolPrompt, render_instructions

ToolChoice: TypeAlias = JsonObject | str | bool | None

ANSWER: Final = ""
"""The key of `checks` for the answer that is JSON; the other keys are names of tools."""

_NO_CHECKS: Final[Mapping[str, Check]] = MappingProxyType({})
_FUNCTION_KEYS = ("name", "description", "parameters", "strict")
_AUTO, _ANY, _NONE = "auto", "any", "none"
_WORDS = {"auto": _AUTO, "any": _ANY, "required": _ANY, "none": _NONE}
_CHOICES = "Allowed: 'auto', 'any' (or 'required', True), 'none', or the name of a tool, also as a dict."


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a framework asks a model.

    Attributes:
        messages: The history, the oldest first; calls and results of tools are written as `bing_llm.tools` does.
        images: Pictures that go with the last message.
        spare_images: Pictures that go with it if the service takes them.
        toolbox: The tools, and how the model may choose.
        json_format: Set if the answer must be JSON.
        stop: The answer ends before the first of these.
        max_characters: The longest answer; None for no limit.
        tool_prompt: How tools, calls and JSON are worded.
    """

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()
    spare_images: tuple[ImageSource, ...] = ()
    toolbox: Toolbox = Toolbox()
    json_format: JsonFormat | None = None
    stop: tuple[str, ...] = ()
    max_characters: int | None = None
    tool_prompt: ToolPrompt = DEFAULT_PROMPT

    @property
    def instructions(self) -> Instructions:
        """What the prompt says about tools and format."""
        return render_instructions(self.toolbox, self.json_format, self.tool_prompt)

    def followed_by(self, *messages: Message) -> Request:
        """The same request with more messages after its history."""
        return msgspec.structs.replace(self, messages=(*self.messages, *messages))


def build_request(
    history: History,
    options: Mapping[str, Any],
    *,
    to_openai_tool: Callable[..., JsonObject],
    to_json_schema: Callable[..., JsonObject],
    stop: Sequence[str] | None,
    max_tokens: int | None,
    tool_prompt: ToolPrompt = DEFAULT_PROMPT,
) -> Request:
    """The request of one call.

    Args:
        history: What the messages say.
        options: The options of the call, under OpenAI's names: `tools`, `tool_choice`, `parallel_tool_calls`, `strict`,
            `response_format`, `stop` and `max_tokens`. Under `checks`, what arguments and the answer must pass besides:
            see `read_toolbox` and `read_format`. Others are ignored.
        to_openai_tool: The framework's way from a tool of any kind to OpenAI's form.
        to_json_schema: The framework's way from a schema of any kind to a JSON schema.
        stop: The model's own stop sequences; those of the call are added.
        max_tokens: The model's own limit, at 4 characters a token; that of the call replaces it.
        tool_prompt: How tools, calls and JSON are worded.

    Raises:
        ValueError: A choice names a tool that is not there, or a tool or schema is of an unknown kind.
        InvalidRequest: Another option is not allowed.
    """
    checks: Mapping[str, Check] = options.get("checks") or {}
    return Request(
        messages=history.messages,
        images=history.images,
        spare_images=history.spare_images,
        toolbox=read_toolbox(
            [to_openai_tool(tool) for tool in _tools_in(options)],
            options.get("tool_choice"),
            parallel=options.get("parallel_tool_calls"),
            strict=options.get("strict"),
            checks=checks,
        ),
        json_format=read_format(options.get("response_format"), to_json_schema, check=checks.get(ANSWER)),
        stop=(*read_stop(stop), *read_stop(options.get("stop"))),
        max_characters=read_max_tokens(options.get("max_tokens", max_tokens)),
        tool_prompt=tool_prompt,
    )


def _tools_in(options: Mapping[str, object]) -> Iterable[object]:
    tools = options.get("tools") or ()
    if not isinstance(tools, Iterable):
        raise InvalidRequest(f"tools is a {type(tools).__name__}; it must be a list of tools.")
    return tools


def read_choice(choice: object, names: Sequence[str]) -> str:
    """Every form of `tool_choice` as 'auto', 'any', 'none' or the name of a tool.

    Raises:
        ValueError: It is not one of these forms, or names a tool that is not there.
    """
    if choice is None or isinstance(choice, bool):
        return _ANY if choice else _AUTO
    name = _name_in(choice)
    if name in _WORDS:
        return _WORDS[name]
    if name not in names:
        msg = f"tool_choice is {choice!r}, but the bound tools are: {', '.join(names) or 'none'}. {_CHOICES}"
        raise ValueError(msg)
    return name


def read_allowed_tools(choice: object, names: Sequence[str]) -> tuple[tuple[str, ...], str] | None:
    """The tools and the mode of OpenAI's choice `allowed_tools`, nested or flat; None for another choice.

    Args:
        choice: `{"type": "allowed_tools", "mode": "auto" or "required", "tools": [...]}`; mode and tools may also stand
            under `allowed_tools`.
        names: The names of the tools that there are.

    Raises:
        ValueError: It names a tool that is not there, or its mode is neither of the two.
    """
    if not (isinstance(choice, dict) and choice.get("type") == "allowed_tools"):
        return None
    nested = choice.get("allowed_tools")
    spec = nested if isinstance(nested, dict) else choice
    allowed = tuple(read_choice(tool, names) for tool in spec.get("tools") or ())
    mode = spec.get("mode", _AUTO)
    if mode not in {_AUTO, "required"}:
        msg = f"tool_choice has the mode {mode!r}; allowed: 'auto', 'required'."
        raise ValueError(msg)
    return allowed, mode


def _name_in(choice: object) -> str:
    """The name in `{"type": "function", "function": {"name"}}`, `{"type": "tool", "name"}`, `{"name"}` or a str."""
    if isinstance(choice, dict):
        function = choice.get("function")
        choice = (function if isinstance(function, dict) else choice).get("name") or choice.get("type")
    return choice if isinstance(choice, str) else ""


def read_openai_tool(tool: Mapping[str, Any]) -> JsonObject | None:
    """A tool in OpenAI's form, from that form or the flat one of its Responses API; None for a dict of another form.

    Raises:
        ValueError: The tool has no name.
    """
    nested = tool.get("function")
    if isinstance(nested, dict) and tool.get("type", "function") == "function":
        function = nested
    elif tool.get("type") == "function":
        function = {key: tool[key] for key in _FUNCTION_KEYS if key in tool}
    else:
        return None
    if not (isinstance(function.get("name"), str) and function["name"]):
        msg = f"A tool has no name; its keys: {', '.join(map(str, function)) or 'none'}."
        raise ValueError(msg)
    return {"type": "function", "function": function}


def read_toolbox(
    tools: Iterable[JsonObject],
    choice: object,
    *,
    parallel: object,
    strict: object = None,
    checks: Mapping[str, Check] = _NO_CHECKS,
) -> Toolbox:
    """The toolbox of a call; empty if no tool may be used.

    Args:
        tools: Tools in OpenAI's form, `{"type": "function", "function": {"name", "description", "parameters"}}`.
        choice: Which of them may or must be called; see `read_choice` and `read_allowed_tools`.
        parallel: False for at most one call.
        strict: Whether a call is invalid whose arguments do not fit their schema, even when the model was asked once
            more; a tool in OpenAI's form may demand it too. Without it, the call is then given as the model wrote it.
        checks: What the arguments of the tools of these names must pass, instead of their schema.

    Raises:
        ValueError: The choice names a tool that is not there.
        InvalidRequest: Two tools have one name, or a call is required and there are no tools.
    """
    functions = [tool["function"] for tool in tools]
    converted = tuple(
        Tool(
            name := function["name"],
            function.get("description") or "",
            parameters := function.get("parameters") or {},
            checks.get(name) or SchemaCheck(parameters),
            strict=name in checks or bool(strict or function.get("strict")),
        )
        for function in functions
    )
    names = [tool.name for tool in converted]
    if (only := read_allowed_tools(choice, names)) is not None:
        allowed, choice = only
        converted = tuple(tool for tool in converted if tool.name in allowed)
    chosen = read_choice(choice, names)
    if chosen == _NONE:
        return Toolbox()
    return Toolbox(
        tools=converted,
        required=chosen == _ANY,
        only="" if chosen in {_AUTO, _ANY} else chosen,
        parallel=parallel is not False,
    )


def read_format(
    response_format: object, to_json_schema: Callable[..., JsonObject], *, check: Check | None = None
) -> JsonFormat | None:
    """A `response_format`: None or `text`, `json_object`, `json_schema` in OpenAI's form, or a schema itself.

    Args:
        response_format: The option.
        to_json_schema: The framework's way from a schema of any kind to a JSON schema; raises if it is not a schema.
        check: What the answer must pass, instead of the schema.

    Raises:
        ValueError: It is `json_schema` without a schema.
    """
    if response_format is None:
        return None
    if isinstance(response_format, dict):
        kind = response_format.get("type")
        if kind == "text":
            return None
        if kind == "json_object":
            return JsonFormat(check=check)
        if kind == "json_schema":
            spec = response_format.get("json_schema", response_format)
            schema = spec.get("schema") if isinstance(spec, dict) else None
            if not isinstance(schema, dict):
                form = '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}'
                msg = f"response_format has no schema; allowed: {form}."
                raise ValueError(msg)
            return JsonFormat(schema, check or SchemaCheck(schema, "the answer"))
    schema = to_json_schema(response_format)
    return JsonFormat(schema, check or SchemaCheck(schema, "the answer"))


def read_stop(stop: object) -> tuple[str, ...]:
    """The stop sequences of a call; frameworks pass on whatever they are given.

    Raises:
        InvalidRequest: It is neither a str nor a list of str.
    """
    sequences = [stop] if isinstance(stop, str) else stop or ()
    if not isinstance(sequences, list | tuple) or not all(isinstance(sequence, str) for sequence in sequences):
        raise InvalidRequest(f"stop is {stop!r}; it must be a list of texts.")
    return tuple(sequences)


def read_max_tokens(max_tokens: object) -> int | None:
    """The longest answer in characters, at 4 a token, for `max_tokens`; None for no limit.

    Raises:
        InvalidRequest: It is not a whole number from 1 on.
    """
    if max_tokens is None:
        return None
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise InvalidRequest(f"max_tokens is {max_tokens!r}; it must be a whole number from 1 on.")
    return max_tokens * CHARACTERS_PER_TOKEN
