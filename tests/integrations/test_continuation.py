"""Both adapters: a history of the framework goes on in the conversation that holds it, over a real socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage

from bing_llm.emulator import Emulator, Question, Scripted
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing
from tests.integrations.llama_index.llms.bing.knowledge import memory
from tests.integrations.turns import call

# LlamaIndex's own, as in its tests of agents.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")

TURNS = 20


def conversations(emulator: Emulator) -> int:
    """How many conversations were created."""
    return sum(request.kind == "creation" for request in emulator.requests)


def sizes(emulator: Emulator) -> list[int]:
    """How many bytes each turn sent."""
    return [len(json.dumps(request.body)) for request in emulator.requests if request.kind == "chat"]


def report_history(emulator: Emulator) -> None:
    """Let each answer tell its turn and what the service has heard before in this conversation."""

    def answer(question: Question) -> list[str]:
        heard = " ".join(turn.question for turn in question.history)
        return [f"Answer {question.number} ", f"to {question.text} after {heard or question.context or 'nothing'}."]

    emulator.brain = Scripted(answer)


async def ask_langchain(model: ChatBing, history: list[BaseMessage], way: str) -> BaseMessage:
    """The answer to a history."""
    match way:
        case "invoke":
            return model.invoke(history)
        case "ainvoke":
            return await model.ainvoke(history)
        case "stream":
            chunks = list(model.stream(history))
        case _:
            chunks = [chunk async for chunk in model.astream(history)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("version", [None, "v1"])
async def test_a_long_langchain_chat_is_one_conversation(
    bing_emulator: Emulator, way: str, version: str | None
) -> None:
    """However it is asked; each turn sends no more than the one before."""
    report_history(bing_emulator)
    history: list[BaseMessage] = [SystemMessage("Answer in one sentence.")]
    async with ChatBing(endpoint=bing_emulator.url, output_version=version) as model:
        for number in range(10, 10 + TURNS):
            history.append(HumanMessage(f"Question {number}"))
            history.append(await ask_langchain(model, history, way))
    assert conversations(bing_emulator) == 1
    assert len(history) == 1 + 2 * TURNS
    assert str(history[-1].text).startswith(f"Answer {TURNS - 1} to Question 29 after Question 10 Question 11 ")
    sent = sizes(bing_emulator)[1:]
    assert max(sent) - min(sent) <= 1  # the number of the turn has one digit, or two


async def test_work_iq_is_sent_the_system_s_words_with_each_turn(bing_emulator: Emulator) -> None:
    """It goes on in one conversation, and each turn sends the same number of bytes."""
    report_history(bing_emulator)
    history: list[BaseMessage] = [SystemMessage("Answer in one sentence.")]
    model = ChatBing(endpoint=bing_emulator.workiq_url, token=bing_emulator.token, time_zone="UTC")
    async with model:
        for number in range(10, 10 + TURNS):
            history.append(HumanMessage(f"Question {number}"))
            history.append(await model.ainvoke(history))
    assert conversations(bing_emulator) == 1
    assert str(history[-1].text).startswith(f"Answer {TURNS - 1} to Question 29 after Question 10 Question 11 ")
    assert len(set(sizes(bing_emulator))) == 1
    assert all("Answer in one sentence." in (r.context or "") for r in bing_emulator.requests if r.kind == "chat")


def test_each_thread_that_langgraph_keeps_is_a_conversation(bing_emulator: Emulator) -> None:
    """However they take turns."""
    report_history(bing_emulator)
    with ChatBing(endpoint=bing_emulator.url) as model:
        agent: Any = create_agent(model, [], checkpointer=InMemorySaver())
        for number in range(3):
            for name in ("Ada", "Bob"):
                asked = {"messages": [HumanMessage(f"{name} {number}")]}
                result = agent.invoke(asked, config={"configurable": {"thread_id": name}})
        assert result["messages"][-1].text == "Answer 2 to Bob 2 after Bob 0 Bob 1."
    assert conversations(bing_emulator) == 2


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_a_long_llama_index_chat_is_one_conversation(bing_emulator: Emulator, way: str) -> None:
    """However it is asked; each turn sends no more than the one before."""
    report_history(bing_emulator)
    async with Bing(endpoint=bing_emulator.url) as llm:
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory(), system_prompt="Answer in one sentence.")
        for number in range(10, 10 + TURNS):
            response: Any = getattr(engine, way)(f"Question {number}")
            if way.startswith("a"):
                response = await response
            if way == "stream_chat":
                said = "".join(response.response_gen)
            elif way == "astream_chat":
                said = "".join([token async for token in response.async_response_gen()])
            else:
                said = str(response)
    assert conversations(bing_emulator) == 1
    assert said.startswith(f"Answer {TURNS - 1} to Question 29 after Question 10 Question 11 ")
    sent = sizes(bing_emulator)[1:]
    assert max(sent) - min(sent) <= 1


def next_number(number: int) -> int:
    """The number after this one."""
    return number + 1


def counting(question: Question) -> list[str]:
    """Calls the tool ten times, each time with what it gave back."""
    count = question.number
    return [call("next_number", number=count)] if count < 10 else [f"I counted to {count}."]


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_s_loop_is_one_conversation(bing_emulator: Emulator, *, streaming: bool) -> None:
    """Results of tools go on in it; a step sends no more than the one before."""
    bing_emulator.brain = Scripted(counting)
    async with Bing(endpoint=bing_emulator.url) as llm:
        agent = FunctionAgent(tools=[next_number], llm=llm, streaming=streaming, system_prompt="You can count.")
        assert str(await agent.run("Count to ten.")) == "I counted to 10."
    assert conversations(bing_emulator) == 1
    sent = sizes(bing_emulator)
    assert len(sent) == 11
    assert max(sent[1:]) - min(sent[1:]) <= 2  # results and turns have one digit, or two
    assert "The number after this one." not in json.dumps(bing_emulator.requests[-1].body)


@pytest.mark.parametrize("name", [None, "counter"])
def test_a_langchain_agent_s_loop_is_one_conversation(bing_emulator: Emulator, name: str | None) -> None:
    """The same for LangChain's agents, also for one whose messages carry its name."""
    bing_emulator.brain = Scripted(counting)
    with ChatBing(endpoint=bing_emulator.url) as model:
        agent: Any = create_agent(model, [next_number], system_prompt="You can count.", name=name)
        result = agent.invoke({"messages": [HumanMessage("Count to ten.")]})
    assert result["messages"][-1].text == "I counted to 10."
    assert conversations(bing_emulator) == 1


@pytest.mark.parametrize("adapter", ["langchain", "llama_index"])
async def test_to_regenerate_never_mixes_threads(bing_emulator: Emulator, adapter: str) -> None:
    """Who goes on from an earlier point gets a conversation that knows what was said up to there, and nothing else."""
    report_history(bing_emulator)
    async with ChatBing(endpoint=bing_emulator.url) as model, Bing(endpoint=bing_emulator.url) as llm:

        async def ask(*history: str) -> str:
            if adapter == "langchain":
                roles = ("human", "ai") * len(history)
                return str((await model.ainvoke([*zip(roles, history, strict=False)])).text)
            messages = [ChatMessage(text, role="assistant" if at % 2 else "user") for at, text in enumerate(history)]
            return str((await llm.achat(messages)).message.content)

        first = await ask("One")
        second = await ask("One", first, "Two")
        assert second == "Answer 1 to Two after One."
        again = await ask("One", first, "Two")
        other = await ask("One", first, "Other")
        for answer, question in ((again, "Two"), (other, "Other")):
            assert answer.startswith(f"Answer 0 to {question} after [user](#message)\nOne\n")
            assert answer.count("Two") == (question == "Two")
        third = await ask("One", first, "Two", second, "Three")
        assert third == "Answer 2 to Three after One Two."
        assert await ask("One", first, "Other", other, "More") == "Answer 1 to More after Other."
    assert conversations(bing_emulator) == 3
