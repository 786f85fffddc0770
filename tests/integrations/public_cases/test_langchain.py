"""Public reports about LangChain's chat models, replayed on `ChatBing`."""

from __future__ import annotations

import asyncio
import copy
import json
import operator
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any, NotRequired, Required, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import ServiceError
from langchain_bing import ChatBing
from tests.fakes import FakeBackend, Pause
from tests.integrations.langchain_bing.models import model_of, streamed, summed
from tests.integrations.public_cases.reports import Report, Reports
from tests.integrations.turns import call, turn

REPORTS = Reports()

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SECRET = "_U=open-sesame"


class Joke(BaseModel):
    """A joke to tell the user."""

    setup: str
    punchline: str
    rating: int | None = None


JOKE: dict[str, Any] = {"setup": "Why?", "punchline": "Because."}


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model(*turns: Any, **settings: Any) -> Any:
    """A model whose service plays these turns."""
    return model_of(FakeBackend(*turns), **settings)


def run_agent(chat: BaseChatModel, tools: list[Any], text: str = "Hi", **more: Any) -> dict[str, Any]:
    """The final state of an agent."""
    agent: Any = create_agent(chat, tools, **more)
    state: dict[str, Any] = agent.invoke({"messages": [HumanMessage(text)]})
    return state


def raised(function: Any) -> str:
    """The name of the error that this raises; "" for none."""
    try:
        function()
    except Exception as exc:  # noqa: BLE001 - its name is the value
        return type(exc).__name__
    return ""


# --- structured output ------------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/langchain-ai/langchain-google/issues/1207", right="OutputParserException")
def langchain_google_1207() -> Any:
    """A malformed function call made with_structured_output return None, without any error."""
    broken = turn('<tool_call>{"name": "Joke", "arguments": print(default_api.Joke())}</tool_call>')
    return raised(lambda: model(broken, broken).with_structured_output(Joke).invoke("Tell me a joke."))


@REPORTS.replay("https://github.com/langchain-ai/langchain-community/pull/63", right=Joke(**JOKE))
def langchain_community_63() -> Any:
    """The model was free not to call the schema's function, so that plain text became None."""
    return model(turn("hi!!"), turn(call("Joke", **JOKE))).with_structured_output(Joke).invoke("hi!!")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/36349", right=Joke(**JOKE))
def langchain_36349() -> Any:
    """An agent with a tool strategy ended without structured_response when the model forgot the tool call."""
    forgetful = model(turn("Here is a joke."), turn(call("Joke", **JOKE)))
    return run_agent(forgetful, [], response_format=ToolStrategy(Joke))["structured_response"]


@REPORTS.replay("https://github.com/cuga-project/cuga-agent/issues/639", right=Joke(**JOKE))
def cuga_agent_639() -> Any:
    """The endpoint ignored json_schema and answered with prose or renamed keys, and no fallback fired."""
    renamed = turn(json.dumps({"Setup": "Why?", "Punchline": "Because."}))
    first = model(renamed, renamed).with_structured_output(Joke, method="json_schema")
    second = model(turn(json.dumps(JOKE))).with_structured_output(Joke, method="json_mode")
    return first.with_fallbacks([second], exceptions_to_handle=(OutputParserException,)).invoke("Tell me a joke.")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/34085", right={"name": "Ada"})
def langchain_34085() -> Any:
    """NotRequired in a TypedDict raised a TypeError when its schema was converted."""

    class Person(TypedDict):
        name: str
        age: NotRequired[int]

    return model(turn(call("Person", name="Ada"))).with_structured_output(Person).invoke("Who?")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/36490", right=["required_value"])
def langchain_36490() -> Any:
    """All keys of a TypedDict with total=False were marked as required."""

    class PartialPayload(TypedDict, total=False):
        required_value: Required[int]
        optional_value: str

    bound: Any = model().bind_tools([PartialPayload])
    return bound.kwargs["tools"][0]["function"]["parameters"]["required"]


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/30797", right={"$ref": "#/$defs/Expression"})
def langchain_30797() -> Any:
    """References in a recursive tool schema were resolved, which lost the recursion."""
    backend = FakeBackend(turn("Hi"))
    model_of(backend).bind_tools([Expression]).invoke("Hi")
    line = next(line for line in backend.prompts[0].text.splitlines() if line.startswith('{"name"'))
    return json.loads(line)["parameters"]["properties"]["inner"]["anyOf"][0]


class Expression(BaseModel):
    """An expression."""

    inner: Expression | int


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/25460", right={"answer": 3})
def langchain_25460() -> Any:
    """OpenAI's own form of a response format was refused as a schema."""
    inner = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
    schema = {"name": "math_reasoning", "schema": inner, "strict": True}
    return model(turn('{"answer": 3}')).with_structured_output(schema, method="json_schema").invoke("1 + 2?")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/28090", right=Joke(**JOKE))
def langchain_28090() -> Any:
    """with_structured_output failed on a field whose type is a union of two classes."""

    class Conversation(BaseModel):
        response: str

    class Final(BaseModel):
        final_output: Joke | Conversation

    return model(turn(call("Final", final_output=JOKE))).with_structured_output(Final).invoke("Joke?").final_output


@REPORTS.replay(
    "https://github.com/langchain-ai/langchain/issues/29886",
    right={"legal_notice": None, "faq": "https://example.com/faq"},
)
def langchain_29886() -> Any:
    """With a TypedDict and json_schema, the result was the schema with the answer inside of it."""

    class SiteLinks(TypedDict):
        legal_notice: str | None
        faq: str | None

    wrapped = {"title": "SiteLinks", "properties": {"legal_notice": None, "faq": "https://example.com/faq"}}
    turns = [turn(json.dumps(wrapped)), turn(json.dumps(wrapped["properties"]))]
    return model(*turns).with_structured_output(SiteLinks, method="json_schema").invoke("Which links?")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/22332", right=["One.", "Two."])
def langchain_22332() -> Any:
    """A class with a list of strings came back with the list as one string."""

    class Jokes(BaseModel):
        jokes: list[str] = Field(description="Jokes to tell.")

    turns = [turn(call("Jokes", jokes="One. Two.")), turn(call("Jokes", jokes=["One.", "Two."]))]
    return model(*turns).with_structured_output(Jokes).invoke("Jokes?").jokes


@REPORTS.replay(
    "https://github.com/langchain-ai/langchain/pull/38581", right=["OutputParserException", None, "No JSON."]
)
def langchain_38581() -> Any:
    """include_raw raised the parser's error instead of returning it as parsing_error."""
    silent = model(turn("No."), turn("No JSON."))
    result = silent.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("Joke?")
    return [type(result["parsing_error"]).__name__, result["parsed"], result["raw"].text]


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/34599", right=[{"url": "https://example.com"}])
def langchain_34599() -> Any:
    """A strict tool with an optional argument was sent a schema that the provider refuses."""

    def fetch(url: str, headers: dict[str, str] | None = None) -> str:
        """Fetch a page."""
        return f"{url} {headers}"

    bound = model(turn(call("fetch", url="https://example.com"))).bind_tools([fetch], strict=True)
    return [made["args"] for made in bound.invoke("Fetch it.").tool_calls]


@REPORTS.replay("https://github.com/langchain-ai/docs/pull/2497", right=["get_weather"])
def docs_2497() -> Any:
    """Tools beside a structured output made the model call a tool, and code met None without a warning."""
    asked = model(turn(call("get_weather", city="Bern")))
    result = asked.with_structured_output(Joke, tools=[get_weather], include_raw=True).invoke("Weather?")
    assert result["parsing_error"] is None
    return [made["name"] for made in result["raw"].tool_calls]


# --- calls ------------------------------------------------------------------------------------------------------------


@REPORTS.replay(
    "https://github.com/langchain-ai/langchain/pull/35281", right=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]
)
def langchain_35281() -> Any:
    """Parallel calls in a stream were merged into one, because their chunks had the same index."""
    written = [call("add", a=1, b=2), call("add", a=3, b=4)]
    message = streamed(model(turn(*written), join_deltas=False).bind_tools([add]), "Add.")
    return [(made["name"], made["args"]) for made in message.tool_calls]


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/34671", right=[{"city": "Bern"}])
def langchain_34671() -> Any:
    """Chunks of a call without an index were not merged in an agent's stream, and the next request failed."""
    agent: Any = create_agent(model(turn(*call("get_weather", city="Bern")), turn("Sunny.")), [get_weather])
    parts = [part for part, _ in agent.stream({"messages": [HumanMessage("Weather?")]}, stream_mode="messages")]
    chunks = [part for part in parts if isinstance(part, AIMessageChunk) and part.tool_call_chunks]
    return [made["args"] for made in summed(chunks).tool_calls]


@REPORTS.replay("https://github.com/oracle/langchain-oracle/pull/108", right=[1, {"city": "Bern"}])
def langchain_oracle_108() -> Any:
    """Each chunk of a call had an id of its own, so that its arguments came back empty."""
    chunks = list(
        model(turn(*call("get_weather", city="Bern")), join_deltas=False).bind_tools([get_weather]).stream("?")
    )
    ids = {part["id"] for chunk in chunks for part in getattr(chunk, "tool_call_chunks", ()) if part["id"]}
    return [len(ids), summed(chunks).tool_calls[0]["args"]]


@REPORTS.replay(
    "https://github.com/langchain-ai/langchain-litellm/issues/249", right=[[], ["get_weather"], "tool_calls"]
)
def langchain_litellm_249() -> Any:
    """Malformed arguments became a valid call without arguments, which an agent then made."""
    cut = turn('<tool_call>{"name": "get_weather", "arguments": {"city": "Par')
    message = model(cut, cut).bind_tools([get_weather]).invoke("Weather?")
    invalid = [made["name"] for made in message.invalid_tool_calls]
    return [message.tool_calls, invalid, message.response_metadata["finish_reason"]]


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/33504", right="It is sunny in Bern.")
def langchain_33504() -> Any:
    """An agent ended in silence when the arguments of a call were not JSON, and the model never learned of it."""
    broken = turn("<tool_call>{'city': Bern}</tool_call>")
    state = run_agent(model(broken, turn(call("get_weather", city="Bern")), turn("Sunny.")), [get_weather])
    return state["messages"][2].text


@REPORTS.replay("https://github.com/langchain-ai/deepagents/issues/4662", right=True)
def deepagents_4662() -> Any:
    """Invalid calls ended the run silently: nothing in the messages said why."""
    broken = turn("<tool_call>{'city': Bern}</tool_call>")
    message = streamed(model(broken, broken).bind_tools([get_weather]), "Weather?")
    (reason,) = message.response_metadata["tool_parse_errors"]
    return reason in message.text


@REPORTS.replay("https://github.com/ollama/ollama/issues/8421", right=["get_weather"])
def ollama_8421() -> Any:
    """tool_choice was accepted and ignored: a forced tool was answered with plain text."""
    polite = model(turn("Hello!"), turn(call("get_weather", city="Bern")))
    bound = polite.bind_tools([get_weather, add], tool_choice="get_weather")
    return [made["name"] for made in bound.invoke("Say hello.").tool_calls]


@REPORTS.replay("https://github.com/ollama/ollama/issues/17921", right=[[], True])
def ollama_17921() -> Any:
    """tool_choice "none" still gave calls of tools."""
    backend = FakeBackend(turn("No tools, then."))
    message = model_of(backend).bind_tools([get_weather], tool_choice="none").invoke("Weather?")
    return [message.tool_calls, "get_weather" not in backend.prompts[0].text]


@REPORTS.replay("https://github.com/vllm-project/vllm/issues/45167", right=[{"city": "echo </tool_call> test"}])
def vllm_45167() -> Any:
    """A closing tag inside a string argument cut the call, which was then dropped."""
    message = streamed(model(turn(*call("get_weather", city="echo </tool_call> test"))).bind_tools([get_weather]), "?")
    return [made["args"] for made in message.tool_calls]


@REPORTS.replay("https://github.com/vllm-project/vllm/issues/32152", right=[{"a": 1, "b": 2}] * 4)
def vllm_32152() -> Any:
    """The last brace of the arguments was lost when the stream was cut in certain places."""
    text = call("add", a=1, b=2)
    cuts = [[text[at : at + size] for at in range(0, len(text), size)] for size in (1, 2, 7, len(text))]
    asked = [model(turn(*pieces), join_deltas=False).bind_tools([add]) for pieces in cuts]
    return [streamed(bound, "Add.").tool_calls[0]["args"] for bound in asked]


@REPORTS.replay(
    "https://github.com/ggml-org/llama.cpp/issues/18183",
    right=[[], 'Write {"name": "main", "arguments": {}} into the file.'],
)
def llama_cpp_18183() -> Any:
    """JSON in sample code was taken for a call of a tool that does not exist."""
    text = 'Write {"name": "main", "arguments": {}} into the file.'
    message = model(turn(*text)).bind_tools([get_weather]).invoke("How?")
    return [message.tool_calls, message.text]


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/37686", right=["北京", True])
def langchain_37686() -> Any:
    """Text that is not ASCII was escaped in the chunks of calls."""
    bound = model(turn(call("get_weather", city="北京"))).bind_tools([get_weather])
    chunks: list[Any] = list(bound.stream("天气?"))
    raw = "".join(part["args"] or "" for chunk in chunks for part in chunk.tool_call_chunks)
    return [summed(chunks).tool_calls[0]["args"]["city"], "北京" in raw]


@REPORTS.replay("https://github.com/langchain-ai/langchain-google/issues/1789", right=True)
def langchain_google_1789() -> Any:
    """Arguments that are not ASCII came back escaped when a history was sent again."""
    backend = FakeBackend(turn("晴"))
    made = ToolCall(name="get_weather", args={"city": "北京"}, id="1", type="tool_call")
    model_of(backend).invoke(
        [HumanMessage("天气?"), AIMessage("", tool_calls=[made]), ToolMessage("晴", tool_call_id="1")]
    )
    return '{"city": "北京"}' in (backend.prompts[0].context or "")


# --- messages ---------------------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/langchain-ai/langchain-mcp-adapters/pull/107", right=["[image]", 1])
def langchain_mcp_adapters_107() -> Any:
    """A picture that an MCP tool returned made the next request fail."""
    backend = FakeBackend(turn("A page."))
    made = ToolCall(name="screenshot", args={}, id="1", type="tool_call")
    picture = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    history = [HumanMessage("Look."), AIMessage("", tool_calls=[made]), ToolMessage([picture], tool_call_id="1")]
    model_of(backend).invoke(history)
    (prompt,) = backend.prompts
    return [prompt.text.splitlines()[1], len(prompt.images)]


@REPORTS.replay("https://github.com/langgenius/dify/pull/41192", right="[file: application/pdf]")
def dify_41192() -> Any:
    """A file in an earlier turn was sent again to a model that does not take files, and broke every later turn."""
    backend = FakeBackend(turn("Fine."))
    pdf = {"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}
    model_of(backend).invoke([HumanMessage([pdf]), AIMessage("I cannot read it."), HumanMessage("Never mind.")])
    return (backend.prompts[0].context or "").splitlines()[1]


@REPORTS.replay("https://github.com/langchain-ai/langchain-google/issues/1378", right=True)
def langchain_google_1378() -> Any:
    """A PDF in the question raised a ValueError that did not say what is allowed."""
    question = HumanMessage([{"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}])
    try:
        model().invoke([question])
    except Exception as exc:  # noqa: BLE001 - its text is looked at
        return "block of type 'file'" in str(exc) and "Allowed: text, and pictures" in str(exc)
    return False


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/20835", right=True)
def langchain_20835() -> Any:
    """A system message that is not the first raised an error, so that routers and supervisors did not work."""
    backend = FakeBackend(turn("FINISH"))
    model_of(backend).invoke([SystemMessage("Route."), HumanMessage("Hi"), SystemMessage("Who should act next?")])
    return "[system](#message)\nWho should act next?" in (backend.prompts[0].context or "")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/27656", right=2)
def langchain_27656() -> Any:
    """Of two system messages around the history only one reached the model."""
    backend = FakeBackend(turn("FINISH"))
    prompt = ChatPromptTemplate([("system", "You are a supervisor."), ("human", "Hi"), ("system", "Select one.")])
    (prompt | model_of(backend)).invoke({})
    return (backend.prompts[0].context or "").count("[system](#message)")


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/28164", right="hi bob")
def langchain_28164() -> Any:
    """A second system message before the question raised a ValueError."""
    prompt = ChatPromptTemplate([("system", "Be helpful."), ("user", "I am bob"), ("system", "hi"), ("user", "me?")])
    return (prompt | model(turn("hi bob"))).invoke({}).text


@REPORTS.replay("https://github.com/langchain-ai/langgraph-supervisor-py/issues/67", right="Done.")
def langgraph_supervisor_py_67() -> Any:
    """A call in the history without a result was refused as an invalid chat history."""
    made = ToolCall(name="transfer_to_planner", args={}, id="1", type="tool_call")
    return model(turn("Done.")).invoke([HumanMessage("Plan."), AIMessage("", tool_calls=[made], name="intent")]).text


# --- streams ----------------------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/29273", right=1)
def langchain_29273() -> Any:
    """Each chunk had the citations, so that the sum of the chunks had them many times."""
    cited = turn(*"It rains.[^1^]", citations=(ev.Citation(1, "https://example.com/a", "A", ((9, 14),)),))
    return len(streamed(model(cited, join_deltas=False), "?").response_metadata["citations"])


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/34730", right=["And tomorrow?"])
def langchain_34730() -> Any:
    """What the service sends with its last chunk was missing from streams."""
    return streamed(model(turn("It ", "rains.", suggestions=("And tomorrow?",))), "?").response_metadata["suggestions"]


@REPORTS.replay("https://github.com/langchain-ai/langchainjs/issues/11054", right=["bing-balanced", "stop"])
def langchainjs_11054() -> Any:
    """The model's name and the finish reason were doubled when chunks were added."""
    metadata = streamed(model(turn("One ", "two.")), "?").response_metadata
    return [metadata["model_name"], metadata["finish_reason"]]


@REPORTS.replay("https://github.com/langchain-ai/langchainjs/issues/11230", right=[True, True])
def langchainjs_11230() -> Any:
    """The model's name was missing from streams, so that tracers could not tell which model it was."""
    messages = [model(turn("Hi")).invoke("?"), streamed(model(turn("Hi")), "?")]
    return ["model_name" in message.response_metadata for message in messages]


@REPORTS.replay("https://github.com/langchain-ai/langchainjs/issues/11074", right=["text", "tool_call"])
async def langchainjs_11074() -> Any:
    """Text before a call in a stream of blocks swallowed the call, whose index was the same."""
    bound: Any = model(turn("I call a tool. ", call("add", a=1, b=2)), output_version="v1").bind_tools([add])
    stream = await bound.astream_events("Add.", version="v3")
    return [block["type"] for block in (await stream.output).content_blocks]


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/40401", right=[1, 3])
async def langchain_40401() -> Any:
    """Parallel calls without an index collided in the newest message streams, and earlier ones were lost."""
    bound: Any = model(turn(call("add", a=1, b=2), call("add", a=3, b=4))).bind_tools([add])
    stream = await bound.astream_events("Add.", version="v3")
    return [made["args"]["a"] for made in (await stream.output).tool_calls]


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/34922", right="")
def langchain_34922() -> Any:
    """An empty stream raised a ValueError, which ended the agent."""
    return streamed(model(turn()), "?").text


@REPORTS.replay("https://github.com/langchain-ai/langgraphjs/issues/1321", right=1)
def langgraphjs_1321() -> Any:
    """The chunks of a stream and its final message had different ids, so that chats showed it twice."""
    agent: Any = create_agent(model(turn("One ", "two."), join_deltas=False), [])
    ids: set[Any] = set()
    for mode, part in agent.stream({"messages": [HumanMessage("Hi")]}, stream_mode=["messages", "values"]):
        if mode == "messages":
            ids.add(part[0].id)
        elif isinstance(part["messages"][-1], AIMessage):
            ids.add(part["messages"][-1].id)
    return len(ids)


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/37976", right=0)
async def langchain_37976() -> Any:
    """Leaving the stream of a chain left the connection to the service open."""
    backend = FakeBackend([ev.TextDelta("One"), Pause()])
    stream = (ChatPromptTemplate([("human", "{x}")]) | model_of(backend)).astream({"x": "Hi"})
    async for _chunk in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    del stream
    for _turn in range(100):  # LangChain lets go of it step by step, each in a turn of the loop
        await asyncio.sleep(0)
    return backend.open_channels


@REPORTS.replay("https://github.com/vllm-project/vllm/issues/2577", right="Thought: I look. ")
def vllm_2577() -> Any:
    """A stop sequence that came in several pieces of a stream did not stop it."""
    return streamed(model(turn(*"Thought: I look. Observation: none")), "?", stop=["Observation:"]).text


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/38047", right="1 2 3 4 ")
def langchain_38047() -> Any:
    """Stop was accepted, dropped before the request, and only logged."""
    return model(turn("1 2 3 4 5 6"), stop=["5"]).invoke("Count to 6.").text


# --- usage, tokens, profiles ------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/langchain-ai/langchain-litellm/issues/16", right=True)
def langchain_litellm_16() -> Any:
    """Streams had no usage_metadata, where the same call without streaming had some."""
    whole = model(turn("Hello ", "there."), estimate_usage=True).invoke("Hi").usage_metadata
    return (
        whole is not None
        and streamed(model(turn("Hello ", "there."), estimate_usage=True), "Hi").usage_metadata == whole
    )


@REPORTS.replay("https://github.com/langchain-ai/langgraph/issues/5878", right=True)
async def langgraph_5878() -> Any:
    """usage_metadata was None when stream=True was passed to ainvoke."""
    chat: Any = model(turn("Hello."), estimate_usage=True)
    return (await chat.ainvoke("Hi", stream=True)).usage_metadata["total_tokens"] > 0


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/30162", right=[True, True])
def langchain_30162() -> Any:
    """get_num_tokens_from_messages needed the transformers package."""
    chat, history = model(), [HumanMessage("Hello"), AIMessage("Hi")]
    return [chat.get_num_tokens_from_messages(history) > 0, chat.get_num_tokens("Hello") > 0]


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/34664", right=True)
def langchain_34664() -> Any:
    """The tokens of tools were not counted, so that the window overflowed."""
    history = [HumanMessage("Hello")]
    return model().get_num_tokens_from_messages(history, tools=[get_weather, add]) > 50


@REPORTS.replay("https://github.com/bytedance/deer-flow/pull/4901", right="Hello.")
def deer_flow_4901() -> Any:
    """A summarization at a fraction of the window could not be built, because the model had no profile."""
    chat = model(turn("Hello."))
    return run_agent(chat, [], middleware=[SummarizationMiddleware(chat, trigger=("fraction", 0.8))])["messages"][
        -1
    ].text


# --- life -------------------------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/bytedance/deer-flow/issues/2615", right=["Hello.", "Hello."])
def deer_flow_2615() -> Any:
    """A cached asynchronous client was used on another event loop, and failed because its first one was closed."""
    with Emulator(Scripted(lambda _question: ["Hello."])) as emulator, ChatBing(endpoint=emulator.url) as chat:
        ask: Any = RunnableLambda(lambda _: asyncio.run(chat.ainvoke("Hi")).text)
        with ThreadPoolExecutor(1) as thread:
            return list(thread.map(ask.invoke, ["", ""]))


@REPORTS.replay(
    "https://github.com/langchain-ai/langchain/issues/5431", right=["bing-precise", "bing-precise", "bing-precise"]
)
def langchain_5431() -> Any:
    """A model could neither be copied nor pickled, because of a lock in it."""
    chat = ChatBing(backend="emulator", model="bing-precise")
    copies = [copy.deepcopy(chat), chat.model_copy(deep=True), pickle.loads(pickle.dumps(chat))]  # noqa: S301 - ours
    return [each.model for each in copies]


@REPORTS.replay("https://github.com/traceloop/openllmetry/issues/3518", right=True)
def openllmetry_3518() -> Any:
    """A tracer that copies the state of an agent failed on the model in it."""
    state = {"llm": model(turn("Hi")), "documents": [1]}
    return bool(copy.deepcopy(state)["llm"].invoke("?").text)


@REPORTS.replay("https://github.com/langchain-ai/langchain-community/issues/478", right=[False, False, False])
def langchain_community_478() -> Any:
    """The repr of a model showed its key."""
    chat = ChatBing(backend="emulator", api_key=SECRET)
    return ["sesame" in text for text in (repr(chat), str(chat.model_dump()), dumps(chat))]


@REPORTS.replay("https://github.com/langchain-ai/langchain/issues/8499", right=False)
def langchain_8499() -> Any:
    """The parameters that a tracer is given had the key in them."""
    seen: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            seen.append(f"{serialized} {messages} {kwargs}")

    with Emulator(Scripted(lambda _question: ["Hello."])) as emulator:
        ChatBing(endpoint=emulator.url, api_key=SECRET).invoke("Hi", RunnableConfig(callbacks=[Tracer()]))
    return "sesame" in seen[0]


@REPORTS.replay("https://github.com/langchain-ai/langchain-google/issues/1452", right=[1, "ServiceError"])
def langchain_google_1452() -> Any:
    """max_retries=0 was ignored: the model tried again all the same."""
    backend = FakeBackend(ServiceError("Busy."), turn("Hi"))
    error = raised(lambda: model_of(backend, max_retries=0).invoke("Hi"))
    return [len(backend.prompts), error]


@REPORTS.replay("https://github.com/onyx-dot-app/onyx/pull/357", right=2)
def onyx_357() -> Any:
    """LangChain's retries and those of the client multiplied."""
    backend = FakeBackend(*[ServiceError("Busy.")] * 9)
    retried = model_of(backend).bind_tools([add]).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert raised(lambda: retried.invoke("Hi"))
    return len(backend.prompts)


@REPORTS.replay("https://github.com/langchain-ai/langchain/pull/9233", right="From the second.")
def langchain_9233() -> Any:
    """Another model should answer where the first one fails."""
    first, second = model(*[ServiceError("Busy.")] * 3, max_retries=0), model(turn("From the second."))
    return run_agent(first, [], middleware=[ModelFallbackMiddleware(second)])["messages"][-1].text


@REPORTS.replay("https://github.com/langchain-ai/langsmith-sdk/issues/839", right=["One ", "two."])
async def langsmith_sdk_839() -> Any:
    """Callbacks of a streamed chain did not get what those of an invoked one get."""
    tokens: list[str] = []

    class Handler(AsyncCallbackHandler):
        async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:  # noqa: ARG002
            tokens.append(token)

    chain = ChatPromptTemplate([("human", "{x}")]) | model(turn("One ", "two."), join_deltas=False)
    reduce(operator.add, [chunk async for chunk in chain.astream({"x": "Hi"}, {"callbacks": [Handler()]})])
    return [token for token in tokens if token]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.id)
@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_the_report_has_the_right_value(report: Report) -> None:
    """What went wrong there is right here."""
    assert await report.value() == report.right, report.situation


def test_each_report_is_one() -> None:
    """No link comes twice, and each situation is a sentence."""
    assert len({report.link for report in REPORTS}) == len(REPORTS) >= 40
    assert all(report.link.startswith("https://github.com/") for report in REPORTS)
    assert all(report.situation.endswith(".") for report in REPORTS)
