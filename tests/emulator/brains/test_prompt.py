"""What a prompt asks, read by its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator import PastTurn, Question
from bing_llm.emulator.brains.prompt import (
    Message,
    Request,
    Tool,
    ToolResult,
    conversation,
    find_objects,
    read_request,
    results_in,
)
from bing_llm.messages import convert

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = json.dumps({"name": "add", "description": "Adds.", "parameters": PARAMETERS})
RULES = 'Write a block:\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\nor text.'
JSON_RULES = "Reply with exactly one JSON object that fits the JSON schema of the reply."
RESULT = '<tool_result name="add" status="ok">\n5\n</tool_result>'


def request(text: str, *before: tuple[str, str], history: tuple[PastTurn, ...] = ()) -> Request:
    """What a prompt asks after these messages of the context."""
    context = convert([{"role": role, "content": content} for role, content in before])
    return read_request(Question(text=text, context=context, history=history))


def test_a_conversation_is_read_from_turns_and_context() -> None:
    """The oldest message first; text before the first header is a message of its own."""
    turn = PastTurn("One?", "One.", "[system](#message)\nBe brief.\n\n")
    asked = Question(text="Three?", context="Notes.\n[user](#message)\nTwo?\n\n", history=(turn,))
    assert conversation(asked) == [
        Message("system", "Be brief."),
        Message("user", "One?"),
        Message("assistant", "One."),
        Message("context", "Notes.\n"),
        Message("user", "Two?"),
        Message("user", "Three?"),
    ]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("How are you?", "How are you?"),
        (f"What is 2?\n\nTools, one a line:\n{TOOL}\n\n{RULES}", "What is 2?"),
        (f"What is 2?\n\nSchema:\n{json.dumps(PARAMETERS)}\n\n{JSON_RULES}", "What is 2?"),
        (f"Here is a schema:\n{json.dumps(PARAMETERS)}\nDescribe Paris as JSON.", "Describe Paris as JSON."),
        (f"{RESULT}\n\n{RULES}", ""),
        ('A {"plain": "object"} stays.', 'A {"plain": "object"} stays.'),
    ],
)
def test_the_question_is_without_the_rules(text: str, question: str) -> None:
    """Tools, schemas, results and the paragraphs on how to answer are not part of it."""
    assert request(text).question == question


@pytest.mark.parametrize(
    "text",
    [
        "Your last reply cannot be used: it is empty. Reply again, with only a call of a tool.",
        "Go on from the tool results at the end of the context.",
        "Answer the last message of the context.",
    ],
)
def test_a_prompt_may_refer_to_what_was_said(text: str) -> None:
    """Then the question is the last one of the user, and the results are those after it."""
    found = request(text, ("user", "Zero?"), ("user", "What is 2 + 3?"), ("tool", RESULT))
    assert (found.question, found.results) == ("What is 2 + 3?", (ToolResult("add", "5"),))


@pytest.mark.parametrize("listed_in", ["system", "user"])
def test_tools_may_stand_before_the_prompt(listed_in: str) -> None:
    """Rules alone refer to the tools that were listed last; without rules there are none."""
    found = request(f"What is 2?\n\n{RULES} You must call a tool.", (listed_in, f"Tools:\n{TOOL}"))
    assert (found.tools, found.must_call, found.one_call) == ((Tool("add", PARAMETERS),), True, False)
    assert request("What is 2?", (listed_in, f"Tools:\n{TOOL}")).tools == ()


@pytest.mark.parametrize("line", ["Here is my code:", "Explain this TypeScript:"])
def test_code_that_is_asked_about_is_no_tool(line: str) -> None:
    """A signature is a tool where the text speaks of tools, or shows the form of a call."""
    code = f"{line}\n\nget_weather(city: string)"
    assert (request(code).tools, request(code).question) == ((), code)
    assert [tool.name for tool in request(f"The tools:\n\nget_weather(city: string)\n\n{line}").tools] == [
        "get_weather"
    ]


def test_tools_of_an_earlier_turn_stay() -> None:
    """The tools are sent once a conversation."""
    turn = PastTurn(f"One?\n\nTools:\n{TOOL}\n\n{RULES}", "One.")
    assert request(f"Two?\n\n{RULES}", history=(turn,)).tools == (Tool("add", PARAMETERS),)


@pytest.mark.parametrize(
    "text",
    [
        f"What is 2?\n\nSchema:\n{json.dumps(PARAMETERS)}\n\n{JSON_RULES}",
        f"What is 2?\n{json.dumps(PARAMETERS).replace('{', '{{').replace('}', '}}')}\nWrite JSON.",
    ],
)
def test_a_schema_is_found(text: str) -> None:
    """In the prompt, also with doubled braces, in the context, or in what the system said."""
    assert request(text).schema == PARAMETERS
    assert request(f"What is 2?\n\n{JSON_RULES}", ("user", text)).schema == PARAMETERS
    assert request("What is 2?", ("system", f"Answer with JSON:\n{json.dumps(PARAMETERS)}")).schema == PARAMETERS


def test_a_schema_may_be_in_words() -> None:
    """Keys that are named in a sentence about JSON are required strings."""
    found = request("Tell a joke. Return JSON with 'setup' and 'punchline' keys.").schema
    assert found == {
        "type": "object",
        "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
        "required": ["setup", "punchline"],
    }
    assert request("Return some JSON.").schema is None


def test_results_are_read_as_they_were_given() -> None:
    """Unescaped, unless they would then read as a block; with their state; also from a conversation in XML."""
    text = (
        '<tool_result name="a&amp;b" status="error">\n1 &lt; 2\n</tool_result>'
        '<tool_result name="x">\n&lt;tool_result>\n</tool_result>'
        "<tool><message>7</message></tool>"
    )
    assert list(results_in(text)) == [
        ToolResult("a&b", "1 < 2", failed=True),
        ToolResult("x", "&lt;tool_result>"),
        ToolResult("", "7"),
    ]


@given(st.lists(st.sampled_from(['{"a": ', "{", "}", '"', "1", '{"b": {}}', " "])).map("".join))
def test_objects_are_found_in_any_text(text: str) -> None:
    """Each one stands where it is said to stand, and none inside another."""
    last = 0
    for value, start, end in find_objects(text):
        assert start >= last
        assert json.loads(text[start:end]) == value
        last = end
