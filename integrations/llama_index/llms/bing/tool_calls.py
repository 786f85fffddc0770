"""LlamaIndex's tools as ours, and the calls of a response as LlamaIndex's selections."""

from __future__ import annotations

import json
from typing import TypeAlias

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool, FunctionTool
from pydantic import BaseModel

from bing_llm.completion.request import read_openai_tool
from bing_llm.tools.calls import JsonObject

_LONGEST_SHOWN = 200  # characters of an answer, in an error

AnyTool: TypeAlias = object
"""A LlamaIndex tool, a function, or a tool in OpenAI's form, also the flat one of its Responses API."""


def as_openai_tool(tool: AnyTool) -> JsonObject:
    """A tool in OpenAI's form.

    Raises:
        ValueError: It is neither a LlamaIndex tool, nor a function, nor a tool in OpenAI's form.
    """
    if isinstance(tool, dict):
        if (known := read_openai_tool(tool)) is not None:
            return known
    elif isinstance(tool, BaseTool):
        # The length of a description does not matter: what is too long for a prompt moves to the context.
        converted: JsonObject = tool.metadata.to_openai_tool(skip_length_check=True)
        return converted
    elif callable(tool):
        return as_openai_tool(FunctionTool.from_defaults(tool))
    form = '{"type": "function", "function": {"name": ..., "description": ..., "parameters": {...}}}'
    msg = f"A tool is a {type(tool).__name__}; allowed: LlamaIndex tools, functions, and dicts like {form}."
    raise ValueError(msg)


def schema_of(given: object) -> JsonObject:
    """The JSON schema of a format: of a pydantic class, or the schema itself.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(given, dict):
        return given
    if isinstance(given, type) and issubclass(given, BaseModel):
        return given.model_json_schema()
    msg = f"response_format is a {type(given).__name__}; allowed: a pydantic class, a JSON schema, or OpenAI's forms."
    raise ValueError(msg)


def selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The calls of a response. Only blocks count: text was read while it came.

    A call that could not be read is never made with other arguments. It becomes a selection of a tool that does not
    exist and whose name says what is wrong, so that an agent passes the problem on to the model.

    Raises:
        ValueError: There is no call that can be made, and `error_on_no_tool_call` is set.
    """
    known = response.message.additional_kwargs.get("tool_parse_errors", {})
    calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    problems = {
        call.tool_call_id: reason for call in calls if (reason := known.get(call.tool_call_id) or _problem(call))
    }
    if error_on_no_tool_call and all(call.tool_call_id in problems for call in calls):
        msg = "The model answered without a tool call that can be made: "
        raise ValueError(msg + ("; ".join(problems.values()) or repr(response.message.content or "")[:_LONGEST_SHOWN]))
    return [_selection(call, problems.get(call.tool_call_id)) for call in calls]


def _selection(call: ToolCallBlock, problem: str | None) -> ToolSelection:
    name = call.tool_name if problem is None else f"{call.tool_name} ({problem})".lstrip()
    arguments = (_arguments(call.tool_kwargs) or {}) if problem is None else {}
    return ToolSelection(tool_id=call.tool_call_id or "", tool_name=name, tool_kwargs=arguments)


def _problem(call: ToolCallBlock) -> str:
    return "" if _arguments(call.tool_kwargs) is not None else "Its arguments are not a JSON object."


def _arguments(kwargs: JsonObject | str) -> JsonObject | None:
    """The arguments of a call, which another model may have written as JSON; None if they are not an object."""
    if isinstance(kwargs, dict):
        return kwargs
    try:
        read = json.loads(kwargs or "{}")
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
