"""Agents that reason in text: a thought, an action and its input."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.output_parser import ReActOutputParser
from llama_index.core.agent.react.types import ActionReasoningStep, BaseReasoningStep, ObservationReasoningStep
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool

from bing_llm.completion.prompt import build_prompt
from bing_llm.emulator.obedience.reasoning import Reasoning, answer_begins, next_step, read_reasoning
from bing_llm.emulator.obedience.tool_results import ToolResult
from bing_llm.messages import Message, convert


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Sunny in {city}"


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(get_weather)]
FORM = """You can use tools. Each of your messages has one of two forms.

THOUGHT: what you think
ACTION: which tool
ACTION INPUT: its arguments, as JSON

or

THOUGHT: what you think
ANSWER: what the user gets

### add
Adds two numbers.
Parameters: {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
"""
PROMPT = """Answer the question with these tools:

add(a: int, b: int) -> int - Add two numbers.
get_weather(city: str) -> str - Get the weather of a city.

Write so:

Question: what you must answer
Thought: what you think about it
Action: one of [add, get_weather]
Action Input: what goes into it
Observation: what came out of it
(as often as it takes)
Final Answer: what the user gets

Begin!

Question: {question}
Thought:"""


def state_of(messages: list[ChatMessage]) -> Reasoning:
    """What the brain reads from a history as it reaches the service."""
    sent = build_prompt([Message(message.role.value, message.content or "") for message in messages], limit=4_000)
    state = read_reasoning(sent.text, sent.context or "")
    assert state is not None
    return state


def run(question: str, role: MessageRole = MessageRole.USER, *, rules: str | None = None) -> tuple[list[str], str]:
    """What LlamaIndex's agent calls for a question, each call with its result, and the answer."""
    form = ReActChatFormatter.from_defaults(observation_role=role, context=rules)
    steps: list[BaseReasoningStep] = []
    made: list[str] = []
    while True:
        state = state_of(form.format(TOOLS, [ChatMessage(question)], steps))
        step = ReActOutputParser().parse(next_step(state) or answer_begins(state) + "Hello.")
        if not isinstance(step, ActionReasoningStep):
            return made, step.response  # type: ignore[attr-defined]
        made.append(f"{step.action} {json.dumps(step.action_input)}")
        steps += [step, ObservationReasoningStep(observation=f"Result {len(made)}")]


@pytest.mark.parametrize("role", [MessageRole.USER, MessageRole.TOOL])
@pytest.mark.parametrize("rules", [None, "You are kind. Answer: never with a lie."])
def test_llama_index_s_agent_acts_and_answers(role: MessageRole, rules: str | None) -> None:
    """One call after the other, then an answer with what was observed; none where no tool fits."""
    made, answer = run("What is 2 + 3?", role, rules=rules)
    assert made == ['add {"a": 2, "b": 3}']
    assert answer == "According to add: Result 1"
    made, answer = run("What is 2 + 3? And what is the weather in Paris and London?", role, rules=rules)
    assert made == ['add {"a": 2, "b": 3}', 'get_weather {"city": "Paris"}', 'get_weather {"city": "London"}']
    assert [f"Result {number}" in answer for number in (1, 2, 3)] == [True] * 3
    assert run("Who are you?", role, rules=rules) == ([], "Hello.")


def test_a_message_about_the_form_is_no_question() -> None:
    """Where the agent is told to keep the form, the question before it stands."""
    complaint = (
        "Your answer was empty.\n\nThought: ...\nAction: ...\nAction Input: ...\n\nor\n\nThought: ...\nAnswer: ..."
    )
    context = convert([Message("system", FORM), Message("user", "What is 2 + 3?"), Message("assistant", "")])
    state = read_reasoning(complaint, context)
    assert state is not None
    assert (state.question, state.results) == ("What is 2 + 3?", ())


def test_what_was_observed_before_the_question_is_past() -> None:
    """A new question has calls of its own, and its answer only what was observed since."""
    earlier = [
        Message("system", FORM),
        Message("user", "What is 2 + 3?"),
        Message("assistant", "Thought: I add.\nAction: add\nAction Input: {'a': 2, 'b': 3}"),
        Message("user", "Observation: 5"),
        Message("assistant", "Thought: I know.\nAnswer: 5"),
    ]
    state = read_reasoning("What is 4 + 4?", convert(earlier))
    assert state is not None
    assert state.results == ()
    assert (next_step(state) or "").endswith('Action: add\nAction Input: {"a": 4, "b": 4}')
    state = read_reasoning("Observation: 5", convert(earlier[:3]))
    assert state is not None
    assert state.results == (ToolResult("add", "5"),)


def test_results_of_tools_are_observed_whole() -> None:
    """An observation in a message of its own may look like a step; that of a role of its own stands in its block."""
    context = convert([Message("system", FORM), Message("user", "What is 2 + 3?")])
    for text in ("Observation: 5\nAnswer: 6", '<tool_result name="x">Observation: 5\nAnswer: 6</tool_result>'):
        state = read_reasoning(text, context)
        assert state is not None
        assert [result.text for result in state.results] == ["5\nAnswer: 6"]


def test_a_prompt_may_hold_the_form_the_question_and_the_steps() -> None:
    """So LangChain asks: the input of a tool with one parameter is its value, and the answer is the final one."""
    asked = PROMPT.format(question="What is the weather in Paris?")
    state = read_reasoning(asked, "")
    assert state is not None
    step = next_step(state) or ""
    assert step.endswith("Action: get_weather\nAction Input: Paris")
    state = read_reasoning(f"{asked}{step}\nObservation: Sunny\nQuestion: none\nThought: ", "")
    assert state is not None
    assert (
        next_step(state) == "Thought: I can answer now.\nFinal Answer: According to get_weather: Sunny\nQuestion: none"
    )
    state = read_reasoning(PROMPT.format(question="What is 2 + 3?"), "")
    assert state is not None
    assert (next_step(state) or "").endswith('Action: add\nAction Input: {"a": 2, "b": 3}')


def test_a_prompt_needs_no_marks() -> None:
    """Without a word that it begins the last question counts; without a question there is none."""
    unmarked = PROMPT.replace("Begin!", "")
    state = read_reasoning(unmarked.format(question="What is 2 + 3?"), "")
    assert state is not None
    assert state.question == "What is 2 + 3?"
    state = read_reasoning(unmarked.replace("Question: ", "- "), "")
    assert state is not None
    assert (state.question, next_step(state)) == ("", None)


def test_the_form_is_told_in_any_words() -> None:
    """Only its labels are known."""
    state = read_reasoning("What is 2 + 3?", convert([Message("system", FORM)]))
    assert state is not None
    assert next_step(state) == 'Thought: The tool add can help.\nAction: add\nAction Input: {"a": 2, "b": 3}'


@pytest.mark.parametrize("text", ["What is 2 + 3?", "What do Thought:, Action: and Action Input: mean?", "Action: go!"])
def test_other_prompts_want_no_steps(text: str) -> None:
    """A question is one, also where it speaks of the form, or where an assistant used it."""
    assert read_reasoning(text, "") is None
    assert read_reasoning(text, convert([Message("assistant", FORM), Message("system", "Be kind.")])) is None


@given(st.lists(st.sampled_from([FORM, PROMPT, "Observation: ", "Thought: ", "Action: x", "\n", "Question: ", "Hi"])))
def test_any_prompt_is_taken(parts: list[str]) -> None:
    """No prompt and no context makes it fail."""
    for text, context in (("".join(parts), ""), ("Observation: 1", convert([Message("system", "".join(parts))]))):
        state = read_reasoning(text, context)
        assert state is None or next_step(state) != ""
