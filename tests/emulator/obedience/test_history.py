"""What was said before the question."""

from __future__ import annotations

from bing_llm.emulator.obedience.history import said_before, waiting_results
from bing_llm.messages import convert

TOOLS = '\n\nTools:\n{"name": "add", "parameters": {}}'
RESULT = '<tool_result name="add">7</tool_result>'


def test_the_user_s_messages_are_found() -> None:
    """Of a history only the user's messages count, without instructions; earlier turns follow it."""
    context = convert(
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": f"Add 3.{TOOLS}"},
            {"role": "assistant", "content": "My name is Bing."},
            {"role": "user", "content": RESULT},
        ]
    )
    assert said_before(context, ["Now", f"Add 4.{TOOLS}"]) == ["Add 3.", "Now", "Add 4."]


def test_a_text_without_roles_is_one_message() -> None:
    """Any other context is taken whole; an empty one is nothing."""
    assert said_before("My name is Ada.", []) == ["My name is Ada."]
    assert said_before("", []) == []


def test_results_wait_at_the_end_of_the_context() -> None:
    """Only results in the last message of the context wait for an answer."""
    context = convert([{"role": "user", "content": "Add 3."}, {"role": "tool", "content": RESULT}])
    assert [result.text for result in waiting_results(context)] == ["7"]
    assert waiting_results(context + convert([{"role": "assistant", "content": "It is 7."}])) == ()
    assert waiting_results("") == ()
