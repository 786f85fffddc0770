"""Calls of tools, out of a question."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.emulator.brains.calls import Call, calls_for, forced_call, words_of
from bing_llm.emulator.brains.prompt import Tool, ToolResult
from bing_llm.emulator.brains.schemas import NO_MODEL, Stated


def tool(name: str, optional: dict[str, Any] | None = None, **required: Any) -> Tool:
    """A tool."""
    properties = {**required, **(optional or {})}
    return Tool(name, {"type": "object", "properties": properties, "required": list(required)})


INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
ADD = tool("add", a=INTEGER, b=INTEGER)
WEATHER = tool("get_weather", {"unit": UNIT}, city=TEXT)
SEARCH = tool("search_notes", query=TEXT)
CLOCK = tool("local_clock")
HANDOFF = tool("handoff", to_agent=TEXT, reason=TEXT)
MEAN = tool("mean", numbers={"type": "array", "items": {"type": "number"}})
TOOLS = (ADD, WEATHER, SEARCH, CLOCK, HANDOFF, MEAN)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is 2 + 3?", [Call("add", {"a": 2, "b": 3})]),
        ("Add 17 and -4.", [Call("add", {"a": 17, "b": -4})]),
        ("What is 2 + 3? Use the tool add.", [Call("add", {"a": 2, "b": 3})]),
        ("What is the value of add(3, 4)?", [Call("add", {"a": 3, "b": 4})]),
        ("Add 1, 2 and 3.", []),
        ("Add them up.", []),
        ("What is the weather in Paris?", [Call("get_weather", {"city": "Paris"})]),
        ("What is the weather in San Francisco, CA?", [Call("get_weather", {"city": "San Francisco, CA"})]),
        ("The weather in 'new york', in celsius", [Call("get_weather", {"unit": "celsius", "city": "new york"})]),
        ("What is the weather?", []),
        (
            "What is the weather in Paris and London?",
            [Call("get_weather", {"city": "Paris"}), Call("get_weather", {"city": "London"})],
        ),
        (
            "What is 2 + 3? And what is the weather in Paris?",
            [Call("add", {"a": 2, "b": 3}), Call("get_weather", {"city": "Paris"})],
        ),
        ("Do not use any tool. What is the weather in Paris?", []),
        ("Search my notes for boats.", [Call("search_notes", {"query": "Search my notes for boats."})]),
        ("What does the local clock say?", [Call("local_clock", {})]),
        ("Use handoff to 'clerk'.", [Call("handoff", {"to_agent": "clerk", "reason": NO_MODEL})]),
        ("The mean of 1, 2 and 3.5", [Call("mean", {"numbers": [1, 2, 3.5]})]),
        ("Why is the sky blue?", []),
        ("", []),
    ],
)
def test_a_question_asks_for_calls(question: str, expected: list[Call]) -> None:
    """By the name of a tool, its words or its sign, with one candidate for each argument."""
    assert calls_for(question, TOOLS) == expected


def test_what_was_called_is_not_called_again() -> None:
    """Each result is that of one call, in order; one without a name is of any."""
    question = "What is the weather in Paris and London?"
    london = [Call("get_weather", {"city": "London"})]
    assert calls_for(question, TOOLS, [ToolResult("get_weather", "Sunny")]) == london
    assert calls_for(question, TOOLS, [ToolResult("", "Sunny")]) == london
    assert len(calls_for(question, TOOLS, [ToolResult("handoff", "Go on.")])) == 2


def test_a_forced_call_is_of_the_first_tool_that_can_be_filled() -> None:
    """Else of the first one, with what is known of its arguments."""
    assert forced_call([ADD, WEATHER], Stated("Hello!")) == Call("get_weather", {"city": NO_MODEL})
    assert forced_call([ADD], Stated("Hello! My a is 1.")) == Call("add", {"a": 1})


def test_a_call_is_written_as_a_block() -> None:
    """A call is JSON in a code fence, as most models write one."""
    first, line, last = str(Call("погода", {"город": "Москва"})).splitlines()
    assert (first, last) == ("```json", "```")
    assert json.loads(line) == {"name": "погода", "arguments": {"город": "Москва"}}
    assert "Москва" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("get_weather", {"get", "weather"}),
        ("WeatherReports", {"weather", "report"}),
        ("The boats' pass", {"the", "boat", "pass"}),
    ],
)
def test_words_of_names_and_texts(text: str, words: set[str]) -> None:
    """In lower case, without a plural's s."""
    assert words_of(text) == words
