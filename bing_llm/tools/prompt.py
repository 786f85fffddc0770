"""What a prompt says to a text-only model: which tools there are, how to call them, how to answer with JSON.

The wording is that of an ordinary user. Services refuse text that poses as a system's.
"""

from __future__ import annotations

import html
import json
import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol, runtime_checkable

import msgspec

from bing_llm.errors import ConfigurationError
from bing_llm.tools.calls import Call, Check, JsonObject, Toolbox
from bing_llm.tools.escape import escape, json_line
from bing_llm.tools.schemas import compact
from bing_llm.tools.signatures import render_tool

_TOOLS = "You can call these tools:"
_FORM = """\
To call a tool, write a block of this form, with the tool's name and values for its parameters:

```json
{"name": "<tool>", "arguments": {<its parameters>}}
```"""
_REMINDER = "(If a tool can help with this, reply with its call only. If not, just answer.)"
_REMINDER_JSON = "(If a tool can help with this, reply with its call only. If not, reply with only the JSON object.)"
_GO_ON_JSON = "(If you need no other call, reply with only the JSON object.)"
_REPEATED = "You made this call before. Without calling again, tell me in words what came out."
_REPEATED_JSON = "You made this call before. Without calling again, reply with only the JSON object."
_SCHEMA = "JSON schema of the reply:"
_KINDS = {"object": "object", "array": "list"}
_JSON = "Reply with only a JSON {kind} that fits the schema: values, not the schema itself."
_ANY_JSON = "Reply with exactly one JSON object of the form that I asked for, and nothing else."
_KEPT_BINDINGS = 64  # sets of tools whose instructions are kept; a process has a few, and each may have some 100 KB


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
        prefix: Which tools there are, how to call them, and the form of the answer; may be long. It stands before the
            message, and a conversation is sent it once: with the same tools, choice and format it is always the same.
        reminder: What follows a message of the user; one short sentence, since models like to repeat what comes last.
        after_results: What follows the results of tools; as short. Whatever asks for a call here, a small model calls
            for ever.
        after_repeat: What follows them if the model made the very calls again that it had made since the question; ""
            for the same as otherwise.
    """

    prefix: str = ""
    reminder: str = ""
    after_results: str = ""
    after_repeat: str = ""


@runtime_checkable
class ToolPrompt(Protocol):
    """How a prompt words tools and JSON: for a service whose model obeys other words better than the default ones.

    All methods are pure: the same arguments give the same text. `FencedJson` is the default, and a good base. Names and
    descriptions may come from strangers, such as an MCP server: write tools by `render_tool`, which keeps each on one
    line.
    """

    def instructions(self, toolbox: Toolbox, json_format: JsonFormat | None) -> Instructions:
        """How to call the tools of a request, if it has some, and how to answer with JSON, if that is wanted."""

    def call(self, call: Call) -> str:
        """A call as a history shows it. It should be what `instructions` ask for, and one of the forms that are read.

        Those are JSON with `name` and `arguments` in a code fence, in `<tool_call>` tags or bare; and the forms in
        which well-known models call (`bing_llm/tools/call_formats.py` lists them).
        """

    def repair_call(self, toolbox: Toolbox, problem: str) -> str:
        """The user's next message after a call that is missing or cannot be used.

        Args:
            toolbox: The tools of the request.
            problem: What was wrong, in one sentence.
        """

    def repair_json(self, problem: str) -> str:
        """The user's next message after a reply that is not the JSON that was asked for.

        Args:
            problem: What was wrong, in one sentence.
        """


class FencedJson:
    """The default: calls are JSON in a code fence, the form that models write by themselves.

    Its wording was chosen by measurement; `benchmarks/README.md` has the figures.
    """

    def instructions(self, toolbox: Toolbox, json_format: JsonFormat | None) -> Instructions:
        """The tools and the form in the prefix, a conditional sentence after the message."""
        if not toolbox.offered:
            return Instructions() if json_format is None else self._of_format(json_format)
        return self._of_tools(toolbox, json_format)

    def call(self, call: Call) -> str:
        """The call in a code fence."""
        return "```json\n" + json_line({"name": call.name, "arguments": call.arguments}) + "\n```"

    def repair_call(self, toolbox: Toolbox, problem: str) -> str:
        """What was wrong, and what is wanted."""
        if toolbox.only:
            wanted = f"Reply again, with only a call of the tool {json_line(toolbox.only)}."
        elif toolbox.required:
            wanted = "Reply again, with only a call of a tool."
        else:
            wanted = "Write the call again, or answer without one."
        return f"{_repair_reason(problem)} {wanted}"

    def repair_json(self, problem: str) -> str:
        """What was wrong, and what is wanted."""
        return f"{_repair_reason(problem)} Reply again, with only the JSON object."

    def _of_tools(self, toolbox: Toolbox, json_format: JsonFormat | None) -> Instructions:
        listing = "\n".join(map(render_tool, toolbox.offered))
        number = (
            "You can write several blocks to make several calls." if toolbox.parallel else "Write at most one call."
        )
        rules = f"{number} Then stop, and I will give you the result. {self._choice(toolbox, json_format)}"
        wanted_schema = None if json_format is None else json_format.schema
        schema = "" if wanted_schema is None else _schema_listing(compact(wanted_schema))
        prefix = "\n\n".join(filter(None, (_TOOLS, listing, _FORM, rules, schema)))
        if toolbox.must_call:
            wanted = f"(Reply with only a call{f' of {toolbox.only}' if toolbox.only else ''}.)"
            return Instructions(prefix, wanted, wanted, wanted)
        if json_format is None:
            return Instructions(prefix, _REMINDER, after_repeat=_REPEATED)
        return Instructions(prefix, _REMINDER_JSON, _GO_ON_JSON, _REPEATED_JSON)

    def _choice(self, toolbox: Toolbox, json_format: JsonFormat | None) -> str:
        if toolbox.only:
            return f"You must call {toolbox.only} now."
        if toolbox.required:
            return "You must call a tool now."
        how = "in plain words" if json_format is None else "with only a JSON object of the form below"
        return f"If you do not need a tool, or have the results already, answer {how}."

    def _of_format(self, json_format: JsonFormat) -> Instructions:
        if json_format.schema is None:
            return Instructions("", _ANY_JSON, _ANY_JSON, _ANY_JSON)
        schema = compact(json_format.schema)
        wanted = _JSON.format(kind=_KINDS.get(str(schema.get("type", "object")), "value"))
        return Instructions(_schema_listing(schema), wanted, wanted, wanted)


DEFAULT_PROMPT: Final[ToolPrompt] = FencedJson()


def render_instructions(
    toolbox: Toolbox, json_format: JsonFormat | None = None, tool_prompt: ToolPrompt = DEFAULT_PROMPT
) -> Instructions:
    """How to call tools and how to answer with JSON.

    They are rendered once for tools and a format with the same content, since agents pass the same with each call.

    Args:
        toolbox: The tools, and how the model may choose.
        json_format: Set if the answer must be JSON. Without a schema, the user's message describes the object.
        tool_prompt: The wording.

    Raises:
        InvalidRequest: A schema cannot be written as JSON.
        ConfigurationError: The wording gives something else than instructions.
    """
    content = _content(toolbox, json_format)
    if content is None:
        return _instructions(toolbox, json_format, tool_prompt)
    return _render_once(_Binding(content, toolbox, json_format, tool_prompt))


class _Binding:
    """Tools, a format and a wording, equal to others with the same content and the very same wording."""

    def __init__(
        self, content: bytes, toolbox: Toolbox, json_format: JsonFormat | None, tool_prompt: ToolPrompt
    ) -> None:
        self._content = content
        self._toolbox = toolbox
        self._json_format = json_format
        self._tool_prompt = tool_prompt

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Binding) and self._content == other._content and self._tool_prompt is other._tool_prompt
        )

    def render(self) -> Instructions:
        """What the wording makes of the tools and the format."""
        return _instructions(self._toolbox, self._json_format, self._tool_prompt)


def _instructions(toolbox: Toolbox, json_format: JsonFormat | None, tool_prompt: ToolPrompt) -> Instructions:
    said: object = tool_prompt.instructions(toolbox, json_format)
    if isinstance(said, Instructions):
        for field in said.__struct_fields__:
            require_text(getattr(said, field), tool_prompt, f"instructions().{field}")
        return said
    raise _wrong(said, tool_prompt, "instructions()", "an Instructions")


def require_text(said: object, tool_prompt: ToolPrompt, what: str) -> str:
    """What a wording said, which must be a text.

    Args:
        said: What it said.
        tool_prompt: The wording.
        what: Which method said it, for the error.

    Raises:
        ConfigurationError: It is anything else.
    """
    if isinstance(said, str):
        return said
    raise _wrong(said, tool_prompt, what, "a str")


def _wrong(said: object, tool_prompt: ToolPrompt, what: str, wanted: str) -> ConfigurationError:
    owner = type(tool_prompt).__name__
    message = f"The tool_prompt is wrong: {owner}.{what} is a {type(said).__name__}; it must be {wanted}."
    return ConfigurationError(message, hint="See bing_llm.tools.ToolPrompt, or derive it from FencedJson.")


def render_call(call: Call, tool_prompt: ToolPrompt) -> str:
    """A call as a history shows it.

    Raises:
        ConfigurationError: The wording gives something else than a text.
    """
    return require_text(tool_prompt.call(call), tool_prompt, "call()")


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
    return binding.render()


def _schema_listing(schema: JsonObject) -> str:
    return f"{_SCHEMA}\n{json_line(schema)}"


def render_history_call(name: str, arguments: object, tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> str:
    """A call of a history, in the form in which the model is asked to write it.

    Args:
        name: The name of the tool.
        arguments: An object, or JSON for one, as another library may have it; None and "" for none. Anything else
            follows the name as it is.
        tool_prompt: The wording.

    Raises:
        InvalidRequest: The arguments cannot be written as JSON.
        ConfigurationError: The wording gives something else than a text.
    """
    if isinstance(arguments, str) and arguments:
        try:
            read = json.loads(arguments)
        except (ValueError, RecursionError):
            read = None
    else:
        read = arguments or {}
    if isinstance(read, Mapping):
        return render_call(Call(name, dict(read)), tool_prompt)
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


def _repair_reason(problem: str) -> str:
    said = " ".join(escape(problem).split()).rstrip(".") or "it is not what I asked for"
    return f"Your last reply cannot be used: {said}."


def _attribute(value: str) -> str:
    return " ".join(escape(html.escape(value)).split())
