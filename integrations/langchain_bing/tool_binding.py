"""LangChain's tools, choices and formats, as ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from bing_llm.completion import JsonFormat, ToolChoice, format_of, toolbox_of
from bing_llm.tools import Toolbox

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["AnyTool", "as_openai_tool", "read_format", "read_toolbox"]

AnyTool: TypeAlias = "dict[str, Any] | type | Callable[..., Any] | BaseTool | Runnable[Any, Any]"


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


def read_toolbox(
    tools: Sequence[AnyTool] | None, choice: ToolChoice, *, parallel: bool | None, strict: bool | None
) -> Toolbox:
    """The toolbox of a call; empty where no tool may be used.

    Raises:
        ValueError: The choice names no tool of these.
        InvalidRequest: Two tools have one name, or a call is required and there are no tools.
    """
    return toolbox_of([as_openai_tool(tool) for tool in tools or ()], choice, parallel=parallel, strict=strict)


def read_format(response_format: Any) -> JsonFormat | None:
    """A `response_format`: None or `text`, `json_object`, `json_schema` in OpenAI's form, or a schema itself.

    Raises:
        ValueError: It is none of these.
    """
    return format_of(response_format, convert_to_json_schema)
