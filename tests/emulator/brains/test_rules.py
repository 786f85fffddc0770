"""The default brain: what it does by its rules, and that it says of everything else that there is no model."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import events as ev
from bing_llm.emulator import Cited, Obedient, PastTurn, Question
from bing_llm.emulator.brains.rules import _answer
from bing_llm.emulator.brains.schemas import NO_MODEL
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.fold import fold
from bing_llm.messages import convert

WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ADD = {
    "name": "add",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
SCORE = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
PIECES = ("Thought:", "Action:", "Action Input:", "Observation:", "Question:", "Context:", "-----", "{", "}", "\n\n")
RESULT = '<tool_result name="get_weather">Sunny, 21 degrees</tool_result>'
NOTES = "My mooring is number 12 at the north quay.\nMy permit is valid until May."


async def events(text: str, **question: Any) -> list[ev.Event]:
    """The events of one answer, without pauses."""
    found = [output async for output in Obedient(pace=0).answer(Question(text=text, **question))]
    assert not any(isinstance(output, BingError | Cited) for output in found)
    return [output for output in found if not isinstance(output, BingError | Cited)]


async def said(text: str, **question: Any) -> str:
    """The text of one answer."""
    return fold(await events(text, **question)).text


def offering(question: str, *tools: dict[str, Any], rule: str = "If no tool is needed, answer in text.") -> str:
    """A prompt that offers tools."""
    listed = "\n".join(json.dumps(tool) for tool in tools)
    return f"{question}\n\nTools:\n{listed}\n\nWrite <tool_call>\n...\n</tool_call> blocks. {rule}"


def wanting(question: str, schema: dict[str, Any]) -> str:
    """A prompt that wants JSON."""
    return f"{question}\n\nJSON schema of the reply:\n{json.dumps(schema)}\n\nReply with exactly one JSON object."


def calls(text: str) -> list[Any]:
    """The calls in an answer that is nothing else."""
    blocks = re.findall(r"```json\n(.*)\n```", text)
    assert text == "\n".join(f"```json\n{block}\n```" for block in blocks)
    return [json.loads(block) for block in blocks]


# --- the line ---------------------------------------------------------------------------------------------------------


def test_the_line_holds_nothing_that_a_parser_could_take_for_an_answer() -> None:
    """No verdict, number or separator, not even as a part of a word; and it is one line."""
    assert not re.search(r"yes|no|true|false|\d|[,:\n]", NO_MODEL, re.IGNORECASE)


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello",
        "Say ahoy",
        "What did the author paint?",
        "My name is Ada. What is my name?",
        "Write a story about a cat.",
        "Is the moon made of cheese? Answer YES or NO.",
        "Rate the answer '4' from 1 to 5.",
        "Choose one of: (1) boats (2) papers.",
        "Given a question, write an SQL query to run. Question: how many boats?\nSQLQuery:",
        "Search the web and answer with true or false: is it raining?",
        "Какая сегодня погода?",
        "",
        "{",
        "<tool_result",
    ],
)
async def test_what_needs_a_model_gets_the_line(prompt: str) -> None:
    """Alone, whatever the words of the prompt."""
    assert await said(prompt) == NO_MODEL


@given(
    st.text()
    | st.lists(st.sampled_from(["Thought:", "Action:", "Action Input:", RESULT, NOTES, "{", "\n\n"])).map("\n".join)
)
def test_any_prompt_has_an_answer(prompt: str) -> None:
    """Nothing that is asked makes it fail."""
    assert fold(list(_answer(Question(text=prompt, context=prompt)))).text


async def test_words_are_paced() -> None:
    """Before each word there is a pause of the pace; without a pace there is none."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    words = [word async for word in Obedient(pace=0.5, sleep=pause).answer(Question(text="Hello"))]
    assert words[:2] == [ev.TextDelta("This "), ev.TextDelta("is ")]
    assert pauses == [0.5] * len(NO_MODEL.split())
    with pytest.raises(ConfigurationError, match="pace"):
        Obedient(pace=-1)


async def test_suggestions_come_with_text_alone() -> None:
    """Not with calls or JSON, which a program reads."""
    assert any(isinstance(event, ev.Suggestions) for event in await events("Hello"))
    asked = offering("What is the weather in Paris?", WEATHER)
    assert not any(isinstance(event, ev.Suggestions) for event in await events(asked))


# --- search, sums, given text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "context"),
    [
        ("What is new in Python?", ""),
        ("Search the web for boats.", ""),
        ("Why do boats float? Cite your sources.", ""),
        ("Why do boats float?", convert([{"role": "system", "content": "Answer with citations."}])),
    ],
)
async def test_a_search_is_cited(prompt: str, context: str) -> None:
    """Each marker in the text is a page that the search found; the text has no word of the question."""
    reply = fold(await events(prompt, context=context))
    assert reply.text.count("[^1^]") == reply.text.count("[^2^]") == 1
    assert [found.url for found in reply.searches[0].results] == [
        "https://www.example.com/news",
        "https://www.example.org/overview",
    ]
    assert not re.search(r"Python|boats|float", reply.text)


async def test_a_search_may_be_forbidden() -> None:
    """Then there is none, and no citation."""
    reply = fold(await events("What is new in Python?", search=False))
    assert (reply.text, reply.searches) == (NO_MODEL, ())


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 2 + 3?", "5"),
        ("17 * 23", "391"),
        ("How much is 91 / 7?", "13"),
        ("What is 1 divided by 8?", "0.125"),
        ("Calculate (2 + 3) * -4.", "-20"),
        ("What is 1 / 0?", NO_MODEL),
        ("What is 2024?", NO_MODEL),
        ("What is 2 + 3 apples?", NO_MODEL),
    ],
)
async def test_a_sum_has_its_result(question: str, result: str) -> None:
    """If it is all that is asked."""
    assert await said(question) == result


@pytest.mark.parametrize(
    ("prompt", "context"),
    [
        (
            f"The context is below.\n-----\n{NOTES}\n-----\nQuery: What is my mooring?\nAnswer: ",
            "",
        ),
        (f"Use the context.\nQuestion: What is my mooring?\nContext: {NOTES}\nAnswer:", ""),
        (f"Answer from this context:\n{NOTES}\n\nQuestion: What is my mooring?", ""),
        ("What is my mooring?", convert([{"role": "system", "content": f"Here are the documents:\n\n{NOTES}"}])),
    ],
)
async def test_a_question_about_given_text_is_answered_by_its_sentence(prompt: str, context: str) -> None:
    """The sentence that has most words of the question is the answer, if it has at least half of them."""
    assert await said(prompt, context=context) == "The context says: “My mooring is number 12 at the north quay.”"
    other = "Who wrote the oldest almanac?"
    assert await said(prompt.replace("What is my mooring?", other), context=context) == NO_MODEL


async def test_an_answer_that_is_to_be_refined_stays() -> None:
    """A further text of a long context does not change it."""
    prompt = (
        f"The query is: What?\nWe have an existing answer: Twelve.\nContext:\n-----\n{NOTES}\n-----\nRefined Answer: "
    )
    assert await said(prompt) == "Twelve."


# --- tools ------------------------------------------------------------------------------------------------------------


async def test_tools_are_called_and_their_results_reported() -> None:
    """A call, then what it gave back; a failure is said to be one."""
    asked = offering("What is the weather in Paris?", ADD, WEATHER)
    assert calls(await said(asked)) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    history = (PastTurn(asked, "<tool_call>...</tool_call>"),)
    assert await said(offering(RESULT, ADD, WEATHER), history=history) == "get_weather gave back: Sunny, 21 degrees"
    failed = '<tool_result name="get_weather" status="error">no such city</tool_result>'
    assert await said(offering(failed, ADD, WEATHER), history=history) == "get_weather failed: no such city"


async def test_a_question_that_no_tool_fits_gets_the_line() -> None:
    """Unless another rule answers it."""
    assert await said(offering("Why is the sky blue?", ADD, WEATHER)) == NO_MODEL
    assert "[^1^]" in await said(offering("What is new in Python?", ADD))


async def test_a_call_that_must_come_has_only_what_is_stated() -> None:
    """Free text is the line, a number is left out; when all tools were called there is no further call."""
    rule = "In this reply you must call at least one tool."
    (made,) = calls(await said(offering("Hello!", WEATHER, rule=rule)))
    assert made["arguments"] == {"city": NO_MODEL}
    (made,) = calls(await said(offering("Hello!", ADD, rule=rule)))
    assert made["arguments"] == {}
    history = (PastTurn("Hello!", "<tool_call>...</tool_call>"),)
    assert await said(offering(RESULT, WEATHER, rule=rule), history=history) == NO_MODEL


async def test_one_call_may_be_all_that_is_wanted() -> None:
    """Then the next one follows the result of the first."""
    question, rule = "What is the weather in Paris and London?", "Write at most one call."
    (first,) = calls(await said(offering(question, WEATHER, rule=rule)))
    history = (PastTurn(question, "<tool_call>...</tool_call>"),)
    (second,) = calls(await said(offering(RESULT, WEATHER, rule=rule), history=history))
    assert [made["arguments"]["city"] for made in (first, second)] == ["Paris", "London"]


# --- schemas ----------------------------------------------------------------------------------------------------------


async def test_a_schema_gets_what_is_stated() -> None:
    """And the line where it wants more: no object, so that whoever parses it sees that there is none."""
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
    assert json.loads(await said(wanting("In Paris it is 21 degrees.", schema))) == {"degrees": 21}
    assert await said(wanting("In Paris it is warm.", schema)) == NO_MODEL


@pytest.mark.parametrize(
    "question", ["Rate it. The score is 4.", "Is it right, yes or no? The score is 4.", "Evaluate: the score is 4."]
)
async def test_a_verdict_is_never_stated(question: str) -> None:
    """Whatever stands in a prompt that asks for one, it is not the verdict."""
    assert await said(wanting(question, SCORE)) == NO_MODEL


# --- steps ------------------------------------------------------------------------------------------------------------

FORM = f"""You have tools:
> Tool Name: add
Tool Description: Adds.
Tool Args: {json.dumps(ADD["parameters"])}

Use this form:
Thought: think
Action: a tool
Action Input: JSON
or
Thought: I can answer.
Answer: the answer"""

IN_PROMPT = """Answer by these tools: get_weather: the weather of a city.
Question: the question
Thought: think
Action: the action, one of [get_weather]
Action Input: its input
Observation: its result
Thought: I know
Final Answer: the answer

Begin!

Question: {question}
Thought:{since}"""


async def test_an_agent_that_reasons_in_text_acts_and_answers() -> None:
    """The agent makes one step a turn, in the format of the system message; an error is not an observation."""
    system = {"role": "system", "content": FORM}
    step = await said("What is 2 + 3?", context=convert([system]))
    assert step.endswith('\nAction: add\nAction Input: {"a": 2, "b": 3}')
    before = [system, {"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": step}]
    answer = "Thought: I can answer without another tool.\nAnswer: add gave back: 5"
    assert await said("Observation: 5", context=convert(before)) == answer
    assert (await said("Why?", context=convert([system]))).endswith(f"Answer: {NO_MODEL}")


async def test_the_form_of_the_steps_may_stand_in_the_prompt() -> None:
    """Then the question and the steps so far follow it, and an input is plain text."""
    question = "What is the weather in Paris?"
    step = await said(IN_PROMPT.format(question=question, since=""))
    assert step.endswith("\nAction: get_weather\nAction Input: Paris")
    since = f" {step}\nObservation: Sunny\nQuestion: none\nThought:"
    answer = await said(IN_PROMPT.format(question=question, since=since))
    assert answer.endswith("Final Answer: get_weather gave back: Sunny\nQuestion: none")
