"""LangChain's tools, choices and formats, as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

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
