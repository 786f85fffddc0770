"""Agents that reason in text (ReAct): a thought, an action and its input; then what was observed, or the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from bing_llm.emulator.obedience.calling import Call, choose_calls
from bing_llm.emulator.obedience.descriptions import described_tools
from bing_llm.emulator.obedience.instructions import Tool
from bing_llm.emulator.obedience.sections import sections_of, told
from bing_llm.emulator.obedience.tool_results import ToolResult, answer_from, results_in

__all__ = ["Reasoning", "answer_begins", "next_step", "read_reasoning"]

_FORM = tuple(re.compile(rf"\b{label}\W{{0,3}}:", re.IGNORECASE) for label in ("thought", "action", "action input"))
_FINAL = re.compile(r"\bfinal answer\W{0,3}:", re.IGNORECASE)
_BEGIN = re.compile(r"^[ \t]*begin\b", re.IGNORECASE | re.MULTILINE)
_QUESTION = re.compile(r"^[ \t]*(?:question|query|user|human|input)[ \t]*:[ \t]*(.+)", re.IGNORECASE | re.MULTILINE)
_OBSERVED = re.compile(r"^[ \t]*observation[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_STEP = re.compile(r"^[ \t]*(?:thought|action|(?:final )?answer)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_ACTION = re.compile(r"^[ \t]*action[ \t]*:[ \t]*[`'\"]?([\w.-]+)", re.IGNORECASE | re.MULTILINE)
_JSON = re.compile(r"\bJSON\b|\{\s*\"", re.IGNORECASE)


class Reasoning(msgspec.Struct, frozen=True):
    """Where the agent stands.

    Attributes:
        question: What the user asked.
        tools: The tools that it may use.
        results: What it observed since the question, one for each action.
        answer_label: What stands before the answer.
        as_json: Whether the input of an action is a JSON object even where it is one value: so where the form speaks of
            JSON, or shows some.
    """

    question: str
    tools: tuple[Tool, ...] = ()
    results: tuple[ToolResult, ...] = ()
    answer_label: str = "Answer"
    as_json: bool = True


class _Turn(msgspec.Struct, frozen=True):
    by_model: bool
    text: str


def read_reasoning(text: str, context: str) -> Reasoning | None:
    """Where the agent stands; None where nothing wants this form.

    The form and the tools are told by the system, or they stand in the prompt: then the question is behind them, and
    behind this what was thought and observed so far.

    Args:
        text: The prompt.
        context: The context, as `bing_llm.messages.convert` writes a history.
    """
    form = "\n\n".join(said for said in told(context) if _has_form(said))
    if form:
        said = [(part.role, part.text) for part in sections_of(context)[1] if part.role != "system"]
        question, since = _in_turns([_Turn(role == "assistant", words) for role, words in (*said, ("user", text))])
    elif _has_form(text) and _OBSERVED.search(text):
        form = text
        question, since = _in_prompt(text)
    else:
        return None
    names = [name for turn in since if turn.by_model for name in _ACTION.findall(turn.text)]
    observed = [observation for turn in since for observation in _observations(turn)]
    return Reasoning(
        question,
        described_tools(form),
        tuple(ToolResult(name, text) for name, text in zip_longest(names[: len(observed)], observed, fillvalue="")),
        "Final Answer" if _FINAL.search(form) else "Answer",
        _JSON.search(form) is not None,
    )


def next_step(state: Reasoning) -> str | None:
    """What the agent writes next: an action, or the answer from what it observed; None where no tool can help."""
    # The same question has the same calls each time: so many observations, so many calls are made.
    calls = choose_calls(state.question, state.tools)[len(state.results) :]
    if calls:
        call = calls[0]
        return f"Thought: The tool {call.name} can help.\nAction: {call.name}\nAction Input: {_input(call, state)}"
    return answer_begins(state) + answer_from(state.results) if state.results else None


def answer_begins(state: Reasoning) -> str:
    """What stands before the answer."""
    return f"Thought: I can answer now.\n{state.answer_label}: "


def _input(call: Call, state: Reasoning) -> str:
    values = list(call.arguments.values())
    if len(values) == 1 and not state.as_json:
        return str(values[0])
    return json.dumps(call.arguments, ensure_ascii=False)


def _has_form(text: str) -> bool:
    return all(label.search(text) for label in _FORM)


def _in_turns(turns: Sequence[_Turn]) -> tuple[str, Sequence[_Turn]]:
    """The last message of the user that is no observation and no word about the form, and what follows it."""
    for place in reversed(range(len(turns))):
        turn = turns[place]
        if not (turn.by_model or _is_observation(turn.text) or _has_form(turn.text)):
            return turn.text.strip(), turns[place + 1 :]
    return "", ()


def _in_prompt(text: str) -> tuple[str, Sequence[_Turn]]:
    begin = _BEGIN.search(text)
    asked = list(_QUESTION.finditer(text, begin.end() if begin else 0))
    if not asked:
        return "", ()
    question = asked[0] if begin else asked[-1]
    return question[1].strip(), (_Turn(by_model=True, text=text[question.end() :]),)


def _is_observation(text: str) -> bool:
    return _OBSERVED.match(text) is not None or any(results_in(text))


def _observations(turn: _Turn) -> Iterator[str]:
    """What was observed: the whole message of another, or what stands between the lines that the model wrote."""
    if turn.by_model:
        for part in _OBSERVED.split(turn.text)[1:]:
            yield _STEP.split(part, maxsplit=1)[0].strip()
    elif _is_observation(turn.text):
        for text in [result.text for result in results_in(turn.text)] or [turn.text]:
            yield _OBSERVED.sub("", text, count=1).strip()
