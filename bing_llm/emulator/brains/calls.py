"""The calls of tools that a question asks for, with arguments out of the question."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import msgspec

from bing_llm.emulator.brains.prompt import Schema, Tool, ToolResult
from bing_llm.emulator.brains.schemas import (
    NO_MODEL,
    NUMBER,
    NUMERIC,
    QUOTED,
    Stated,
    Unstated,
    alternatives_of,
    as_number,
    fields_of,
    kind_of,
    resolved,
)

_NUMBERS, _QUOTES = re.compile(NUMBER), re.compile(QUOTED)
_NAME = re.compile(r"(?<=[\w,(] )(?!I\b)[A-Z][\w'’-]*(?:[ ][A-Z][\w'’-]*|,[ ][A-Z]{2}\b)*")  # noqa: RUF001 - "San Francisco, CA"
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+|\d+")
_PLURAL = re.compile(r"(?<=\w\w[^s])s$")
_REFUSED = re.compile(r"\b(?:do not|don't|never|without) (?:use|call|using|calling)\b", re.IGNORECASE)

_SAY_NOTHING = frozenset(("get", "find", "current", "the", "a", "of", "for", "tool", "function"))  # in names of tools
_SIGNS = {
    "add": re.compile(r"\d\s*\+\s*\d|\bplus\b"),
    "subtract": re.compile(r"\d\s*[-\u2212]\s*\d|\bminus\b"),
    "multiply": re.compile(r"\d\s*[*\u00d7]\s*\d|\btimes\b"),
    "divide": re.compile(r"\d\s*[/\u00f7]\s*\d"),
}
_TAKES_A_QUESTION = frozenset(("query", "question", "input"))


class Call(msgspec.Struct, frozen=True):
    """One call of a tool."""

    name: str
    arguments: dict[str, object]

    def __str__(self) -> str:
        """The call in the form in which most models write one."""
        line = json.dumps({"name": self.name, "arguments": self.arguments}, ensure_ascii=False)
        return f"```json\n{line}\n```"


def words_of(text: str) -> set[str]:
    """The words of a text or an identifier (`get_weather`, `WeatherReport`), in lower case and without a plural's s."""
    return {_PLURAL.sub("", part.lower()) for word in re.split(r"[\W_]+", text) for part in _WORD.findall(word)}


def calls_for(question: str, tools: Sequence[Tool], results: Iterable[ToolResult] = ()) -> list[Call]:
    """The calls that a question asks for, in its order, without those that already have results.

    Each sentence asks for the tools whose names it contains, as such or by all of their words, or whose sign stands
    between numbers. A call is made if the arguments are stated in the sentence, or else in the whole question.
    """
    if _REFUSED.search(question):
        return []
    calls: list[Call] = []
    for sentence in _SENTENCE_BREAK.split(question):
        for tool in tools:
            if _asks_for(sentence, tool.name):
                stated = _arguments(sentence, tool.parameters) or _arguments(question, tool.parameters)
                calls += [call for arguments in stated if (call := Call(tool.name, arguments)) not in calls]
    made = Counter(result.name for result in results)
    left = []
    for call in calls:
        name = call.name if made[call.name] else ""  # some histories do not name the tool of a result
        if made[name]:
            made[name] -= 1
        else:
            left.append(call)
    return left


def forced_call(tools: Sequence[Tool], stated: Stated) -> Call:
    """A call that must be made, though the question asks for none of the tools.

    It is one of the first tool whose schema can be filled; else one of the first tool without the arguments that are
    not stated, which its schema refuses.
    """
    for tool in tools:
        try:
            return Call(tool.name, stated.fill(tool.parameters))
        except Unstated:
            continue
    return Call(tools[0].name, stated.fill_partly(tools[0].parameters))


def _asks_for(sentence: str, name: str) -> bool:
    wanted = words_of(name) - _SAY_NOTHING
    return (
        re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence, re.IGNORECASE) is not None
        or (bool(wanted) and wanted <= words_of(sentence))
        or any(word in _SIGNS and _SIGNS[word].search(sentence) for word in wanted)
    )


def _arguments(text: str, parameters: Schema) -> list[dict[str, object]]:
    """The arguments that a text states: several for a list of values for one parameter, none where one is missing.

    Numbers fill the number parameters in order, and there must be as many of both. Quoted strings, or else names, fill
    the text parameters in order; those that remain get the line that says that there is no model. A parameter for a
    query gets the whole text.
    """
    required: dict[str, Schema] = {}
    arguments: dict[str, object] = {}
    stated = Stated(text)
    for name, part, is_required in fields_of(parameters):
        field = _one_kind(resolved(part, parameters))
        if is_required:
            required[name] = field
        elif (value := _chosen(field, text) if "enum" in field else stated.value(name, field)) is not None:
            arguments[name] = value
    numbers = [as_number(float(found)) for found in _NUMBERS.findall(_QUOTES.sub(" ", text))]
    numeric = [name for name, field in required.items() if kind_of(field) in NUMERIC]
    arguments |= zip(numeric, numbers, strict=True) if len(numeric) == len(numbers) else ()
    strings = [quoted[1:-1] for quoted in dict.fromkeys(_QUOTES.findall(text))] or _names_in(text)
    texts = [name for name, field in required.items() if _is_text(field)]
    for name, field in required.items():
        if name not in texts and name not in arguments:
            arguments[name] = _other(name, field, text, numbers, strings)
    if any(value is None for value in arguments.values()):
        return []
    if not strings and texts:
        return [arguments | {texts[0]: text.strip()}] if set(texts) <= _TAKES_A_QUESTION and len(texts) == 1 else []
    if len(texts) == 1:
        return [arguments | {texts[0]: value} for value in strings]
    return [arguments | dict(zip_longest(texts, strings[: len(texts)], fillvalue=NO_MODEL))]


def _other(name: str, field: Schema, text: str, numbers: list[int | float], strings: list[str]) -> object:
    """The value of a required argument that is neither a single number nor text; None if it is not stated."""
    if "enum" in field:
        return _chosen(field, text)
    if kind_of(field) == "array":
        items = _one_kind(resolved(field.get("items"), field))
        return (numbers if kind_of(items) in NUMERIC else strings) or None
    return Stated(text).value(name, field)


def _is_text(field: Schema) -> bool:
    return kind_of(field) == "string" and "enum" not in field


def _one_kind(schema: Schema) -> Schema:
    """The schema, or the first of its alternatives."""
    return next((option for option in alternatives_of(schema) if option.get("type") != "null"), schema)


def _chosen(field: Schema, text: str) -> object:
    """The one choice that a text mentions; None where it mentions none or several."""
    words = text.casefold()
    found = [c for c in field["enum"] if re.search(rf"(?<!\w){re.escape(str(c).casefold())}(?!\w)", words)]
    return found[0] if len(found) == 1 else None


def _names_in(text: str) -> list[str]:
    """The capitalised names in a text that do not begin a sentence, each once."""
    return list(dict.fromkeys(_NAME.findall(text)))
