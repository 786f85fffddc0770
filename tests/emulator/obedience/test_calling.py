"""Choosing tools and writing calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.emulator.obedience.calling import Call, choose_calls, written
from bing_llm.emulator.obedience.instructions import Tool


def tool(name: str, description: str = "", required: tuple[str, ...] = (), **properties: Any) -> Tool:
    """A tool with these parameters."""
    return Tool(name, description, {"type": "object", "properties": properties, "required": list(required)})


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
WEATHER = tool(
    "get_weather", "Get the current weather for a city.", ("city",), city=STRING, unit={"enum": ["celsius", "kelvin"]}
)
ADD = tool("add", "Add two integers.", ("a", "b"), a=INTEGER, b=INTEGER)
MAGIC = tool("magic_function", "Apply a magic function to an input.", ("input",), input=INTEGER)
NOTHING = tool("magic_function_no_args", "Calculate a magic function.")
GREETING = tool(
    "greeting_generator", "Generate a greeting in a style of speaking.", ("answer_style",), answer_style=STRING
)
FLIGHT = tool("find_flight", "Find a flight.", ("origin", "destination"), origin=STRING, destination=STRING)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the weather in Paris?", [Call("get_weather", {"city": "Paris"})]),
        ("Weather in Paris in kelvin", [Call("get_weather", {"city": "Paris", "unit": "kelvin"})]),
        ("What is 3 + 4?", [Call("add", {"a": 3, "b": 4})]),
        ("What is 3 plus four?", [Call("add", {"a": 3, "b": 4})]),
        ("What is the value of magic_function(3)? Use the tool.", [Call("magic_function", {"input": 3})]),
        ("Using the tool, generate a Pirate greeting.", [Call("greeting_generator", {"answer_style": "Pirate"})]),
        ("Find a flight to Rome from Paris", [Call("find_flight", {"origin": "Rome", "destination": "Paris"})]),
        ("Why is the sky blue?", []),
        ("Hello!", []),
        ("", []),
    ],
)
def test_the_tool_that_fits_is_called(question: str, expected: list[Call]) -> None:
    """A word of the name, or two of the description, make a tool fit; its arguments come from the question."""
    assert choose_calls(question, [WEATHER, ADD, MAGIC, GREETING, FLIGHT]) == expected


def test_a_tool_without_parameters_is_called_without_arguments() -> None:
    """No parameters, no arguments."""
    assert choose_calls("What is magic_function_no_args()?", [NOTHING]) == [Call("magic_function_no_args", {})]


def test_each_of_several_places_is_a_call() -> None:
    """A list of names is a call each, with the other arguments the same, where one string is wanted."""
    assert choose_calls("Weather in Paris, London and Rome in celsius", [WEATHER]) == [
        Call("get_weather", {"city": city, "unit": "celsius"}) for city in ("Paris", "London", "Rome")
    ]
    assert len(choose_calls("A flight from Paris and London", [FLIGHT])) == 1


def test_each_part_of_a_question_has_its_tool() -> None:
    """A question in parts gets a call for each, with the values of that part."""
    assert choose_calls("Get the weather in Paris, and add 3 and 4", [WEATHER, ADD]) == [
        Call("get_weather", {"city": "Paris"}),
        Call("add", {"a": 3, "b": 4}),
    ]


def test_a_call_may_be_demanded() -> None:
    """Where a call is demanded and no tool fits, the first is called."""
    assert choose_calls("Hello!", [ADD, WEATHER], must_call=True) == [Call("add", {"a": 1, "b": 1})]
    assert choose_calls("Hello!", [], must_call=True) == []


def test_calls_may_be_limited_to_one() -> None:
    """Where one call is allowed, the first counts."""
    assert choose_calls("Weather in Paris and London", [WEATHER], one_call=True) == [
        Call("get_weather", {"city": "Paris"})
    ]


def test_a_user_may_decline_tools() -> None:
    """Who says not to use a tool gets none, unless one is demanded."""
    question = "Do not use any tool. What is the weather in Paris?"
    assert choose_calls(question, [WEATHER]) == []
    assert choose_calls(question, [WEATHER], must_call=True)


def test_calls_are_written_as_blocks() -> None:
    """Each call is a block with JSON that keeps every character readable."""
    text = written([Call("a", {"x": "Köln"}), Call("b", {})])
    first, second = text.split("\n</tool_call>\n<tool_call>\n")
    assert first == '<tool_call>\n{"name": "a", "arguments": {"x": "Köln"}}'
    assert json.loads(second.removesuffix("\n</tool_call>")) == {"name": "b", "arguments": {}}
