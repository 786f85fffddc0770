"""Agents that act by writing Python."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.agent.workflow import CodeActAgent
from llama_index.core.llms import MockLLM

from bing_llm.emulator.obedience.coding import Coding, next_code, read_coding
from bing_llm.messages import Message, convert


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def get_weather(city: str, unit: Literal["metric", "imperial"] = "metric") -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}, {unit}"


# LlamaIndex's agents look at all their attributes.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")

OWN_WORDS = """Solve tasks with Python. What I shall run stands between <run> and </run>; I tell you what it prints.
You may call:

- add(a, b): adds two numbers
- `get_weather(city: 'str', *, days: Optional[int] = None) -> 'str'`: the weather of a city

Do not use <b> for emphasis."""


def execute(code: str) -> str:
    """Run code."""
    return code


def prompt_of(*functions: Any) -> str:
    """What LlamaIndex's agent is told."""
    agent: Any = CodeActAgent(code_execute_fn=execute, tools=list(functions), llm=MockLLM())
    prompt: str = agent.code_act_system_prompt.format(tool_descriptions=agent._get_tool_descriptions(agent.tools))
    return prompt


def coding(prompt: str, *more: Message) -> Coding:
    """What the brain reads from a history."""
    found = read_coding(convert([Message("system", prompt), *more]))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("What is 2 + 3?", "print(add(2, 3))"),
        ("What is 2 * 3?", "print(2 * 3)"),
        ("What is the weather in Rome?", "print(get_weather('Rome'))"),
        ("Weather in Rome and Oslo?", "print(get_weather('Rome'))\nprint(get_weather('Oslo'))"),
        ("Weather in Rome, unit: imperial", "print(get_weather('Rome', unit='imperial'))"),
    ],
)
def test_llama_index_s_agent_gets_code(question: str, code: str) -> None:
    """A call of the function that fits, with positional arguments where they are required; else a plain sum."""
    state = coding(prompt_of(add, get_weather))
    assert next_code(question, state) == f"<execute>\n{code}\n</execute>"


def test_functions_of_an_example_are_not_called() -> None:
    """What stands between the tags of the prompt shows the form only."""
    assert coding(prompt_of()).functions == ()
    assert [function.tool.name for function in coding(prompt_of(add)).functions] == ["add"]


def test_what_no_function_can_do_is_not_coded() -> None:
    """There is no code for a greeting."""
    assert next_code("Hello!", coding(prompt_of(add, get_weather))) is None


def test_a_result_is_passed_on() -> None:
    """What follows code is its result, without the line that announces it."""
    state = coding(prompt_of(add), Message("user", "What is 2 + 3?"), Message("assistant", "<execute>\n1\n</execute>"))
    assert next_code("Result of executing the code given:\n\n5", state) == "The result is: 5"
    assert next_code("5", state) == "The result is: 5"
    assert next_code("Output:", state) == "The result is: Output:"


def test_a_question_after_an_answer_is_a_new_one() -> None:
    """Code that was run before it is past."""
    state = coding(prompt_of(add), Message("assistant", "<execute>1</execute>"), Message("assistant", "It is 1."))
    assert next_code("What is 2 + 3?", state) == "<execute>\nprint(add(2, 3))\n</execute>"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("What is 2 + 3?", "print(add(2, 3))"),
        ("What is the weather in Rome for 3 days?", "print(get_weather('Rome', days=3))"),
    ],
)
def test_the_form_is_told_in_any_words(question: str, code: str) -> None:
    """Other tags, and functions without types."""
    assert next_code(question, coding(OWN_WORDS)) == f"<run>\n{code}\n</run>"


@pytest.mark.parametrize("rules", ["Write Python.", "Put names between <b> and </b>.", "Code stands behind <run>.", ""])
def test_other_rules_want_no_code(rules: str) -> None:
    """Without tags there is none, nor where they are for something else."""
    assert read_coding(convert([Message("system", rules), Message("user", OWN_WORDS)])) is None


@given(st.lists(st.sampled_from(["Python ", "<a>", "</a>", "<b>", "\n", "def f(x):", "f(x)", ":", "assistant", "(#"])))
def test_any_rules_are_taken(parts: list[str]) -> None:
    """No rules make it fail."""
    state = read_coding(convert([Message("system", "".join(parts)), Message("assistant", "<a>")]))
    assert state is None or next_code("What is 2 + 3?", state) is not None
