"""Agents: LlamaIndex's workflows with tools, over a real socket."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCall,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context, JsonSerializer
from pydantic import BaseModel

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Obedient, Scripted
from bing_llm.emulator.brains.schemas import NO_MODEL
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import memory

# LlamaIndex's own: its agents look at all their attributes, and ask their contexts what they should not.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

PAGE = "https://example.com/boats"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}, 21 degrees."


def get_traffic(city: str) -> str:
    """Get the traffic of a city."""
    msg = f"No traffic data of {city}."
    raise ValueError(msg)


class City(BaseModel):
    """A city."""

    name: str


@pytest.fixture
def llm(bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM of a service that does what the prompt says."""
    bing_emulator.brain = Obedient(pace=0)
    with Bing(endpoint=bing_emulator.url) as llm:
        yield llm


@pytest.fixture(params=[True, False], ids=["streaming", "whole"])
def streaming(request: pytest.FixtureRequest) -> bool:
    """Whether the agent streams."""
    return bool(request.param)


def script(emulator: Emulator, *turns: Any) -> None:
    """Have the emulator say exactly this."""
    emulator.brain = Scripted([[turn] if isinstance(turn, str) else turn for turn in turns])


def written(name: str, **arguments: Any) -> str:
    """A call, as a model writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


async def run(agent: Any, text: str, **more: Any) -> tuple[AgentOutput, list[Any]]:
    """What a run ends with, and all its events."""
    handler = agent.run(text, **more)
    events = [event async for event in handler.stream_events()]
    output = await handler
    assert isinstance(output, AgentOutput)
    return output, events


def calls(events: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a run, in their order."""
    return [(event.tool_name, event.tool_kwargs) for event in events if type(event) is ToolCall]


def results(events: list[Any]) -> list[str]:
    """What the tools gave back."""
    return [str(event.tool_output.content) for event in events if isinstance(event, ToolCallResult)]


def said(output: AgentOutput) -> str:
    """The text of the answer."""
    return output.response.content or ""


def turns(emulator: Emulator) -> list[str]:
    """What the service was sent in each turn: the context, and the message."""
    return [f"{request.context}\n{request.text}" for request in emulator.requests if request.kind == "chat"]


# --- FunctionAgent ----------------------------------------------------------------------------------------------------


async def test_an_agent_calls_a_tool_and_answers(llm: Bing, *, streaming: bool) -> None:
    """A call, its result, the answer."""
    agent = FunctionAgent(tools=[add, get_weather], llm=llm, streaming=streaming, system_prompt="You are helpful.")
    output, events = await run(agent, "What is 2 + 3?")
    assert calls(events) == [("add", {"a": 2, "b": 3})]
    assert results(events) == ["5"]
    assert "5" in said(output)
    assert [call.tool_name for call in output.tool_calls] == ["add"]


async def test_an_answer_streams(llm: Bing) -> None:
    """The deltas add up to the answer, and the calls come with the chunks."""
    agent = FunctionAgent(tools=[get_weather], llm=llm)
    output, events = await run(agent, "What is the weather in Paris?")
    chunks = [event for event in events if isinstance(event, AgentStream)]
    answer = "".join(chunk.delta for chunk in chunks if not chunk.tool_calls)
    assert answer == said(output) == chunks[-1].response
    assert "It is sunny in Paris, 21 degrees." in answer
    assert {call.tool_kwargs["city"] for chunk in chunks for call in chunk.tool_calls} == {"Paris"}


async def test_calls_are_made_in_parallel(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """Two in one answer, whose results go back in one turn; one a turn where the agent does not want more."""
    agent = FunctionAgent(tools=[add, get_weather], llm=llm, streaming=streaming)
    output, events = await run(agent, "What is the weather in Paris and London?")
    assert sorted(call["city"] for _, call in calls(events)) == ["London", "Paris"]
    assert all(f"sunny in {city}" in said(output) for city in ("Paris", "London"))
    assert len(turns(bing_emulator)) == 2
    bing_emulator.clear()
    agent = FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming, allow_parallel_tool_calls=False)
    _, events = await run(agent, "What is the weather in Paris and London?")
    assert [call["city"] for _, call in calls(events)] == ["Paris", "London"]
    assert len(turns(bing_emulator)) == 3


async def test_the_first_call_may_be_demanded(llm: Bing, *, streaming: bool) -> None:
    """The tool is called whatever the question, once."""
    agent = FunctionAgent(tools=[get_weather, add], llm=llm, streaming=streaming, initial_tool_choice="add")
    output, events = await run(agent, "Hello! My a is 1 and my b is 1.")
    assert calls(events) == [("add", {"a": 1, "b": 1})]
    assert "2" in said(output)


async def test_an_agent_needs_no_tools(llm: Bing, *, streaming: bool) -> None:
    """It answers."""
    output, events = await run(FunctionAgent(llm=llm, streaming=streaming), "What is 2 + 3?")
    assert (calls(events), said(output)) == ([], "5")


async def test_the_model_hears_of_an_error_of_a_tool(llm: Bing, *, streaming: bool) -> None:
    """With its text; then it answers."""
    output, events = await run(FunctionAgent(tools=[get_traffic], llm=llm, streaming=streaming), "Traffic in Rome?")
    assert calls(events) == [("get_traffic", {"city": "Rome"})]
    assert "No traffic data of Rome." in said(output)


async def test_the_model_hears_that_there_is_no_such_tool(llm: Bing, bing_emulator: Emulator) -> None:
    """And takes one that there is."""
    script(bing_emulator, written("weather_of", city="Rome"), written("get_weather", city="Rome"), "Sunny.")
    output, events = await run(FunctionAgent(tools=[get_weather], llm=llm), "Weather in Rome?")
    assert [name for name, _ in calls(events)] == ["weather_of", "get_weather"]
    assert "not found" in turns(bing_emulator)[1]
    assert said(output) == "Sunny."


async def test_a_call_that_cannot_be_read_is_not_made(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """The model is asked once more, then gets the error, and goes on."""
    cut = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Ro'
    script(bing_emulator, cut, cut, written("get_weather", city="Rome"), "Sunny.")
    output, events = await run(FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming), "Weather in Rome?")
    unread, made = calls(events)
    assert unread[0].startswith("get_weather (")
    assert made == ("get_weather", {"city": "Rome"})
    assert results(events)[1:] == [get_weather("Rome")]
    assert said(output) == "Sunny."


@pytest.mark.parametrize(
    "nearly",
    [
        'I will look:\n{"name": "get_weather", "arguments": {"city": "Rome"}}\nPlease wait.',
        'get_weather(city="Rome")',
        '<tool_result name="get_weather">\nSunny\n</tool_result>',
    ],
)
async def test_what_is_nearly_a_call_is_not_the_answer(
    llm: Bing, bing_emulator: Emulator, nearly: str, *, streaming: bool
) -> None:
    """The model writes the call again within its turn, so the agent goes on."""
    script(bing_emulator, nearly, written("get_weather", city="Rome"), "Sunny.")
    output, events = await run(FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming), "Weather in Rome?")
    assert calls(events) == [("get_weather", {"city": "Rome"})]
    assert said(output) == "Sunny."


async def test_an_answer_may_have_a_class(llm: Bing, *, streaming: bool) -> None:
    """The structured response is made of the conversation."""
    agent = FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming, output_cls=City)
    output, events = await run(agent, "What is the weather in the city with the name 'Paris'?")
    assert calls(events) == [("get_weather", {"city": "Paris"})]
    assert output.get_pydantic_model(City) == City(name="Paris")


async def test_too_many_steps_end_with_an_answer(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """With `early_stopping_method="generate"` the model is asked for one, without tools."""
    again = written("add", a=2, b=3)
    script(bing_emulator, again, again, "It is 5, I think.")
    agent = FunctionAgent(tools=[add], llm=llm, streaming=streaming, early_stopping_method="generate")
    output, events = await run(agent, "What is 2 + 3?", max_iterations=2)
    assert results(events) == ["5"]
    assert said(output) == "It is 5, I think."
    assert "<tool_call>" not in bing_emulator.requests[-1].text


async def test_a_tool_may_answer_itself(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """What a tool with `return_direct` gives back is the answer."""
    tool = FunctionTool.from_defaults(add, return_direct=True)
    output, events = await run(FunctionAgent(tools=[tool], llm=llm, streaming=streaming), "What is 2 + 3?")
    assert (results(events), said(output)) == (["5"], "5")
    assert len(turns(bing_emulator)) == 1


async def test_reasoning_streams(llm: Bing, bing_emulator: Emulator) -> None:
    """Beside the text, as `thinking_delta`."""
    script(bing_emulator, [ev.Progress("I look it up."), "It floats."])
    _, events = await run(FunctionAgent(tools=[add], llm=llm), "Why does a boat float?")
    chunks = [event for event in events if isinstance(event, AgentStream)]
    assert "I look it up." in "".join(chunk.thinking_delta or "" for chunk in chunks)
    assert "".join(chunk.delta for chunk in chunks) == "It floats."


async def test_what_the_service_tells_besides_is_in_the_output(
    llm: Bing, bing_emulator: Emulator, *, streaming: bool
) -> None:
    """Citations and suggestions come with the message of the answer."""
    reply = ev.Reply(text="It floats. [^1^]", citations=(ev.Citation(1, PAGE, "Boats"),), suggestions=("Why?",))
    script(bing_emulator, ["It floats. [^1^]", ev.TurnCompleted(reply)])
    output, _ = await run(FunctionAgent(tools=[add], llm=llm, streaming=streaming), "Why does a boat float?")
    more = output.response.additional_kwargs
    assert more["citations"] == [{"number": 1, "url": PAGE, "title": "Boats", "spans": [[11, 16]]}]
    assert more["suggestions"] == ["Why?"]


# --- agents that write their calls as text ----------------------------------------------------------------------------


async def test_a_reasoning_agent_acts_and_answers(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """One step in each turn, until the question is answered."""
    agent = ReActAgent(tools=[add, get_weather], llm=llm, streaming=streaming, system_prompt="You are kind.")
    output, events = await run(agent, "What is 2 + 3? And what is the weather in Paris?")
    assert calls(events) == [("add", {"a": 2, "b": 3}), ("get_weather", {"city": "Paris"})]
    assert all(result in said(output) for result in ("5", get_weather("Paris")))
    assert len(turns(bing_emulator)) == 3
    output, events = await run(agent, "Why does a boat float?")
    assert (calls(events), said(output)) == ([], NO_MODEL)


async def test_a_reasoning_agent_is_corrected(llm: Bing, bing_emulator: Emulator) -> None:
    """A step without its input is asked for again, with the form."""
    step = 'Thought: I add.\nAction: add\nAction Input: {"a": 2, "b": 3}'
    script(bing_emulator, "Thought: I add.\nAction: add", step, "Thought: I know.\nAnswer: It is 5.")
    output, events = await run(ReActAgent(tools=[add], llm=llm), "What is 2 + 3?")
    assert (results(events), said(output)) == (["5"], "It is 5.")


def executed(code: str) -> str:
    """What a program prints that may use our functions."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"add": add, "get_weather": get_weather})  # noqa: S102 - written by this test
    return printed.getvalue()


async def test_a_coding_agent_runs_code_and_answers(llm: Bing, bing_emulator: Emulator, *, streaming: bool) -> None:
    """With the functions that there are; what needs no code is answered without."""
    script(bing_emulator, "<execute>\nprint(add(2, 3))\n</execute>", "It is 5.", "Ahoy.")
    agent = CodeActAgent(executed, tools=[add, get_weather], llm=llm, streaming=streaming)
    output, events = await run(agent, "What is 2 + 3?")
    assert calls(events) == [("execute", {"code": "print(add(2, 3))"})]
    assert said(output) == "It is 5."
    output, events = await run(agent, "Say ahoy")
    assert (calls(events), said(output)) == ([], "Ahoy.")


# --- several agents, and several runs ---------------------------------------------------------------------------------


async def test_a_workflow_is_made_of_tools(llm: Bing) -> None:
    """LlamaIndex takes the agent that calls functions."""
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=llm)
    assert isinstance(next(iter(workflow.agents.values())), FunctionAgent)
    output, events = await run(workflow, "What is 2 + 3?")
    assert results(events) == ["5"]
    assert "5" in said(output)


async def test_an_agent_hands_a_question_on(llm: Bing, *, streaming: bool) -> None:
    """The other one goes on with its own tools."""
    roles: list[tuple[str, str, list[Any], list[str]]] = [
        ("host", "Welcomes guests.", [get_weather], ["mathematician"]),
        ("mathematician", "Works out sums.", [add], []),
    ]
    agents: list[Any] = [
        FunctionAgent(name=name, description=what, tools=tools, llm=llm, streaming=streaming, can_handoff_to=others)
        for name, what, tools, others in roles
    ]
    workflow = AgentWorkflow(agents, root_agent="host")
    output, events = await run(workflow, "Use handoff to 'mathematician': what is 2 + 3?")
    (first, arguments), second = calls(events)
    assert (first, arguments["to_agent"], second) == ("handoff", "mathematician", ("add", {"a": 2, "b": 3}))
    assert output.current_agent_name == "mathematician"
    assert "5" in said(output)


# With some versions of pydantic LlamaIndex cannot store its memory, and wants it to be kept beside the context.
@pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")
async def test_a_context_is_stored_between_runs(llm: Bing, bing_emulator: Emulator) -> None:
    """A stored context is JSON and has all that was said, calls and their results included."""
    llm.continue_conversations = False
    agent = FunctionAgent(tools=[add], llm=llm)
    context, kept = Context(agent), memory()
    await run(agent, "My name is Ada. What is 2 + 3?", ctx=context, memory=kept)
    messages = [message.model_dump(mode="json") for message in kept.get_all()]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    stored = json.dumps([context.to_dict(serializer=JsonSerializer()), messages])

    read, messages = json.loads(stored)
    other, kept = FunctionAgent(tools=[add], llm=llm), memory()
    kept.set([ChatMessage.model_validate(message) for message in messages])
    restored = Context.from_dict(other, read, serializer=JsonSerializer())
    script(bing_emulator, "Your name is Ada.")
    output, _ = await run(other, "What is my name?", ctx=restored, memory=kept)
    assert said(output) == "Your name is Ada."
    assert "My name is Ada." in turns(bing_emulator)[-1]
    assert "5" in turns(bing_emulator)[-1]


# --- without an agent -------------------------------------------------------------------------------------------------


def asked(text: str) -> list[ChatMessage]:
    """A history of one question."""
    return [ChatMessage(text, role=MessageRole.USER)]


async def test_a_tool_is_predicted_and_called(llm: Bing) -> None:
    """Also by a synchronous program; what the tool gave back is the response."""
    tools = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(get_weather)]
    response = await llm.apredict_and_call(tools, chat_history=asked("What is 2 + 3?"))
    assert (response.response, response.sources[0].tool_name) == ("5", "add")
    with pytest.raises(ValueError, match="without a language model"):
        await llm.apredict_and_call(tools, user_msg="Why does a boat float?")
    response = await llm.apredict_and_call(tools, user_msg="Why does a boat float?", error_on_no_tool_call=False)
    assert response.response == NO_MODEL


def test_a_synchronous_program_predicts_and_calls(llm: Bing) -> None:
    """Several calls are made where they are allowed."""
    tools = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(get_weather)]
    response = llm.predict_and_call(tools, user_msg="What is 2 + 3?")
    assert response.response == "5"
    question = "What is the weather in Paris and London?"
    response = llm.predict_and_call(tools, user_msg=question, allow_parallel_tool_calls=True)
    assert [source.content for source in response.sources] == [get_weather("Paris"), get_weather("London")]
