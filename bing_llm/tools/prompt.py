"""What a prompt says to a text-only model: which tools there are, how to call them, how to answer with JSON.

The wording is that of an ordinary user. Services refuse text that poses as a system's.
"""

from __future__ import annotations

import html
import json
import marshal
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from bing_llm.tools.calls import Call, Check, JsonObject, Tool, Toolbox
from bing_llm.tools.escape import escape, json_line
from bing_llm.tools.schemas import compact, example_call

_TOOLS = "Tools that you can call, one in each line:"
_FORM = "Call a tool by writing a block like this, with arguments that fit its parameters:"
_STOP = "Stop after the last </tool_call>: I send you what the tools give back, so never write a tool_result yourself."
_SCHEMA = "JSON schema of the reply:"
_NO_MORE_CALLS = "When no call is needed any more, answer in this form:"
_KINDS = {"object": "object", "array": "list"}
_KEPT_BINDINGS = 64  # sets of tools whose instructions are kept; a process has a few, and each may have some 100 KB
_JSON = "Reply with exactly one JSON {kind} {which}, and nothing else: no code fence, no words before or after it."


class JsonFormat(msgspec.Struct, frozen=True):
    """The answer must be JSON.

    Attributes:
        schema: The JSON schema of the answer; None for any object.
        check: What the answer must pass; None for nothing.
    """

    schema: JsonObject | None = None
    check: Check | None = None


class Instructions(msgspec.Struct, frozen=True):
    """What a prompt says besides the message.

    Attributes:
        listing: The tools or the schema, which may be long; "" for nothing. It may stand far from the message.
        rules: How to answer, below about 700 characters; "" for nothing. It belongs next to the message.
    """

    listing: str = ""
    rules: str = ""


def render_instructions(toolbox: Toolbox, json_format: JsonFormat | None = None) -> Instructions:
    """How to call tools and how to answer with JSON.

    They are rendered once for tools and a format with the same content, since agents pass the same with each call. The
    listing has one JSON line for each tool, then the schema of the answer. The rules have an example call. With
    tools and a format, the model calls tools first, and answers with JSON when it needs no more calls.

    Args:
        toolbox: The tools, and how the model may choose.
        json_format: Set if the answer must be JSON. Without a schema, the user's message describes the object.

    Raises:
        InvalidRequest: A schema cannot be written as JSON.
    """
    content = _content(toolbox, json_format)
    return _render(toolbox, json_format) if content is None else _render_once(_Binding(content, toolbox, json_format))


class _Binding:
    """Tools and a format, equal to others with the same content."""

    def __init__(self, content: bytes, toolbox: Toolbox, json_format: JsonFormat | None) -> None:
        self._content = content
        self.toolbox = toolbox
        self.json_format = json_format

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Binding) and self._content == other._content


def _content(toolbox: Toolbox, json_format: JsonFormat | None) -> bytes | None:
    """All that the instructions depend on, also the order of keys; None if it holds values of other than plain types.

    `marshal` because it tells all plain values apart (True and 1, NaN and None), refuses all others, and takes half the
    time of `json`. Its version 0 does not look at which objects are the same, only at what they are.
    """
    tools = [(tool.name, tool.description, tool.parameters) for tool in toolbox.offered]
    choice = (toolbox.required, toolbox.only, toolbox.parallel)
    format_ = None if json_format is None else [json_format.schema]
    try:
        return marshal.dumps((tools, choice, format_), 0)
    except ValueError:
        return None


@lru_cache(maxsize=_KEPT_BINDINGS)
def _render_once(binding: _Binding) -> Instructions:
    return _render(binding.toolbox, binding.json_format)


def _render(toolbox: Toolbox, json_format: JsonFormat | None) -> Instructions:
    tools = _render_tools(toolbox)
    if json_format is None:
        return tools
    answer = _render_format(json_format)
    if not tools.rules:
        return answer
    listing = "\n\n".join(part for part in (tools.listing, answer.listing) if part)
    return Instructions(listing, f"{tools.rules}\n{_NO_MORE_CALLS}\n{answer.rules}")


def _render_tools(toolbox: Toolbox) -> Instructions:
    tools = toolbox.offered
    if not tools:
        return Instructions()
    short = [msgspec.structs.replace(tool, parameters=compact(tool.parameters)) for tool in tools]
    rules = (_FORM, render_call(example_call(short)), _number(toolbox), _STOP, _choice(toolbox))
    return Instructions("\n".join((_TOOLS, *map(_render_tool, short))), "\n".join(rules))


def _render_format(json_format: JsonFormat) -> Instructions:
    if json_format.schema is None:
        return Instructions(rules=_JSON.format(kind="object", which="of the form that I asked for"))
    schema = compact(json_format.schema)
    kind = _KINDS.get(str(schema.get("type", "object")), "value")
    listing = f"{_SCHEMA}\n{json_line(schema)}"
    return Instructions(listing, _JSON.format(kind=kind, which="that fits the JSON schema of the reply"))


def render_call(call: Call) -> str:
    """A call as a history shows it, in the form in which the model is asked to write it."""
    line = json_line({"name": call.name, "arguments": call.arguments})
    return f"<tool_call>\n{line}\n</tool_call>"


def render_foreign_call(name: str, arguments: object) -> str:
    """A call of a history that another library made, in the form in which the model is asked to write it.

    Args:
        name: The name of the tool.
        arguments: An object, or JSON for one; None and "" for none. Anything else follows the name as it is.

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
        return render_call(Call(name, dict(read)))
    text = str(arguments)
    return text if name in text else f"{name} {text}"


def render_result(name: str, text: str, *, failed: bool | None = False) -> str:
    """What a tool returned, as a history or the next message shows it.

    Args:
        name: The name of the tool, "" if it is not known.
        text: What it returned. It is escaped, so that it can neither end its block nor begin another.
        failed: Whether the tool failed; None if that is not known.
    """
    # A tool may cut its output in the middle of a surrogate pair, which no JSON can carry.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    status = "" if failed is None else "error" if failed else "ok"
    known = {"name": name, "status": status}
    attributes = "".join(f' {key}="{_attribute(value)}"' for key, value in known.items() if value)
    return f"<tool_result{attributes}>\n{escape(text)}\n</tool_result>"


def render_call_repair(toolbox: Toolbox, problem: str) -> str:
    """The user's next message after a call that is missing or cannot be read.

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
    return f"{_repair_reason(problem)} {wanted}"


def render_json_repair(problem: str) -> str:
    """The user's next message after a reply that is not the JSON that was asked for.

    Args:
        problem: What was wrong, in one sentence.
    """
    return f"{_repair_reason(problem)} Reply again, with only the JSON object."


def _render_tool(tool: Tool) -> str:
    known = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
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


def _repair_reason(problem: str) -> str:
    said = " ".join(escape(problem).split()).rstrip(".") or "it is not what I asked for"
    return f"Your last reply cannot be used: {said}."


def _attribute(value: str) -> str:
    return " ".join(escape(html.escape(value)).split())
