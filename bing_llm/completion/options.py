"""The options of a call in OpenAI's form, which both frameworks speak, as a `Request` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from bing_llm.completion.request import JsonFormat
from bing_llm.errors import InvalidRequest
from bing_llm.tokens import CHARACTERS_PER_TOKEN
from bing_llm.tools.calls import Tool, Toolbox

__all__ = ["ToolChoice", "characters_of", "format_of", "read_choice", "sequences_of", "toolbox_of"]

ToolChoice: TypeAlias = dict[str, Any] | str | bool | None

_AUTO, _ANY, _NONE = "auto", "any", "none"
_WORDS = {"auto": _AUTO, "any": _ANY, "required": _ANY, "none": _NONE}
_CHOICES = "Allowed: 'auto', 'any' (or 'required', True), 'none', or the name of a tool, also as a dict."


def read_choice(choice: ToolChoice, names: Sequence[str]) -> str:
    """Every form of `tool_choice` as 'auto', 'any', 'none' or the name of a tool.

    Raises:
        ValueError: It is no such form, or names a tool that is not there.
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


def _name_in(choice: Any) -> str:
    """The name in `{"type": "function", "function": {"name"}}`, `{"type": "tool", "name"}`, `{"name"}` or a str."""
    if isinstance(choice, dict):
        function = choice.get("function")
        choice = (function if isinstance(function, dict) else choice).get("name") or choice.get("type")
    return choice if isinstance(choice, str) else ""


def toolbox_of(
    tools: Iterable[Mapping[str, Any]], choice: ToolChoice, *, parallel: bool | None, strict: bool | None = None
) -> Toolbox:
    """The toolbox of a call; empty where no tool may be used.

    Args:
        tools: Tools in OpenAI's form, `{"type": "function", "function": {"name", "description", "parameters"}}`.
        choice: Which of them must be called; see `read_choice`.
        parallel: False for at most one call.
        strict: True where arguments must fit their schema; so must they where a tool itself says so.

    Raises:
        ValueError: The choice names no tool of these.
        InvalidRequest: Two tools have one name, or a call is required and there are no tools.
    """
    functions = [tool["function"] for tool in tools]
    made = tuple(
        Tool(function["name"], function.get("description") or "", function.get("parameters") or {})
        for function in functions
    )
    chosen = read_choice(choice, [tool.name for tool in made])
    if chosen == _NONE:
        return Toolbox()
    return Toolbox(
        tools=made,
        required=chosen == _ANY,
        only="" if chosen in {_AUTO, _ANY} else chosen,
        parallel=parallel is not False,
        strict=bool(strict) or any(function.get("strict") for function in functions),
    )


def format_of(response_format: Any, schema_of: Callable[[Any], dict[str, Any]]) -> JsonFormat | None:
    """A `response_format`: None or `text`, `json_object`, `json_schema` in OpenAI's form, or a schema itself.

    Args:
        response_format: The option.
        schema_of: The framework's way from a schema of any kind to a JSON schema; raises for what is none.

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
            return JsonFormat()
        if kind == "json_schema":
            spec = response_format.get("json_schema", response_format)
            schema = spec.get("schema") if isinstance(spec, dict) else None
            if not isinstance(schema, dict):
                form = '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}'
                msg = f"response_format has no schema; allowed: {form}."
                raise ValueError(msg)
            return JsonFormat(schema)
    return JsonFormat(schema_of(response_format))


def sequences_of(stop: Any) -> tuple[str, ...]:
    """The stop sequences of a call; frameworks pass on whatever they were given.

    Raises:
        InvalidRequest: It is neither a text nor a list of texts.
    """
    sequences = [stop] if isinstance(stop, str) else stop or ()
    if not isinstance(sequences, list | tuple) or not all(isinstance(sequence, str) for sequence in sequences):
        raise InvalidRequest(f"stop is {stop!r}; it must be a list of texts.")
    return tuple(sequences)


def characters_of(max_tokens: Any) -> int | None:
    """The longest answer in characters, at 4 a token, for `max_tokens`; None for no limit.

    Raises:
        InvalidRequest: It is no whole number from 1 on.
    """
    if max_tokens is None:
        return None
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise InvalidRequest(f"max_tokens is {max_tokens!r}; it must be a whole number from 1 on.")
    return max_tokens * CHARACTERS_PER_TOKEN
