"""LangChain's tools, choices and formats, as ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from bing_llm.completion.request import JsonFormat
from bing_llm.tools import Tool, Toolbox

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["AnyTool", "ToolChoice", "as_openai_tool", "read_choice", "read_format", "read_toolbox"]

AnyTool: TypeAlias = "dict[str, Any] | type | Callable[..., Any] | BaseTool | Runnable[Any, Any]"
ToolChoice: TypeAlias = dict[str, Any] | str | bool | None

_AUTO, _ANY, _NONE = "auto", "any", "none"
_WORDS = {"auto": _AUTO, "any": _ANY, "required": _ANY, "none": _NONE}
_CHOICES = "Allowed: 'auto', 'any' (or 'required', True), 'none', or the name of a tool, also as a dict."


def as_openai_tool(tool: AnyTool, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in OpenAI's form, which LangChain's agents expect in `kwargs["tools"]`.

    Raises:
        ValueError: It is a tool that another provider runs.
    """
    from langchain_core.tools import BaseTool  # noqa: PLC0415 - slow to import, and many models get no tools

    if isinstance(tool, Runnable) and not isinstance(tool, BaseTool):
        tool = tool.as_tool()
    made = convert_to_openai_tool(tool, strict=strict)
    if "function" not in made:
        msg = f"A tool of type {made.get('type')!r} is one that its provider runs, and the service has none of them."
        raise ValueError(f"{msg} It searches the web by itself: ChatBing(search=True).")
    return made


def read_choice(choice: ToolChoice, names: Sequence[str]) -> str:
    """Every form of `tool_choice` as 'auto', 'any', 'none' or the name of a tool.

    Raises:
        ValueError: It is no such form, or names a tool that is not bound.
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


def read_toolbox(
    tools: Sequence[AnyTool] | None, choice: ToolChoice, *, parallel: bool | None, strict: bool | None
) -> Toolbox:
    """The toolbox of a call; empty where no tool may be used.

    Raises:
        ValueError: The choice names no tool of these.
        InvalidRequest: Two tools have one name, or a call is required and there are no tools.
    """
    functions = [as_openai_tool(tool)["function"] for tool in tools or ()]
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


def read_format(response_format: Any) -> JsonFormat | None:
    """A `response_format`: None or `text`, `json_object`, `json_schema` in OpenAI's form, or a schema itself.

    Raises:
        ValueError: It is none of these.
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
    return JsonFormat(convert_to_json_schema(response_format))
