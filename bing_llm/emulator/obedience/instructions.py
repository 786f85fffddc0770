"""What a prompt asks for besides its question: tools that may be called, their results, a JSON schema to follow.

Adapters write such instructions as text, since the service knows no tools. A model makes sense of any wording; so
this reads by shape and by a few words, and knows no adapter's wording.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from bing_llm.emulator.obedience.json_text import FoundObject, find_objects
from bing_llm.emulator.obedience.tool_results import BLOCK as RESULT_BLOCK
from bing_llm.emulator.obedience.tool_results import ToolResult, results_in

__all__ = ["Instructions", "Tool", "has_listing", "has_rules", "read_instructions", "tool_of"]

_HEADER = re.compile(r"^\[\w+\]\(#\w+\)[ \t]*\n?", re.MULTILINE)
_CALL_BLOCK = re.compile(r"<tool_call>\s*\{(?:(?!<tool_call>).)*?</tool_call>", re.DOTALL)
_ABOUT_TOOLS = re.compile(r"\b(tools?|functions?|calls?|JSON|schema|blocks?|arguments?)\b|<tool_", re.IGNORECASE)
_JSON_WANTED = re.compile(r"\bJSON\b|\bschema\b", re.IGNORECASE)
_REPLY = r"(?:^|[.!?:\n])\s*(?:please )?(?:reply|answer|respond) (?:\w+ )?"
_JSON_RULE = re.compile(rf"{_REPLY}(?:with|in|as)\b[^.!?\n]{{0,40}}\bJSON\b", re.IGNORECASE)
_ANY_JSON = re.compile(rf"{_REPLY}with [^.!?\n]{{0,20}}\b(?:one|a|an) (?:\w+ )?JSON object\b", re.IGNORECASE)
_COMPLAINT = re.compile(
    r"(?:your (?:last |previous )?|(?:the|that) (?:last|previous) )(?:reply|answer|response|call)\b[^?]*", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^.!?\n]+")
_CONDITION = re.compile(
    r"\b(if|when|whenever|unless|may|can|optional(?:ly)?|not|never|don't|each|per)\b|^\W*(in order )?to\b",
    re.IGNORECASE,
)
_FORCED = re.compile(
    r"\b(must|have to|required to|always)\b.{0,60}\b(call|use|invoke)|\bat least one (tool|call|function)"
    r"|\b(reply|answer|respond)\b.{0,40}\bonly\b.{0,40}\b(calls?|blocks?|tools?)\b",
    re.IGNORECASE,
)
_ONE_CALL = re.compile(
    r"\b(exactly|only|at most|no more than) (one|a single|1)\b.{0,30}\b(call|tool|block)|\bone (tool )?call only\b",
    re.IGNORECASE,
)
_KEYS = re.compile(r"\b(?:keys?|fields?|properties)\b", re.IGNORECASE)
_KEY_NAME = re.compile(r"[`'\"]([A-Za-z_]\w*)[`'\"]")

_SOME_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


class _Paragraph(NamedTuple):
    start: int
    end: int
    text: str


class Tool(msgspec.Struct, frozen=True):
    """One tool that may be called; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Instructions(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        question: What the user said, without the instructions; "" where there is nothing else, or only a complaint
            about the last answer.
        tools: The tools, in their order.
        must_call: Whether an answer without a call is not wanted.
        one_call: Whether more than one call is not wanted.
        results: What the tools answered, where nothing was said after it.
        schema: The JSON schema that the answer must follow; None for none. It may stand beside tools.
    """

    question: str
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    one_call: bool = False
    results: tuple[ToolResult, ...] = ()
    schema: dict[str, Any] | None = None


def read_instructions(prompt: str, *, strictly: bool = False) -> Instructions:
    """Take a prompt apart. Only what comes after its last `[role](#message)` header counts.

    Args:
        prompt: The prompt.
        strictly: Whether only that is a question which cannot be an instruction: so where results wait for an answer.
    """
    text = _with_single_braces(_HEADER.split(prompt)[-1])
    blocks = [found.span() for pattern in (RESULT_BLOCK, _CALL_BLOCK) for found in pattern.finditer(text)]
    objects = list(_outside(find_objects(text), blocks))
    tools = tuple(tool for found in objects if (tool := tool_of(found.value)) is not None)
    marked = [*blocks, *((found.start, found.end) for found in objects if _counts(found.value))]
    prose = _without(text, [*blocks, *((found.start, found.end) for found in objects)])
    question, results = _question_and_results(text, marked, loosely=not strictly)
    schema = _schema(objects, prose)
    complains = bool(tools or schema) and _COMPLAINT.fullmatch(question) is not None
    return Instructions(
        question="" if complains else question,
        tools=tools,
        must_call=bool(tools) and _says(prose, _FORCED),
        one_call=bool(tools) and _says(prose, _ONE_CALL),
        results=results,
        schema=schema,
    )


def has_rules(text: str) -> bool:
    """Whether a text says how to write calls, or to answer with JSON."""
    return _CALL_BLOCK.search(text) is not None or _JSON_RULE.search(text) is not None


def has_listing(text: str) -> bool:
    """Whether a text holds a tool or a schema."""
    return any(_counts(found.value) for found in find_objects(text))


def _with_single_braces(text: str) -> str:
    """The text as it was before its braces were doubled for a template: no JSON begins with two."""
    if '{{"' not in text or has_listing(text):
        return text
    return text.replace("{{", "{").replace("}}", "}")


def _question_and_results(
    text: str, marked: list[tuple[int, int]], *, loosely: bool
) -> tuple[str, tuple[ToolResult, ...]]:
    """The question, and the tool results where nothing was asked after them."""
    found = list(RESULT_BLOCK.finditer(text))
    if not found:
        return _question(text, marked, loosely=loosely), ()
    end = found[-1].end()
    new = _question(text[end:], [(start - end, stop - end) for start, stop in marked if start >= end], loosely=False)
    if new:
        return new, ()
    start = found[0].start()
    before = [span for span in marked if span[1] <= start]
    return _question(text[:start], before, loosely=True), tuple(results_in(text))


def _outside(objects: Iterable[FoundObject], blocks: Iterable[tuple[int, int]]) -> Iterator[FoundObject]:
    """The objects, in their order, that begin in no block."""
    waiting, covered = deque(sorted(blocks)), 0
    for found in objects:
        while waiting and waiting[0][0] <= found.start:
            covered = max(covered, waiting.popleft()[1])
        if found.start >= covered:
            yield found


def tool_of(value: dict[str, Any]) -> Tool | None:
    """A tool as `{"name", "description", "parameters"}`, also nested under `function`."""
    nested = value.get("function")
    spec = nested if isinstance(nested, dict) else value
    name, parameters = spec.get("name"), spec.get("parameters")
    if not isinstance(name, str) or not isinstance(parameters, dict):
        return None
    description = spec.get("description")
    return Tool(name, description if isinstance(description, str) else "", parameters)


def _is_schema(value: dict[str, Any]) -> bool:
    has_properties = isinstance(value.get("properties"), dict)
    return tool_of(value) is None and (has_properties or value.get("type") == "object" or "$defs" in value)


def _counts(value: dict[str, Any]) -> bool:
    return tool_of(value) is not None or _is_schema(value)


def _schema(objects: Sequence[FoundObject], prose: str) -> dict[str, Any] | None:
    if not _JSON_WANTED.search(prose):
        return None
    schemas = [found.value for found in objects if _is_schema(found.value)]
    if schemas:
        return schemas[-1]
    if _ANY_JSON.search(prose):
        return _schema_of_keys(prose) or _SOME_OBJECT
    return None if any(tool_of(found.value) for found in objects) else _schema_of_keys(prose)


def _schema_of_keys(prose: str) -> dict[str, Any] | None:
    """The schema of words such as "JSON with `setup` and `punchline` keys"."""
    for sentence in _SENTENCE.findall(prose):
        if re.search(r"\bJSON\b", sentence, re.IGNORECASE) and _KEYS.search(sentence):
            names = _KEY_NAME.findall(sentence)
            if names:
                return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    return None


def _says(prose: str, pattern: re.Pattern[str]) -> bool:
    sentences = _SENTENCE.findall(prose)
    return any(pattern.search(sentence) and not _CONDITION.search(sentence) for sentence in sentences)


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, end in sorted(spans):
        parts.append(text[position:start])
        position = max(position, end)
    return " ".join((*parts, text[position:]))


def _question(text: str, marked: list[tuple[int, int]], *, loosely: bool) -> str:
    """The user's words.

    Instructions are the paragraphs from the first to the last that holds a tool, a schema, a call or a rule about JSON,
    and those next to them that speak of such things. What is before them is the question; else what is behind them;
    else, `loosely`, what may be one although it is among them: so the first paragraph may ask for JSON.
    """
    paragraphs = _paragraphs(text)
    rules = {i for i, p in enumerate(paragraphs) if (i or not loosely) and _JSON_RULE.search(p.text)}
    hard = sorted(rules | _touched(paragraphs, marked))
    if not hard:
        return text.strip()
    first, last = hard[0], hard[-1]
    while first > 0 and _ABOUT_TOOLS.search(paragraphs[first - 1].text):
        first -= 1
    while last + 1 < len(paragraphs) and _ABOUT_TOOLS.search(paragraphs[last + 1].text):
        last += 1
    outside = _joined(paragraphs[:first]) or _joined(paragraphs[last + 1 :])
    if outside or not loosely:
        return outside
    # A question right above the instructions, or one that itself speaks of tools.
    return _opening_lines(paragraphs[first].text) or (paragraphs[first].text.strip() if first < hard[0] else "")


def _touched(paragraphs: Sequence[_Paragraph], spans: Iterable[tuple[int, int]]) -> set[int]:
    """Which paragraphs share text with a span."""
    starts = [paragraph.start for paragraph in paragraphs]
    return {
        place
        for start, end in spans
        for place in range(max(0, bisect_right(starts, start) - 1), bisect_left(starts, end))
        if start < paragraphs[place].end
    }


def _paragraphs(text: str) -> list[_Paragraph]:
    """The runs of lines that are not blank."""
    found: list[_Paragraph] = []
    start = position = 0
    for line in [*text.splitlines(keepends=True), ""]:
        position += len(line)
        if line.strip():
            continue
        if text[start : position - len(line)].strip():
            found.append(_Paragraph(start, position - len(line), text[start : position - len(line)]))
        start = position
    return found


def _joined(paragraphs: Iterable[_Paragraph]) -> str:
    return "\n\n".join(paragraph.text.strip() for paragraph in paragraphs)


def _opening_lines(paragraph: str) -> str:
    """The lines of a paragraph of instructions before the first about tools: a question right above them."""
    lines: list[str] = []
    for line in paragraph.splitlines():
        if _ABOUT_TOOLS.search(line) or "{" in line:
            break
        lines.append(line)
    return "\n".join(lines).strip()
