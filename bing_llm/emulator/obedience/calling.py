"""Which tools a question calls for, and the calls as a model would write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bing_llm.emulator.obedience.evidence import COMMON_WORDS, Evidence, words_of
from bing_llm.emulator.obedience.filling import Filler
from bing_llm.emulator.obedience.instructions import Tool
from bing_llm.emulator.obedience.schemas import properties_of, resolved

__all__ = ["Call", "choose_calls", "written"]

# Between two wishes stands the end of a sentence, or a comma or "and" before a word in small letters: before a name or
# a number they go on with a list.
_CLAUSE = re.compile(
    r"[.?!]\s+|(?:[,;]\s+(?:(?:and|then|also)\s+)*|\s+(?:and\s+then|and\s+also|and|then)\s+)(?=[a-z\u0430-\u044f\u0451])"
)
_NOT_WANTED = re.compile(
    r"\b(don't|do not|without|no need to)\b[^.!?\n]{0,30}\b(tools?|functions?|calls?)\b", re.IGNORECASE
)
# What stands in a question for a word that tools are named after.
_SIGNS = {
    r"\d\s*\+\s*\d|\bplus\b": {"add", "adder", "addition", "sum", "calculator", "calculate", "math"},
    r"\d\s*[-\u2212]\s*\d|\bminus\b": {"subtract", "subtraction", "difference", "calculator", "calculate", "math"},
    r"\d\s*[*\u00d7x]\s*\d|\btimes\b": {"multiply", "multiplication", "product", "calculator", "calculate", "math"},
    r"\d\s*[/÷]\s*\d|\bdivided by\b": {"divide", "division", "calculator", "calculate", "math"},
}
_IN_NAME, _IN_DESCRIPTION, _LITERAL, _FITS = 2, 1, 10, 2


class Call(msgspec.Struct, frozen=True):
    """One call of a tool."""

    name: str
    arguments: dict[str, Any]


def choose_calls(
    question: str, tools: Sequence[Tool], *, must_call: bool = False, one_call: bool = False
) -> list[Call]:
    """The calls for a question; none where no tool fits and none is demanded.

    A tool fits when its name shares a word with the question, or its description two. A question in several parts may
    get several tools, and a tool is called once for each place or quoted string that its one required string may be.
    """
    if not tools or (_NOT_WANTED.search(question) and not must_call):
        return []
    chosen = _fitting(question, tools) or ([(tools[0], question)] if must_call else [])
    calls = [call for tool, clause in chosen for call in _calls_of(tool, clause, question)]
    return calls[:1] if one_call else calls


def written(calls: Iterable[Call]) -> str:
    """The calls as text, one block each."""
    return "\n".join(
        f"<tool_call>\n{json.dumps({'name': call.name, 'arguments': call.arguments}, ensure_ascii=False)}\n</tool_call>"
        for call in calls
    )


def _fitting(question: str, tools: Sequence[Tool]) -> list[tuple[Tool, str]]:
    """The tools that fit, each with the clause of the question that it fits best."""
    scores = {tool.name: _score(question, tool) for tool in tools}
    fitting = [tool for tool in tools if scores[tool.name] >= _FITS]
    if not fitting:
        return []
    best = max(fitting, key=lambda tool: scores[tool.name])
    clauses = [clause for clause in _CLAUSE.split(question) if clause and clause.strip()]
    by_clause: dict[str, tuple[Tool, str]] = {}
    for clause in clauses:
        winner = max(fitting, key=lambda tool: _score(clause, tool))
        if _score(clause, winner) >= _FITS:
            by_clause.setdefault(winner.name, (winner, clause))
    return list(by_clause.values()) if len(by_clause) > 1 else [(best, question)]


def _score(text: str, tool: Tool) -> int:
    words = words_of(text) - COMMON_WORDS
    for sign, meant in _SIGNS.items():
        if re.search(sign, text, re.IGNORECASE):
            words |= meant
    named = words & words_of(tool.name)
    described = (words & words_of(tool.description)) - named - COMMON_WORDS
    literal = _LITERAL if tool.name.lower() in text.lower() else 0
    return literal + _IN_NAME * len(named - COMMON_WORDS) + _IN_DESCRIPTION * len(described)


def _calls_of(tool: Tool, clause: str, question: str) -> list[Call]:
    evidence = Evidence(clause)
    has_values = bool(evidence.quoted or evidence.numbers or evidence.names)
    arguments = Filler(tool.parameters, evidence if has_values else Evidence(question), thorough=False).object()
    name = _one_free_string(tool)
    if name is None or not evidence.listed:
        return [Call(tool.name, arguments)]
    return [Call(tool.name, {**arguments, name: value}) for value in evidence.listed]


def _one_free_string(tool: Tool) -> str | None:
    """The one required string that may be anything; None where there is another number of them."""
    schema = resolved(tool.parameters, tool.parameters)
    required = [(name, resolved(part, schema)) for name, part, is_required in properties_of(schema) if is_required]
    free = [name for name, part in required if part.get("type") == "string" and "enum" not in part]
    return free[0] if len(free) == 1 else None
