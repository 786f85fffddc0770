"""The default brain, one behaviour a test; how it does each is tested with the skill."""

# ruff: noqa: RUF001 - a question in Russian

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.emulator import Obedient, PastTurn, Question
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.fold import fold
from bing_llm.images import Image
from bing_llm.messages import convert

WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ADD = {
    "name": "add",
    "description": "Add two integers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
REPORT = {
    "name": "WeatherReport",
    "description": "The weather, for a machine.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
RESULT = '<tool_result id="1" name="get_weather" status="ok">Sunny, 21 C</tool_result>'


async def events(text: str, **question: Any) -> list[ev.Event]:
    """The events of one answer, without pauses."""
    found = [thought async for thought in Obedient(pace=0).answer(Question(text=text, **question))]
    assert not any(isinstance(thought, BingError) for thought in found)
    return [thought for thought in found if not isinstance(thought, BingError)]


async def said(text: str, **question: Any) -> str:
    """The text of one answer."""
    return fold(await events(text, **question)).text


def offering(question: str, *tools: dict[str, Any], rule: str = "If no tool helps, answer in plain text.") -> str:
    """A prompt that offers tools."""
    listed = "\n".join(json.dumps(tool) for tool in tools)
    return f"{question}\n\nYou may call tools. Write each call as a <tool_call> block.\n\nTools:\n{listed}\n\n{rule}"


def calls(text: str) -> list[Any]:
    """The calls in an answer that is nothing else."""
    assert text.startswith("<tool_call>\n")
    assert text.endswith("\n</tool_call>")
    return [json.loads(block.split("</tool_call>")[0]) for block in text.split("<tool_call>")[1:]]


async def test_words_are_paced() -> None:
    """Before each word there is a pause of the pace; without a pace there is none."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    words = [word async for word in Obedient(pace=0.5, sleep=pause).answer(Question(text="Say one two"))]
    assert words[:2] == [ev.TextDelta("one "), ev.TextDelta("two")]
    assert pauses == [0.5, 0.5]
    with pytest.raises(ConfigurationError, match="pace"):
        Obedient(pace=-1)


async def test_the_same_question_has_the_same_answer() -> None:
    """There is no chance and no clock in an answer."""
    for question in ("What is the latest news?", "Write a story about a fox.", "Hello"):
        assert await events(question) == await events(question)


async def test_current_things_are_searched() -> None:
    """A question about current things brings a search with three pages, a cited text and three suggestions."""
    found = await events("What is the weather in Paris today?")
    kinds = [type(event) for event in found if not isinstance(event, ev.TextDelta)]
    assert kinds == [ev.SearchStarted, ev.SearchResults, ev.Progress, ev.Suggestions]
    reply = fold(found)
    assert [search.query for search in reply.searches] == ["weather in Paris today"]
    assert len(reply.searches[0].results) == 3
    assert "[^1^]" in reply.text
    assert len(reply.suggestions) == 3


async def test_without_permission_there_is_no_search() -> None:
    """Where search is off, the question is answered without."""
    reply = fold(await events("What is the weather in Paris today?", search=False))
    assert reply.searches == ()
    assert reply.text


async def test_an_ordinary_answer_names_the_question_and_is_honest() -> None:
    """The answer says what was asked, and that no model wrote it."""
    reply = fold(await events("Why is the sky blue?"))
    assert "Why is the sky blue?" in reply.text
    assert "emulator" in reply.text
    assert len(reply.suggestions) == 3


@pytest.mark.parametrize(
    "question",
    ["Напиши короткий рассказ о космосе.", "Что такое Python?", "Напиши пример кода на Python", "Bonjour", "你好", "?"],
)
async def test_every_language_gets_an_answer(question: str) -> None:
    """Whatever the language, there is a text."""
    assert await said(question)


@pytest.mark.parametrize(
    ("question", "answer"),
    [("What is 3 + 4?", "3 + 4 = 7"), ("Say hello", "hello"), ("My name is Ada.", "Noted. Your name is Ada.")],
)
async def test_simple_things_are_done(question: str, answer: str) -> None:
    """Sums, repetitions and statements of fact have their own answers."""
    assert await said(question) == answer


async def test_facts_are_remembered() -> None:
    """What the user said in the conversation or in the context is known."""
    assert await said("What is my name?", history=(PastTurn("My name is Ada.", "ok"),)) == "Your name is Ada."
    context = "[user](#message)\nMy name is Bob.\n\n[assistant](#message)\nok\n\n"
    assert await said("What is my name?", context=context) == "Your name is Bob."


async def test_pictures_are_seen_and_asked_for() -> None:
    """A picture that came is named by its size or URL; one that is wanted is requested."""
    images = (Image(data=b"x" * 1234), Image(url="https://x.example/a.png"))
    assert (await said("What is this?", images=images)).endswith("(1,234 bytes, https://x.example/a.png).")
    found = await events("Draw a picture of Paris")
    assert ev.ImageRequested("Paris") in found


async def test_a_fitting_tool_is_called() -> None:
    """A tool that fits the question is called, and nothing else is said."""
    found = await events(offering("What is the weather in Paris?", WEATHER, ADD))
    assert calls(fold(found).text) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    assert all(isinstance(event, ev.TextDelta) for event in found)


async def test_several_calls_are_several_blocks() -> None:
    """A question about two cities and a sum has three calls."""
    text = await said(offering("What is the weather in Paris and London?", WEATHER, ADD))
    assert [call["arguments"] for call in calls(text)] == [{"city": "Paris"}, {"city": "London"}]
    text = await said(offering("Get the weather in Paris, and add 3 and 4", WEATHER, ADD))
    assert [call["name"] for call in calls(text)] == ["get_weather", "add"]


async def test_a_question_without_a_tool_is_answered() -> None:
    """Where no tool fits, there is an ordinary answer to the question alone."""
    text = await said(offering("Why is the sky blue?", WEATHER, ADD))
    assert "Why is the sky blue?" in text
    assert "tool" not in text


async def test_a_demanded_call_comes() -> None:
    """Where a call is demanded, one comes, whatever the question."""
    text = await said(offering("Hello!", ADD, rule="You must call at least one tool."))
    assert calls(text) == [{"name": "add", "arguments": {"a": 1, "b": 1}}]
    text = await said(offering("Weather in Paris and London", WEATHER, rule="You must make exactly one call."))
    assert len(calls(text)) == 1


async def test_a_result_is_used_and_not_asked_for_again() -> None:
    """After a tool's result the answer is text with the result in it."""
    assert await said(offering(RESULT, WEATHER, ADD)) == "According to get_weather: Sunny, 21 C"


async def test_a_result_may_pass_the_question_on() -> None:
    """Then a tool that gave nothing yet is called for it, if one fits; the same is not called again."""
    passed = RESULT.replace("Sunny, 21 C", "Another one takes over. Please continue with the request.")
    history = (PastTurn("What is 2 + 3?", ""),)
    assert calls(await said(offering(passed, WEATHER, ADD), history=history))[0]["arguments"] == {"a": 2, "b": 3}
    assert (await said(offering(passed, WEATHER), history=history)).startswith("According to get_weather: Another")


async def test_a_result_may_come_last_in_the_context() -> None:
    """With nothing but instructions in the prompt, results at the end of the context count."""
    context = f"[user](#message)\nWeather in Paris?\n\n[tool](#message)\n{RESULT}\n\n"
    assert await said(offering("", WEATHER), context=context) == "According to get_weather: Sunny, 21 C"


async def test_a_question_after_a_result_is_a_new_one() -> None:
    """What the user says after a result is answered, by a call where a tool fits."""
    text = await said(offering(f"{RESULT}\n\nAnd what is the weather in Rome?", WEATHER))
    assert calls(text) == [{"name": "get_weather", "arguments": {"city": "Rome"}}]


async def test_a_demanded_call_after_a_result_is_of_another_tool() -> None:
    """An agent that demands calls gets its last tool once the others have answered, filled from the question before."""
    context = "[user](#message)\nWhat is the weather in Paris?\n\n"
    prompt = offering(RESULT, WEATHER, REPORT, rule="You must call a tool.")
    assert calls(await said(prompt, context=context)) == [{"name": "WeatherReport", "arguments": {"city": "Paris"}}]


async def test_json_is_answered_with_json() -> None:
    """A JSON schema in the prompt is followed, with values from the question."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "population": {"type": "integer", "minimum": 5}},
    }
    prompt = f"Describe Paris.\n\nHere's a JSON schema to follow:\n{json.dumps(schema)}\n\nOutput a valid JSON object."
    assert json.loads(await said(prompt)) == {"name": "Paris", "population": 5}


async def test_json_with_named_keys() -> None:
    """Keys that are only named are there, and their names are no values."""
    prompt = "Tell me a joke about cats. Return the result as a JSON with `setup` and `punchline` keys."
    found = json.loads(await said(prompt))
    assert found.keys() == {"setup", "punchline"}
    assert not {"setup", "punchline"} & set(found.values())


async def test_a_result_fills_the_json() -> None:
    """After a result, a schema is filled from the question and the result."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}}
    prompt = f"{RESULT}\n\nReply with JSON that follows this schema:\n{json.dumps(schema)}"
    history = (PastTurn("What is the weather in Paris?", ""),)
    assert json.loads(await said(prompt, history=history)) == {"city": "Paris", "degrees": 21}


async def test_what_was_too_long_is_found_in_the_context() -> None:
    """Tools, or the question itself, may stand at the end of the context."""
    listed = f"[system](#message)\n{json.dumps(WEATHER)}\n\n"
    asked = "[user](#message)\nWhat is the weather in Paris?\n\n"
    rules = "You may call tools so:\n<tool_call>\n{}\n</tool_call>"
    expected = [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    assert calls(await said(f"What is the weather in Paris?\n\n{rules}", context=listed)) == expected
    assert calls(await said(f"Answer the last message in the context.\n\n{rules}", context=listed + asked)) == expected


async def test_a_complaint_brings_what_was_asked_before() -> None:
    """Who complains about the last answer gets the call, or the JSON, for the question before it."""
    asked = PastTurn("What is the weather in Paris?", "No idea.")
    prompt = offering("Your last answer had no call. Write only a call.", WEATHER, ADD)
    assert calls(await said(prompt, history=(asked,))) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    prompt = f"Your last answer was no JSON.\n\nReply with JSON like this:\n{json.dumps(WEATHER['parameters'])}"
    assert json.loads(await said(prompt, history=(asked, PastTurn(RESULT, "Fine.")))) == {"city": "Paris"}


async def test_a_demanded_call_comes_after_all_tools_have_answered() -> None:
    """Where every tool gave something and a call is demanded, one that failed is called again, else any."""
    rule = "You must call a tool."
    failed = RESULT.replace('"ok"', '"error"').replace("get_weather", "WeatherReport")
    history = (PastTurn("What is the weather in Paris?", ""), PastTurn(RESULT, ""))
    (call,) = calls(await said(offering(failed, WEATHER, REPORT, rule=rule), history=history))
    assert call["name"] == "WeatherReport"
    (call,) = calls(await said(offering(RESULT, WEATHER, rule=rule), history=history))
    assert call["name"] == "get_weather"


STEPS = """Write Thought: and Action: and Action Input:, and after an observation Thought: and Answer:.

add: Adds two integers. Arguments: {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}"""


async def test_reasoning_is_written_as_the_system_wants() -> None:
    """A step, an answer from what was observed, or the answer to what no tool can do, in the form that is told."""
    context = convert([{"role": "system", "content": STEPS}])
    assert (await said("Add 2.", context=context)).endswith('Action: add\nAction Input: {"a": 2}')
    asked = context + convert([{"role": "user", "content": "Add 2."}])
    assert (await said("Observation: 3", context=asked)).endswith("\nAnswer: According to the tool: 3")
    reply = fold(await events("What is 6 / 4?", context=context))
    assert reply.text == "Thought: I can answer now.\nAnswer: 6 / 4 = 1.5"
    assert len(reply.suggestions) == 3


async def test_code_is_written_as_the_system_wants() -> None:
    """Between its tags, and then the result is passed on; what needs no code is answered without."""
    context = convert([{"role": "system", "content": "Write Python between <py> and </py>."}])
    code = await said("What is 6 / 4?", context=context)
    assert code == "<py>\nprint(6 / 4)\n</py>"
    run = [{"role": "user", "content": "What is 6 / 4?"}, {"role": "assistant", "content": code}]
    assert await said("Output:\n1.5", context=context + convert(run)) == "The result is: 1.5"
    assert await said("Say hello", context=context) == "hello"


async def test_texts_are_answered_from() -> None:
    """Whether they come with the question or the system brought them; what the user told is better known."""
    boat = "My mooring is at the north quay. It costs nothing today."
    assert (
        await said(f"Context:\n{boat}\n\nQuestion: Where is the mooring?\nAnswer:")
        == "My mooring is at the north quay."
    )
    context = convert([{"role": "system", "content": f"Use this information:\n{boat}"}])
    assert await said("What does it cost?", context=context) == "It costs nothing today."
    assert await said("My name is Ada. What is my name?", context=context) == "Your name is Ada."


async def test_the_system_may_want_json() -> None:
    """A schema that it told is followed, but not by an answer from tools."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    context = convert([{"role": "system", "content": f"Here's a JSON schema to follow:\n{json.dumps(schema)}"}])
    assert await said("Describe Paris.", context=context) == '{"name": "Paris"}'
    assert await said(offering(RESULT, WEATHER), context=context) == "According to get_weather: Sunny, 21 C"
