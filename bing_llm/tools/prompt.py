"""What a text-only model is told: which tools there are, how to call them, how to answer with JSON.

The wording is that of an ordinary user. Services refuse text that poses as a system's.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bing_llm.tools.calls import Call, Tool, Toolbox
from bing_llm.tools.escaping import escaped, json_line
from bing_llm.tools.examples import example_call
from bing_llm.tools.schemas import compact

__all__ = [
    "Instructions",
    "combined",
    "json_instructions",
    "json_repair_request",
    "repair_request",
    "rewritten_call",
    "tool_instructions",
    "written_call",
    "written_calls",
    "written_result",
]

_TOOLS = "Tools that you can call, one in each line:"
_FORM = "Call a tool by writing a block like this, with arguments that fit its parameters:"
_STOP = "Stop after the last </tool_call>: I send you what the tools give back, so never write a tool_result yourself."
_SCHEMA = "JSON schema of the reply:"
_NO_MORE_CALLS = "When no call is needed any more, answer in this form:"
_JSON = "Reply with exactly one JSON object {which}, and nothing else: no code fence, no words before or after it."


class Instructions(msgspec.Struct, frozen=True):
    """What a prompt says besides the message.

    Attributes:
        listing: The tools or the schema, which may be long; "" for nothing. It may stand far from the message.
        rules: How to answer, below about 700 characters; "" for nothing. It belongs next to the message.
    """

    listing: str = ""
    rules: str = ""


def tool_instructions(toolbox: Toolbox) -> Instructions:
    """How to call the tools that are offered: one JSON line for each, the rules, and an example with one of them.

    Raises:
        InvalidRequest: The schema of a tool cannot be written as JSON.
    """
    tools = toolbox.offered
    if not tools:
        return Instructions()
    rules = (_FORM, written_call(example_call(tools)), _number(toolbox), _STOP, _choice(toolbox))
    return Instructions("\n".join((_TOOLS, *map(_line, tools))), "\n".join(rules))


def json_instructions(schema: dict[str, Any] | None) -> Instructions:
    """How to answer with JSON alone.

    Args:
        schema: The JSON schema that the object must fit; None for an object of which the user said what it holds.

    Raises:
        InvalidRequest: The schema cannot be written as JSON.
    """
    if schema is None:
        return Instructions(rules=_JSON.format(which="of the form that I asked for"))
    listing = f"{_SCHEMA}\n{json_line(compact(schema))}"
    return Instructions(listing, _JSON.format(which="that fits the JSON schema of the reply"))


def combined(tools: Instructions, answer: Instructions) -> Instructions:
    """Both in one request: call tools first, and answer with JSON when no more call is needed.

    Args:
        tools: From `tool_instructions`.
        answer: From `json_instructions`.
    """
    if not tools.rules or not answer.rules:
        return tools if tools.rules else answer
    listing = "\n\n".join(part for part in (tools.listing, answer.listing) if part)
    return Instructions(listing, f"{tools.rules}\n{_NO_MORE_CALLS}\n{answer.rules}")


def written_call(call: Call) -> str:
    """A call as a history shows it, in the form in which the model is asked to write it."""
    line = json_line({"name": call.name, "arguments": call.arguments})
    return f"<tool_call>\n{line}\n</tool_call>"


def rewritten_call(name: str, arguments: Any) -> str:
    """A call out of a history, however another library has it, in the form that the model is asked for.

    Args:
        name: The name of the tool.
        arguments: An object, or JSON for one; None and "" for none. What is no object stands as it is, behind the name.

    Raises:
        InvalidRequest: The arguments cannot be written as JSON.
    """
    if isinstance(arguments, str) and arguments:
        try:
            read = json.loads(arguments)
        except (ValueError, RecursionError):
            read = None
    else:
        read = arguments or {}
    if isinstance(read, Mapping):
        return written_call(Call(name, dict(read)))
    text = str(arguments)
    return text if name in text else f"{name} {text}"


def written_calls(calls: Iterable[Call]) -> str:
    """Several calls as a history shows them, one block each."""
    return "\n".join(map(written_call, calls))


def written_result(name: str, text: str, *, failed: bool | None = False) -> str:
    """What a tool gave back, as a history or the next message shows it.

    Args:
        name: The name of the tool, "" where it is not known.
        text: What it gave back; `escaped`, so that it can neither end its block nor begin another.
        failed: Whether the tool failed; None where nobody says.
    """
    # A tool may cut its output in the middle of a surrogate pair, which no JSON can carry.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    status = "" if failed is None else "error" if failed else "ok"
    known = {"name": name, "status": status}
    attributes = "".join(f' {key}="{_attribute(value)}"' for key, value in known.items() if value)
    return f"<tool_result{attributes}>\n{escaped(text)}\n</tool_result>"


def repair_request(toolbox: Toolbox, problem: str) -> str:
    """The user's next message after a call that did not come, or cannot be read.

    Args:
        toolbox: The tools of the request.
        problem: What was wrong, in one sentence.
    """
    if toolbox.only:
        wanted = f"Reply again, with only a call of the tool {json_line(toolbox.only)}."
    elif toolbox.required:
        wanted = "Reply again, with only a call of a tool."
    else:
        wanted = "Write the call again, or answer without one."
    return f"{_complaint(problem)} {wanted}"


def json_repair_request(problem: str) -> str:
    """The user's next message after a reply that should have been JSON.

    Args:
        problem: What was wrong, in one sentence.
    """
    return f"{_complaint(problem)} Reply again, with only the JSON object."


def _line(tool: Tool) -> str:
    known = {"name": tool.name, "description": tool.description, "parameters": compact(tool.parameters)}
    return json_line({key: value for key, value in known.items() if value or key != "description"})


def _number(toolbox: Toolbox) -> str:
    if toolbox.parallel:
        return "Write one block for each call."
    return "Write exactly one call." if toolbox.must_call else "Write at most one call."


def _choice(toolbox: Toolbox) -> str:
    if toolbox.only:
        return f"In this reply you must call the tool {json_line(toolbox.only)}; write nothing else."
    if toolbox.required:
        return "In this reply you must call at least one tool; write nothing else."
    return "If no tool is needed, answer without a block."


def _complaint(problem: str) -> str:
    said = " ".join(escaped(problem).split()).rstrip(".") or "it is not what I asked for"
    return f"Your last reply cannot be used: {said}."


def _attribute(value: str) -> str:
    return " ".join(escaped(html.escape(value)).split())
