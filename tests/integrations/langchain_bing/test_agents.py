"""Agents: LangChain's `create_agent` and LangGraph, over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from pydantic import BaseModel

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import ServiceError
from langchain_bing import ChatBing
from tests.integrations.langchain_bing.models import summed
from tests.integrations.turns import call


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}, 21 degrees."


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def broken(city: str) -> str:
    """Get the traffic of a city."""
    msg = f"No traffic data of {city}."
    raise ToolException(msg)


broken.handle_tool_error = True


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


TOOLS = [get_weather, add]


def agent_of(model: ChatBing, tools: list[Any], **more: Any) -> Any:
    """An agent, without its many types."""
    return create_agent(model, tools, **more)


def ask(agent: Any, text: str, **more: Any) -> list[BaseMessage]:
    """The messages of a whole run."""
    result = agent.invoke({"messages": [HumanMessage(text)], **more})
    messages: list[BaseMessage] = result["messages"]
    return messages


def kinds(messages: list[BaseMessage]) -> list[str]:
    """What kinds they are."""
    return [message.type for message in messages]


def calls(message: BaseMessage) -> list[tuple[str, dict[str, Any]]]:
    """Its calls."""
    assert isinstance(message, AIMessage)
    return [(made["name"], made["args"]) for made in message.tool_calls]


def script(emulator: Emulator, *turns: Any) -> None:
    """Have the emulator say exactly this."""
    emulator.brain = Scripted([[turn] if isinstance(turn, str) else turn for turn in turns])


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, "v1"])
def test_an_agent_calls_a_tool_and_answers(bing_emulator: Emulator, version: str | None) -> None:
    """A model that follows its instructions makes a call, gets its result and answers."""
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version=version), TOOLS)
    messages = ask(agent, "What is the weather in Paris?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    assert calls(messages[1]) == [("get_weather", {"city": "Paris"})]
    assert "21 degrees" in messages[-1].text
    assert '<tool_result name="get_weather"' in bing_emulator.requests[-1].text


async def test_an_agent_runs_asynchronously(bing_emulator: Emulator) -> None:
    """The same run on the caller's loop."""
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS, system_prompt="You are helpful.")
    result = await agent.ainvoke({"messages": [HumanMessage("What is 2 + 3? Use the tool add.")]})
    assert calls(result["messages"][1]) == [("add", {"a": 2, "b": 3})]
    assert result["messages"][2].content == "5"
    assert "You are helpful." in bing_emulator.requests[1].context


@pytest.mark.parametrize("version", [None, "v1"])
def test_an_agent_makes_calls_in_parallel(bing_emulator: Emulator, version: str | None) -> None:
    """Two calls in one answer: each result finds its call by its id, and both are sent back in one turn."""
    both = f"{call('get_weather', city='Paris')}\n{call('add', a=2, b=3)}"
    script(bing_emulator, f"I will look.\n{both}", "Sunny, and 5.")
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version=version), TOOLS)
    messages = ask(agent, "What is the weather in Paris, and what is 2 + 3?")
    assert kinds(messages) == ["human", "ai", "tool", "tool", "ai"]
    assert messages[1].text == "I will look."
    assert isinstance(messages[1], AIMessage)
    results = {message.tool_call_id: message.content for message in messages if isinstance(message, ToolMessage)}
    assert [results[made["id"] or ""] for made in messages[1].tool_calls] == ["It is sunny in Paris, 21 degrees.", "5"]
    sent = bing_emulator.requests[-1].text
    assert sent.index("21 degrees") < sent.index("\n5\n")
    assert messages[-1].text == "Sunny, and 5."


def test_the_model_hears_of_an_error_of_a_tool(bing_emulator: Emulator) -> None:
    """With its text, marked as one; then the model goes on."""
    script(bing_emulator, call("broken", city="Rome"), "I do not know the traffic.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), [broken]), "Traffic in Rome?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    sent = bing_emulator.requests[-1].text
    assert 'status="error"' in sent
    assert "No traffic data of Rome." in sent


def test_an_unknown_tool_is_answered_with_those_that_there_are(bing_emulator: Emulator) -> None:
    """The model then takes one of them."""
    script(bing_emulator, call("weather_of", city="Rome"), call("get_weather", city="Rome"), "Sunny.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "Weather in Rome?")
    assert kinds(messages) == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert "get_weather" in messages[2].text
    assert messages[-1].text == "Sunny."


@pytest.mark.parametrize("version", [None, "v1"])
def test_an_invalid_call_is_answered_and_repaired(bing_emulator: Emulator, version: str | None) -> None:
    """The model is asked once more; then the agent answers it with an error, by its id."""
    broken = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Ro'
    script(bing_emulator, broken, broken, call("get_weather", city="Rome"), "Sunny.")
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version=version), TOOLS)
    ended = ask(agent, "Weather in Rome?")
    assert kinds(ended) == ["human", "ai"]
    assert calls(ended[1]) == []
    result = agent.invoke({"messages": [*ended, HumanMessage("Go on.")]})
    assert result["messages"][-1].text == "Sunny."
    context = [request for request in bing_emulator.requests if request.kind == "chat"][2].context
    assert '"arguments": {"city": "Ro' in context
    assert 'status="error"' in context


def test_a_broken_call_does_not_end_the_run(bing_emulator: Emulator) -> None:
    """An agent takes a message without calls for the answer, so the model writes the call again within its turn."""
    broken = 'Let me see. <tool_call>{"name": "get_weather", "arguments": {city}}</tool_call>'
    script(bing_emulator, broken, call("get_weather", city="Rome"), "Sunny.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "Weather in Rome?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    assert [message.text for message in messages[1::2]] == ["Let me see.", "Sunny."]


FORMS = [
    "<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>",
    '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Rome"}}]',
    '{"action": "get_weather", "action_input": {"city": "Rome"}}',
]
NEARLY = [
    'I will look:\n{"name": "get_weather", "arguments": {"city": "Rome"}}\nPlease wait.',
    'Action: get_weather\nAction Input: {"city": "Rome"}',
    'get_weather(city="Rome")',
    '<tool_result name="get_weather">\nSunny\n</tool_result>',
]


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_other_models_are_calls(bing_emulator: Emulator, form: str) -> None:
    """An agent runs their tools, without another turn."""
    script(bing_emulator, form, "Sunny.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "Weather in Rome?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    assert messages[-1].text == "Sunny."


@pytest.mark.parametrize("nearly", NEARLY)
def test_what_is_nearly_a_call_is_not_the_answer(bing_emulator: Emulator, nearly: str) -> None:
    """The model writes the call again within its turn, so the agent goes on."""
    script(bing_emulator, nearly, call("get_weather", city="Rome"), "Sunny.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "Weather in Rome?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    assert messages[-1].text == "Sunny."


def test_arguments_of_a_wrong_type_are_asked_for_again(bing_emulator: Emulator) -> None:
    """Within the same turn, before any tool runs."""
    script(bing_emulator, call("add", a="two", b=3), call("add", a=2, b=3), "5.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "2 + 3?")
    assert kinds(messages) == ["human", "ai", "tool", "ai"]
    assert messages[2].content == "5"


def test_arguments_of_a_wrong_type_are_answered_by_the_agent(bing_emulator: Emulator) -> None:
    """If the model insists, the tool's own check says what is wrong, and the model corrects it."""
    wrong = call("add", a="two", b=3)
    script(bing_emulator, wrong, wrong, call("add", a=2, b=3), "5.")
    messages = ask(agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS), "2 + 3?")
    assert kinds(messages) == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert isinstance(messages[2], ToolMessage)
    assert messages[2].status == "error"
    assert messages[4].content == "5"


# --- structured responses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy, None])
@pytest.mark.parametrize("tools", [[], TOOLS])
def test_an_agent_answers_in_a_schema(bing_emulator: Emulator, strategy: Any, tools: list[Any]) -> None:
    """By a tool, by a format, or as LangChain chooses; with other tools and without."""
    response_format = Weather if strategy is None else strategy(Weather)
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), tools, response_format=response_format)
    result = agent.invoke({"messages": [HumanMessage("What is the weather in the city 'Paris'? It has 21 degrees.")]})
    assert result["structured_response"] == Weather(city="Paris", degrees=21)


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
async def test_an_agent_uses_tools_before_it_answers_in_a_schema(bing_emulator: Emulator, strategy: Any) -> None:
    """A call first, and with its result the answer."""
    final: dict[str, Any] = {"city": "Paris", "degrees": 21}
    written = call("Weather", **final) if strategy is ToolStrategy else f"```json\n{json.dumps(final)}\n```"
    script(bing_emulator, call("get_weather", city="Paris"), written)
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS, response_format=strategy(Weather))
    result = await agent.ainvoke({"messages": [HumanMessage("What is the weather in Paris?")]})
    assert result["structured_response"] == Weather(**final)
    assert calls(result["messages"][1]) == [("get_weather", {"city": "Paris"})]


def test_a_structured_response_that_does_not_fit_is_asked_for_again(bing_emulator: Emulator) -> None:
    """By the agent, with what was wrong."""
    script(bing_emulator, call("Weather", city="Paris", degrees="warm"), call("Weather", city="Paris", degrees=21))
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), [], response_format=ToolStrategy(Weather))
    result = agent.invoke({"messages": [HumanMessage("Weather in Paris?")]})
    assert result["structured_response"] == Weather(city="Paris", degrees=21)


# --- LangGraph --------------------------------------------------------------------------------------------------------


def check_streamed(chunks: list[BaseMessage], final: list[BaseMessage]) -> None:
    """Each message of the run was streamed in chunks of its id, and they add up to it."""
    by_id: dict[str | None, list[BaseMessage]] = {}
    for chunk in chunks:
        by_id.setdefault(chunk.id, []).append(chunk)
    answers = [message for message in final if isinstance(message, AIMessage)]
    assert [message.id for message in answers] == [key for key, parts in by_id.items() if parts[0].type != "tool"]
    for message in answers:
        total = summed([part for part in by_id[message.id] if isinstance(part, AIMessageChunk)])
        assert (total.text, total.tool_calls) == (message.text, message.tool_calls)


@pytest.mark.parametrize("version", [None, "v1"])
def test_messages_of_an_agent_stream(bing_emulator: Emulator, version: str | None) -> None:
    """`stream_mode="messages"`: chunks of the same ids as the messages of the end."""
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version=version), TOOLS)
    chunks: list[BaseMessage] = []
    final: dict[str, Any] = {}
    for mode, part in agent.stream(
        {"messages": [HumanMessage("What is the weather in Paris?")]}, stream_mode=["messages", "values"]
    ):
        if mode == "messages":
            chunks.append(part[0])
        else:
            final = part
    check_streamed(chunks, final["messages"])


@pytest.mark.parametrize("version", [None, "v1"])
async def test_messages_of_an_agent_stream_asynchronously(bing_emulator: Emulator, version: str | None) -> None:
    """Messages stream on the caller's loop; before Python 3.11 the messages come whole.

    There a task takes no context of its own, so that LangGraph cannot tell the model of a node that it is streamed.
    """
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version=version), TOOLS)
    chunks: list[BaseMessage] = []
    final: dict[str, Any] = {}
    parts: AsyncIterator[Any] = agent.astream(
        {"messages": [HumanMessage("What is the weather in Paris?")]}, stream_mode=["messages", "values"]
    )
    async for mode, part in parts:
        if mode == "messages":
            chunks.append(part[0])
        else:
            final = part
    check_streamed(chunks, final["messages"])


def test_steps_of_an_agent_stream(bing_emulator: Emulator) -> None:
    """`stream_mode="updates"`: model, tools, model."""
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), TOOLS)
    asked = {"messages": [HumanMessage("What is the weather in Paris?")]}
    steps = [name for update in agent.stream(asked, stream_mode="updates") for name in update]
    assert steps == ["model", "tools", "model"]


# --- middleware -------------------------------------------------------------------------------------------------------


def test_middleware_retries_where_the_model_does_not(bing_emulator: Emulator) -> None:
    """With `max_retries=0` the middleware's budget is the whole budget."""
    script(bing_emulator, [ServiceError()], [ServiceError()], "Hello.")
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, max_retries=0), [], middleware=[retry])
    assert ask(agent, "Hi?")[-1].text == "Hello."
    assert sum(request.kind == "chat" for request in bing_emulator.requests) == 3


def test_history_is_summarized(bing_emulator: Emulator) -> None:
    """The middleware finds what it asks a model for: its type, its profile, its provider, an answer."""
    bing_emulator.brain = Scripted(lambda _question: ["A summary."])
    model = ChatBing(endpoint=bing_emulator.url)
    summarize = SummarizationMiddleware(model=model, trigger=("fraction", 0.05), keep=("messages", 1))
    agent = agent_of(model, [], middleware=[summarize])
    history = [HumanMessage("Long. " * 500), AIMessage("I see."), HumanMessage("And now?")]
    result = agent.invoke({"messages": history})
    assert len(result["messages"]) == 3
    assert "A summary." in result["messages"][0].text
    assert "Long. Long." not in bing_emulator.requests[-1].context


def test_settings_of_an_agent_reach_the_model(bing_emulator: Emulator) -> None:
    """What is bound to the model of an agent counts in each of its calls."""
    script(bing_emulator, ["One. ", "STOP ", "Two."])
    model = ChatBing(endpoint=bing_emulator.url, stop=["STOP"])
    assert ask(agent_of(model, []), "Hi?")[-1].text == "One. "


def test_searches_of_the_service_are_not_calls(bing_emulator: Emulator) -> None:
    """An agent must not try to run the service's own search."""
    search = [ev.SearchStarted("weather"), ev.SearchResults((ev.SearchResult("A", "https://example.com"),)), "Sunny."]
    script(bing_emulator, search)
    agent = agent_of(ChatBing(endpoint=bing_emulator.url, output_version="v1"), TOOLS)
    messages = ask(agent, "Weather?")
    assert kinds(messages) == ["human", "ai"]
    assert [block["type"] for block in messages[-1].content_blocks][-1] == "text"


class Question(BaseModel):
    """What is not clear."""

    question: str


def test_an_agent_answers_in_one_of_several_classes(bing_emulator: Emulator) -> None:
    """A union, without a strategy: the profile leads agents to tools, which may be several."""
    script(bing_emulator, call("Question", question="Which Paris?"))
    agent = agent_of(ChatBing(endpoint=bing_emulator.url), [], response_format=Weather | Question)
    assert agent.invoke({"messages": [HumanMessage("Paris?")]})["structured_response"] == Question(
        question="Which Paris?"
    )
