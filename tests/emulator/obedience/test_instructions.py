"""Taking a prompt apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.instructions import Instructions, Tool, has_listing, has_rules, read_instructions

ADD: dict[str, Any] = {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}
LINE = json.dumps(ADD)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
RESULT = '<tool_result name="add">7</tool_result>'


def test_a_plain_prompt_is_its_question() -> None:
    """Without instructions everything is the question, braces and the word tool included."""
    assert read_instructions("Which tool cuts {wood}?\n\nTell me.") == Instructions(
        "Which tool cuts {wood}?\n\nTell me."
    )


@pytest.mark.parametrize(
    "prompt",
    [
        f"Add 3.\n\nYou can call these tools:\n{LINE}",
        f"Add 3.\n\nRules for tools:\n1. One.\n2. Two.\n\n{CALL}\n\n{LINE}\n\nRemember: only <tool_call> blocks.",
        f"You can call these functions:\n\n{LINE}\n\nAdd 3.",
        f"Add 3.\nTools:\n[{LINE}]",
        f"[system](#message)\nBe kind.\n\n[user](#message)\nAdd 3.\n\nTools: {LINE}",
    ],
    ids=["behind", "rules and example", "in front", "same paragraph", "headers"],
)
def test_the_question_is_what_is_not_instruction(prompt: str) -> None:
    """Wherever the instructions stand, the question is what remains, and the tools are found."""
    found = read_instructions(prompt)
    assert found.question == "Add 3."
    assert found.tools == (Tool("add", "Add.", ADD["parameters"]),)


def test_a_question_may_speak_of_tools() -> None:
    """A question right before the instructions that itself says "tool" is still the question."""
    assert read_instructions(f"Use the tool to add 3.\n\nTools:\n{LINE}").question == "Use the tool to add 3."


def test_strictly_instructions_are_no_question() -> None:
    """Where results wait, a prompt of instructions alone has no question."""
    prompt = f"You may call tools.\n\n{LINE}"
    assert read_instructions(prompt).question
    assert read_instructions(prompt, strictly=True).question == ""


def test_tools_may_be_nested_as_openai_writes_them() -> None:
    """A tool under `function` counts; objects without a name and parameters do not."""
    nested = json.dumps({"type": "function", "function": ADD})
    prompt = f'Hi\n\nTools: {nested} {{"name": "x"}} {{"name": 1, "parameters": {{}}}}'
    assert [tool.name for tool in read_instructions(prompt).tools] == ["add"]
    assert read_instructions('Hi\n\nTools: {"name": "x", "parameters": {}}').tools == (Tool("x", "", {}),)


@pytest.mark.parametrize(
    ("rule", "must_call"),
    [
        ("You must call a tool.", True),
        ("You are required to use one of the tools.", True),
        ("Call at least one tool.", True),
        ("Reply with only tool calls.", True),
        ("If you call a tool, reply with only the block.", False),
        ("You must not call a tool.", False),
        ("You can call a tool.", False),
        ("To call a tool, always use the block.", False),
    ],
)
def test_a_call_may_be_demanded(rule: str, *, must_call: bool) -> None:
    """A rule without a condition or a negation that wants a call is a demand."""
    assert read_instructions(f"Hi\n\n{rule}\n\n{LINE}").must_call is must_call
    assert not read_instructions(f"Hi\n\n{rule}").must_call


@pytest.mark.parametrize(
    ("rule", "one_call"),
    [("Make exactly one tool call.", True), ("At most one call.", True), ("Write one block for each call.", False)],
)
def test_calls_may_be_limited_to_one(rule: str, *, one_call: bool) -> None:
    """A rule may allow one call only."""
    assert read_instructions(f"Hi\n\n{rule}\n\n{LINE}").one_call is one_call


def test_results_without_a_question_after_them_wait() -> None:
    """Results count when only instructions follow; what was asked before them is the question."""
    found = read_instructions(f"Add 3.\n\n{CALL}\n\n{RESULT}\n\nTools:\n{LINE}")
    assert [result.text for result in found.results] == ["7"]
    assert found.question == "Add 3."


def test_a_question_after_results_puts_them_away() -> None:
    """What the user says after results is the question, and the results are past."""
    found = read_instructions(f"{RESULT}\n\nNow add 4.\n\nTools:\n{LINE}")
    assert (found.question, found.results) == ("Now add 4.", ())


@pytest.mark.parametrize(
    "prompt",
    [
        f"Describe Paris.\n\nReply with JSON that follows this schema:\n{json.dumps(SCHEMA)}",
        f"Describe Paris.\n\nHere's a JSON schema to follow:\n{json.dumps(SCHEMA, indent=2)}\n\nOutput valid JSON.",
    ],
)
def test_a_schema_is_found(prompt: str) -> None:
    """A schema beside the words JSON or schema is what the answer must follow; the question goes without it."""
    found = read_instructions(prompt)
    assert (found.question, found.schema) == ("Describe Paris.", SCHEMA)


def test_braces_may_be_doubled() -> None:
    """As they are in a template; not where the JSON can be read as it stands."""
    doubled = json.dumps(SCHEMA).replace("{", "{{").replace("}", "}}")
    assert read_instructions(f"Describe Paris.\n\nFollow this JSON schema:\n{doubled}").schema == SCHEMA
    both = read_instructions(f'Describe Paris.\n\nFollow this JSON schema:\n{json.dumps(SCHEMA)}\nNot: {{{{"')
    assert both.schema == SCHEMA


def test_a_schema_may_stand_beside_tools() -> None:
    """Tools and a schema may both be there, and are told apart."""
    found = read_instructions(f"Hi\n\nTools:\n{LINE}\n\nAt the end, reply with JSON as in:\n{json.dumps(SCHEMA)}")
    assert [tool.name for tool in found.tools] == ["add"]
    assert found.schema == SCHEMA


def test_an_object_without_the_word_is_no_schema() -> None:
    """Without a word about JSON or a schema, an object is part of what the user says."""
    assert read_instructions(f"What is {json.dumps(SCHEMA)}?").schema is None


def test_named_keys_are_a_schema() -> None:
    """Quoted names in a sentence about JSON and keys are required strings; without names there is no schema."""
    found = read_instructions("A joke. Return JSON with `setup` and 'punchline' keys.").schema
    assert found == {
        "type": "object",
        "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
        "required": ["setup", "punchline"],
    }
    assert read_instructions("What are the keys of this JSON?").schema is None
    assert read_instructions("What is JSON?").schema is None


SOME = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@pytest.mark.parametrize("rule", ["Respond only with a JSON object.", "Reply with exactly one JSON object as I said."])
@pytest.mark.parametrize("tools", ["", f"Tools:\n{LINE}\n\n"])
def test_json_without_a_schema_is_some_object(rule: str, tools: str) -> None:
    """A rule that wants JSON without a schema is met by any object, or one with the keys that are named."""
    found = read_instructions(f"Why?\n\n{tools}{rule}")
    assert (found.question, found.schema) == ("Why?", SOME)
    found = read_instructions(f"Why? As JSON with the key 'why'.\n\n{tools}{rule}")
    assert found.schema is not None
    assert found.schema["required"] == ["why"]


def test_a_rule_for_json_is_no_question_after_results() -> None:
    """Where only a rule for JSON follows results, they wait."""
    found = read_instructions(f"{RESULT}\n\nReply with one JSON object.")
    assert [result.text for result in found.results] == ["7"]


def test_a_complaint_is_no_question() -> None:
    """Words about the last answer are no question where instructions follow; elsewhere they are."""
    complaint = "Your last answer was no good: there was no call. Write only a call."
    assert read_instructions(f"{complaint}\n\nTools:\n{LINE}").question == ""
    assert read_instructions(complaint).question == complaint
    question = "Your answer was good. What is 3 + 4?"
    assert read_instructions(f"{question}\n\nTools:\n{LINE}").question == question


def test_rules_and_listings_are_told_apart() -> None:
    """Rules show a call or ask for JSON; listings hold a tool or a schema."""
    for text, rules, listing in (
        (CALL, True, False),
        ("Answer in JSON.", True, False),
        (LINE, False, True),
        (json.dumps(SCHEMA), False, True),
        ("How do I answer with JSON in a program?", False, False),
        (RESULT, False, False),
    ):
        assert (has_rules(text), has_listing(text)) == (rules, listing)


@given(
    st.lists(
        st.sampled_from(
            [
                LINE,
                CALL,
                RESULT,
                json.dumps(SCHEMA),
                "tool",
                "JSON keys `a`",
                "\n\n",
                "Hi",
                "[user](#message)\n",
                "{",
                "<tool_result x>",
            ]
        )
    )
)
def test_any_prompt_is_taken_apart(parts: list[str]) -> None:
    """No prompt makes it fail."""
    assert isinstance(read_instructions("".join(parts)), Instructions)
