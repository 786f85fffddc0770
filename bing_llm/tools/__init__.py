"""Tools and JSON answers for a service that knows only text.

What a prompt says: `tool_instructions`, `json_instructions`; what a history shows: `written_calls`, `written_result`;
and how a reply is read: `CallParser`, `JsonAnswer`.
"""

from bing_llm.tools.calls import Call, InvalidCall, Piece, Tool, Toolbox
from bing_llm.tools.escaping import escaped
from bing_llm.tools.json_answer import JsonAnswer
from bing_llm.tools.parser import CallParser
from bing_llm.tools.prompt import (
    Instructions,
    combined,
    json_instructions,
    json_repair_request,
    repair_request,
    rewritten_call,
    tool_instructions,
    written_call,
    written_calls,
    written_result,
)
from bing_llm.tools.schemas import compact

__all__ = [
    "Call",
    "CallParser",
    "Instructions",
    "InvalidCall",
    "JsonAnswer",
    "Piece",
    "Tool",
    "Toolbox",
    "combined",
    "compact",
    "escaped",
    "json_instructions",
    "json_repair_request",
    "repair_request",
    "rewritten_call",
    "tool_instructions",
    "written_call",
    "written_calls",
    "written_result",
]
