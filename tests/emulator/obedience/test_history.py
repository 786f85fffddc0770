"""What was said before the question."""

from __future__ import annotations

import json

from bing_llm.emulator.brains.base import PastTurn
from bing_llm.emulator.obedience.history import (
    put_back,
    results_before,
    said_before,
    told_schema,
    waiting_results,
    whole_context,
)
from bing_llm.messages import convert

TOOLS = '\n\nTools:\n{"name": "add", "parameters": {}}'
RESULT = '<tool_result name="add">7</tool_result>'


def test_the_user_s_messages_are_found() -> None:
    """Of a history only the user's messages count, without instructions."""
    context = convert(
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": f"Add 3.{TOOLS}"},
            {"role": "assistant", "content": "My name is Bing."},
            {"role": "user", "content": RESULT},
            {"role": "user", "content": "Now"},
        ]
    )
    assert said_before(context) == ["Add 3.", "Now"]


def test_a_text_without_roles_is_one_message() -> None:
    """Any other context is taken whole; an empty one is nothing."""
    assert said_before("My name is Ada.") == ["My name is Ada."]
    assert said_before("") == []


def test_results_wait_at_the_end_of_the_context() -> None:
    """Only results in the last message of the context wait for an answer."""
    context = convert([{"role": "user", "content": "Add 3."}, {"role": "tool", "content": RESULT}])
    assert [result.text for result in waiting_results(context)] == ["7"]
    assert waiting_results(context + convert([{"role": "assistant", "content": "It is 7."}])) == ()
    assert waiting_results("") == ()
    assert [result.text for result in waiting_results(f"No roles: {RESULT}")] == ["7"]


def test_results_in_a_row_wait_together() -> None:
    """Several messages of tools at the end count, up to the first that holds no result or is a user's."""
    context = convert(
        [
            {"role": "user", "content": RESULT.replace("7", "5")},
            {"role": "tool", "content": RESULT.replace("7", "6")},
            {"role": "tool", "content": RESULT},
        ]
    )
    assert [result.text for result in waiting_results(context)] == ["6", "7"]


def test_results_since_the_last_question_are_known() -> None:
    """Results count until the user asks something."""
    context = convert(
        [
            {"role": "tool", "content": RESULT.replace("7", "5")},
            {"role": "user", "content": "Add 3."},
            {"role": "tool", "content": RESULT.replace("7", "6")},
        ]
    )
    said = convert([{"role": "user", "content": RESULT}])
    asked = convert([{"role": "user", "content": "Add 4."}])
    assert [result.text for result in results_before(context + said)] == ["6", "7"]
    assert [result.text for result in results_before(context + asked + said)] == ["7"]
    assert results_before(context + said + asked) == []
    assert results_before("") == []


def test_a_conversation_is_told_again_as_a_new_one_would_be() -> None:
    """Each turn is its context, what the user said and what was answered; the context of this turn comes last."""
    turns = (PastTurn("Hello", "Hi.", convert([{"role": "system", "content": "Be kind."}])), PastTurn("Add 3.", "3"))
    told = [("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi."), ("user", "Add 3."), ("assistant", "3")]
    assert whole_context(turns, EARLIER) == convert({"role": r, "content": c} for r, c in told) + EARLIER


RULES = "Write calls so:\n<tool_call>\n{}\n</tool_call>"
EARLIER = convert([{"role": "user", "content": "Hello"}])
LISTED = convert([{"role": "system", "content": TOOLS}])


def test_tools_at_the_end_of_the_context_are_put_back() -> None:
    """A prompt with rules but no tools has them in the last section; another prompt, or another section, is left."""
    assert put_back(f"Add 3.\n\n{RULES}", EARLIER + LISTED) == (f"Add 3.\n\n{TOOLS.strip()}\n\n{RULES}", EARLIER)
    assert put_back(RULES, LISTED) == (f"{RULES}\n\n{TOOLS.strip()}", "")
    for prompt, context in (
        ("Add 3.", LISTED),
        (f"Add 3.{TOOLS}\n\n{RULES}", LISTED),
        (f"Add 3.\n\n{RULES}", LISTED + EARLIER),
        (f"Add 3.\n\n{RULES}", ""),
    ):
        assert put_back(prompt, context) == (prompt, context)


def test_tools_of_an_earlier_turn_are_put_back() -> None:
    """Rules alone mean the tools that the conversation was told of last, in a prompt or at the end of its context."""
    expected = f"Add 3.\n\n{TOOLS.strip()}\n\n{RULES}"
    hello = PastTurn("Hello", "Hi.")
    for told in (PastTurn(f"Add 1.{TOOLS}\n\n{RULES}", "1"), PastTurn("Add 1.", "1", LISTED)):
        assert put_back(f"Add 3.\n\n{RULES}", "", (told, hello)) == (expected, "")
        assert put_back("Add 3.", "", (told, hello)) == ("Add 3.", "")
    assert put_back(f"Add 3.\n\n{RULES}", "", (hello,)) == (f"Add 3.\n\n{RULES}", "")


def test_a_message_at_the_end_of_the_context_is_put_back() -> None:
    """A prompt that points there gets the last message, or the results that wait, and the tools before it."""
    asked = convert([{"role": "user", "content": "Add 3."}])
    results = convert([{"role": "tool", "content": RESULT}] * 2)
    pointer = "Please reply to the last message in the conversation."
    assert put_back(pointer, f"Text.\n\n{EARLIER}{asked}") == ("Add 3.", f"Text.\n\n{EARLIER}")
    assert put_back(f"{pointer}\n\n{RULES}", LISTED + asked) == (f"Add 3.\n\n{TOOLS.strip()}\n\n{RULES}", "")
    assert put_back("Continue with what is at the end of the context.", asked + results) == (
        f"{RESULT}\n\n{RESULT}",
        asked,
    )
    assert put_back(pointer, "Text.") == (pointer, "Text.")
    assert put_back("What is at the end of the context?", asked) == ("What is at the end of the context?", asked)


def test_the_system_may_want_a_schema() -> None:
    """The newest that it told counts; objects that it does not speak of do not, nor those of tools."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    wanted = f"Be kind.\n\nHere's a JSON schema to follow:\n{json.dumps(schema)}\n"
    system = [{"role": "system", "content": text} for text in ("JSON like {}", wanted, TOOLS)]
    assert told_schema(convert(system)) == schema
    assert told_schema(convert([{"role": "user", "content": wanted}, system[0], system[2]])) is None
    assert told_schema("") is None
