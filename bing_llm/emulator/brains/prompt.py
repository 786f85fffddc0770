"""What a prompt asks: a question, the results of tools, the tools that may be called, a JSON schema or steps to follow.

The services know no tools and no schemas, so the adapters write them as text. They are read here by their shape (JSON
objects, `<tool_result>` blocks) and by a few words, and share no code with the adapters: what the emulator understands,
a model has a chance to understand too.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from bing_llm.emulator.brains.base import Question
from bing_llm.emulator.brains.signatures import read_signature

_HEADER = re.compile(r"^\[(\w+)\]\(#\w+\)[ \t]*\n?", re.MULTILINE)
_USERS = frozenset(("user", "human"))

# As the adapters write it, or as `<tool>` in a conversation that is written as XML.
_RESULT = re.compile(r"<(tool(?:_result)?)\b([^<>]*)>((?:(?!<tool(?:_result)?\b).)*?)</\1>", re.DOTALL)
_TAG = re.compile(r"</?\w+>")
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")
_PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n")

# A paragraph with one of these tells how to answer, and asks nothing.
_CALL_FORM = re.compile(r"""<tool_call>|["']name["']\s*:[^\n]{0,99}["']arguments["']\s*:""")
_OF_CALLS = re.compile(r"\b(?:tool|call|block|result)s?\b", re.IGNORECASE)
_REMINDER = re.compile(r"\s*\([^()]*\b(?:tool|call|JSON|schema)s?\b[^()]*\)\s*", re.IGNORECASE)
_JSON_RULES = re.compile(r"\s*(?:please )?(?:reply|answer|respond|output|return)\b[^.\n]{0,60}\bJSON\b", re.IGNORECASE)
_COMPLAINT = re.compile(r"\s*(?:your|the|that) (?:last|previous) (?:reply|answer|response|call)\b", re.IGNORECASE)
_POINTER = re.compile(
    r"\s*(?:answer the last message of|go on from the tool results at the end of) the context\b", re.IGNORECASE
)
_RULES = (_JSON_RULES, _COMPLAINT)

_MUST_CALL = re.compile(r"\bmust call\b|\bonly a call\b", re.IGNORECASE)
_ONE_CALL = re.compile(r"\b(?:exactly|at most|only) one call\b", re.IGNORECASE)
_KEYS = re.compile(r"[^.!?\n]*\bJSON\b[^.!?\n]*\b(?:keys?|fields?)\b[^.!?\n]*", re.IGNORECASE)
_KEY = re.compile(r"[`'\"]([A-Za-z_]\w*)[`'\"]")

# Agents that reason in text (ReAct) ask for steps of this form.
_STEP_LABELS = ("Thought:", "Action:", "Action Input:")
_STEP_TOOL = re.compile(r"^\W{0,4}Tool Name:[ \t]*([\w.-]+)", re.MULTILINE)
_STEP_TOOLS = re.compile(r"\bone of \[([^\]\n]*)\]")
_STEP_BEGIN = re.compile(r"^\s*Begin\b", re.MULTILINE)
_STEP_QUESTION = re.compile(r"^[ \t]*Question:[ \t]*(.+)", re.MULTILINE)
_STEP_ACTION = re.compile(r"^[ \t]*Action:[ \t]*[`'\"]?([\w.-]+)", re.MULTILINE)
_STEP_OBSERVATION = re.compile(
    r"^[ \t]*Observation:[ \t]*(.*?)\s*(?=^[ \t]*(?:Thought|Action|Observation|(?:Final )?Answer):|\Z)",
    re.MULTILINE | re.DOTALL,
)

_OBJECT_START = re.compile(r'\{\s{0,999}["}]')
_MOST_FAILURES = 200  # braces that begin no JSON object; each may cost a reading of all that follows it

Schema = dict[str, Any]


class Message(NamedTuple):
    """One message of the conversation; `context` is the role of text that has none."""

    role: str
    text: str


class Tool(msgspec.Struct, frozen=True):
    """A tool that may be called; `parameters` is a JSON schema."""

    name: str
    parameters: Schema


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool gave back; `name` is "" where the prompt does not say it."""

    name: str
    text: str
    failed: bool = False


class Steps(msgspec.Struct, frozen=True):
    """How an agent that reasons in text wants its steps.

    Attributes:
        answer_label: What stands before the answer.
        as_json: Whether the input of an action is a JSON object; else it is plain text.
    """

    answer_label: str
    as_json: bool


class Request(msgspec.Struct, frozen=True):
    """What a prompt asks.

    Attributes:
        question: What the user asked last, without the rules for the answer.
        given: Texts that came along: messages of the system, and context without a role.
        results: What tools gave back since the question.
        tools: The tools that may be called.
        must_call: Whether an answer must be a call.
        one_call: Whether an answer may have one call only.
        schema: The JSON schema that the answer must follow; None for none.
        steps: The steps in which the answer must come; None for none.
    """

    question: str
    given: tuple[str, ...] = ()
    results: tuple[ToolResult, ...] = ()
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    one_call: bool = False
    schema: Schema | None = None
    steps: Steps | None = None


def conversation(question: Question) -> list[Message]:
    """All messages up to the question, the oldest first: those of earlier turns, of the context, and the prompt."""
    messages: list[Message] = []
    for turn in question.history:
        messages += (*_sections(turn.context), Message("user", turn.question), Message("assistant", turn.answer))
    return [*messages, *_sections(question.context), Message("user", question.text)]


def read_request(question: Question) -> Request:
    """What a prompt and its context ask.

    A prompt may only complain about the last answer, hold results of tools, or point to the end of the context, where
    the adapters put what is too long. Then the question is the last one before it. Likewise, rules without tools and
    schema refer to those that were sent last; so does what is said after results of tools.
    """
    messages = conversation(question)
    asked, results = _asked(messages)
    given = tuple(message.text for message in messages if message.role in {"system", "context"})
    prompt = _RESULT.sub("", messages[-1].text)
    form = next((text for text in (*given, prompt) if all(label in text for label in _STEP_LABELS)), None)
    if form is not None:
        return _read_steps(form, messages, in_prompt=form is prompt)
    rules = _rules_in(messages[-1].text)
    sources = [prompt]
    if rules or prompt != messages[-1].text:  # after results, the tools are those that were called
        earlier = (message.text for message in reversed(messages[:-1]) if message.role != "assistant")
        sources += [_RESULT.sub("", text) for text in earlier]
    source, tools = next(((text, tools) for text in sources if (tools := _tools_in(text))), (prompt, ()))
    if _is_about_json_only(rules):
        tools = ()
    return Request(
        question=asked,
        given=given,
        results=results,
        tools=tools,
        must_call=bool(tools) and _MUST_CALL.search(rules) is not None,
        one_call=bool(tools) and _ONE_CALL.search(f"{rules}\n{_rules_in(source)}") is not None,
        schema=_schema(prompt, rules, sources, given if not tools else ()),
    )


def _is_about_json_only(rules: str) -> bool:
    return _JSON_RULES.match(rules) is not None and not _OF_CALLS.search(rules)


def _read_steps(form: str, messages: list[Message], *, in_prompt: bool) -> Request:
    """The request of an agent that reasons in text; form and tools are in the prompt or in a message of the system."""
    names = _STEP_TOOL.findall(form)
    schemas = [value for value, _, _ in find_objects(form) if is_schema(value)]
    tools = [Tool(name, schema) for name, schema in zip(names, schemas, strict=False)]
    if not tools:
        plain = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
        listed = _STEP_TOOLS.search(form)
        tools = [Tool(name.strip(" '\"`"), plain) for name in listed[1].split(",")] if listed else []
    if in_prompt:
        begin = _STEP_BEGIN.search(form)
        asked = list(_STEP_QUESTION.finditer(form, begin.end() if begin else 0))
        question, since = (asked[0][1].strip(), form[asked[0].end() :]) if asked else ("", "")
    else:
        question, since = _last_asked(messages)
    results = zip(_STEP_ACTION.findall(since), _STEP_OBSERVATION.findall(since), strict=False)
    return Request(
        question=question,
        results=tuple(ToolResult(name, text) for name, text in results),
        tools=tuple(tools),
        steps=Steps("Final Answer" if "Final Answer:" in form else "Answer", as_json=bool(schemas)),
    )


def _last_asked(messages: list[Message]) -> tuple[str, str]:
    """The last message of the user that is neither an observation nor about the form, and all that follows it."""
    for place in reversed(range(len(messages))):
        role, text = messages[place]
        about_steps = text.lstrip().startswith("Observation:") or _STEP_LABELS[-1] in text
        if role in _USERS and not about_steps and text.strip():
            return text.strip(), "\n".join(message.text for message in messages[place + 1 :])
    return "", ""


def find_objects(text: str) -> Iterator[tuple[Schema, int, int]]:
    """The outermost JSON objects in a text, in their order, each with its start and its end."""
    decoder, position, failures = json.JSONDecoder(), 0, 0
    while failures < _MOST_FAILURES and (found := _OBJECT_START.search(text, position)):
        try:
            value, end = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            position, failures = found.start() + 1, failures + 1
        else:
            yield value, found.start(), end
            position = end


def is_schema(value: Schema) -> bool:
    """Whether a JSON object is the schema of an object."""
    return isinstance(value.get("properties"), dict) or value.get("type") == "object" or "$defs" in value


def results_in(text: str) -> Iterator[ToolResult]:
    """The results of tools in a text, in their order."""
    for tag, attributes, content in _RESULT.findall(text):
        known = dict(_ATTRIBUTE.findall(attributes))
        escaped = (_TAG.sub("", content) if tag == "tool" else content).strip()
        plain = html.unescape(escaped)
        shown = escaped if "<tool_" in plain else plain  # what would read as a block of its own stays escaped
        yield ToolResult(html.unescape(known.get("name", "")), shown, known.get("status") == "error")


def _sections(context: str) -> list[Message]:
    """The messages of a context, as `bing_llm.messages.convert` writes them; text before the first header is one."""
    headers = list(_HEADER.finditer(context))
    ends = [*(header.start() for header in headers), len(context)]
    before = [Message("context", context[: ends[0]])] if context[: ends[0]].strip() else []
    return before + [
        Message(header[1].lower(), context[header.end() : end].strip())
        for header, end in zip(headers, ends[1:], strict=True)
    ]


def _asked(messages: Iterable[Message]) -> tuple[str, tuple[ToolResult, ...]]:
    """The last question of the user, and the results of tools that came after it."""
    results: list[ToolResult] = []
    for message in reversed(list(messages)):
        question = question_of(message.text) if message.role in _USERS else ""
        if message.role != "assistant":
            results[:0] = results_in(message.text)
        if question:
            return question, tuple(results)
    return "", tuple(results)


def question_of(text: str) -> str:
    """What a message asks: its text without results, tools, schemas and rules for the answer.

    A message with results of tools asks nothing: what else it says is about them.
    """
    if "<tool_result" in text and _RESULT.search(text):
        return ""
    return "\n\n".join(part for part, is_rule in _paragraphs(text) if not is_rule)


def _rules_in(text: str) -> str:
    """What a message says of how to answer; all that a message with results says besides them."""
    if "<tool_result" in text and (plain := _RESULT.sub("", text)) != text:
        return plain.strip()
    return "\n".join(part for part, is_rule in _paragraphs(text) if is_rule)


def _paragraphs(text: str) -> list[tuple[str, bool]]:
    """The paragraphs of a text without listings of tools and schemas; and whether each one is about how to answer.

    Those are the form of a call, its announcement before it, what is said of calls right after it, what stands in
    brackets about calls or JSON, and all that a text says which only points to the end of the context.
    """
    parts = [part.strip() for part in _PARAGRAPH_BREAK.split(_without_listings(_RESULT.sub("", text))) if part.strip()]
    if parts and _POINTER.match(parts[0]):
        return [(part, True) for part in parts]
    forms = {place for place, part in enumerate(parts) if _CALL_FORM.search(part)}
    announced = {place - 1 for place in forms if place and parts[place - 1].endswith(":")}
    after = {place + 1 for place in forms if place + 1 < len(parts) and _OF_CALLS.search(parts[place + 1])}
    about = forms | announced | after
    return [(part, place in about or _is_rule(part)) for place, part in enumerate(parts)]


def _is_rule(paragraph: str) -> bool:
    return _REMINDER.fullmatch(paragraph) is not None or any(rule.match(paragraph) for rule in _RULES)


def _without_listings(text: str) -> str:
    """The text without tools and schemas, and without the lines that announce them."""
    text = _with_schemas(text)
    parts, last = [], 0
    for value, start, end in find_objects(text):
        if _tool(value) is not None or is_schema(value):
            parts.append(_without_announcement(text[last:start]))
            last = end
    return "".join((*parts, text[last:]))


def _without_announcement(text: str) -> str:
    plain = text.rstrip()
    return plain[: plain.rfind("\n") + 1] if plain.endswith(":") else text


def _with_schemas(text: str) -> str:
    """The text with each signature of a tool written as JSON.

    A list of tools follows a line that ends with a colon, and that speaks of tools if the text does not show the form
    of a call: other signatures are code that somebody asks about.
    """
    lines = text.split("\n")
    has_form = _CALL_FORM.search(text) is not None
    is_listed = False
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        found = read_signature(line) if is_listed else None
        if found is not None:
            lines[place] = json.dumps({"name": found[0], "parameters": found[1]})
        is_announced = line.rstrip().endswith(":") and (has_form or _OF_CALLS.search(line) is not None)
        is_listed = found is not None or is_announced or (is_listed and line.startswith("{"))
    return "\n".join(lines)


def _tools_in(text: str) -> tuple[Tool, ...]:
    found = (_tool(value) for value, _, _ in find_objects(_with_schemas(text)))
    return tuple(tool for tool in found if tool is not None)


def _tool(value: Schema) -> Tool | None:
    name, parameters = value.get("name"), value.get("parameters")
    return Tool(name, parameters) if isinstance(name, str) and isinstance(parameters, dict) else None


def _schema(prompt: str, rules: str, sources: list[str], given: Iterable[str]) -> Schema | None:
    """The schema of the answer: in the prompt, in words of the prompt, before it, or in what the system said."""
    if re.search(r"\bJSON\b", prompt):
        if (found := _schema_in(prompt)) is not None or (found := _schema_in_words(prompt)) is not None:
            return found
        if re.search(r"\bJSON\b", rules):
            return next((found for text in sources if (found := _schema_in(text)) is not None), None)
    return next((found for text in given if "JSON" in text and (found := _schema_in(text)) is not None), None)


def _schema_in(text: str) -> Schema | None:
    """The last schema of a text. Braces may be doubled, as templates want them."""
    for variant in (text, text.replace("{{", "{").replace("}}", "}")):
        values = [value for value, _, _ in find_objects(variant) if is_schema(value) and _tool(value) is None]
        if values:
            return values[-1]
    return None


def _schema_in_words(text: str) -> Schema | None:
    """The schema of words such as "a JSON with 'setup' and 'punchline' keys"."""
    sentence = _KEYS.search(text)
    names = _KEY.findall(sentence[0]) if sentence else []
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": names} if names else None
