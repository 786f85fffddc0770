"""Public reports about LlamaIndex's LLMs, replayed on `Bing`."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import Document, PromptTemplate
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent, ToolCallResult
from llama_index.core.async_utils import asyncio_run
from llama_index.core.base.llms.types import (
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.evaluation import CorrectnessEvaluator
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.response_synthesizers import ResponseMode, TreeSummarize, get_response_synthesizer
from llama_index.core.schema import TextNode
from pydantic import BaseModel, Field

from bing_llm import events as ev
from bing_llm.errors import ServiceError
from bing_llm.testing.llama_index.recording import recorded
from llama_index.llms.bing import Bing, convert
from tests.fakes import FakeBackend, Line, Pause, Turn
from tests.integrations.llama_index.llms.bing.knowledge import index_of, memory
from tests.integrations.llama_index.llms.bing.models import asked, llm_of, user
from tests.integrations.public_cases.reports import Report, Reports
from tests.integrations.turns import call, turn

REPORTS = Reports()
LLAMA = "https://github.com/run-llama/llama_index/issues/"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
LONG = "The sea is wide, and the harbour of the northern town is small. " * 900


class City(BaseModel):
    """A city."""

    name: str
    people: int | None = None


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def llm(*turns: Turn, **settings: Any) -> Bing:
    """An LLM whose service says this, one turn after another."""
    return llm_of(FakeBackend(*turns), **settings)


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """What functions return that run without an event loop, one after another."""
    with ThreadPoolExecutor(1) as pool:
        return [pool.submit(function).result() for function in functions]


async def run_agent(agent: Any, question: str, **options: Any) -> tuple[str, list[Any]]:
    """The answer of an agent, and the events that it streamed."""
    handler = agent.run(question, **options)
    events = [event async for event in handler.stream_events()]
    return str(await handler), events


# --- streams ----------------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}9394", right="One two.")
def delta() -> Any:
    """The deltas of a stream were empty, so that everything made of them was."""
    return "".join(response.delta or "" for response in llm(turn("One ", "two.")).stream_complete("Hi"))


@REPORTS.replay(f"{LLAMA}12118", right="At the north quay.")
def query_stream() -> Any:
    """A streaming query engine gave no tokens, although the answer was there."""
    engine = index_of().as_query_engine(llm=llm(turn("At the ", "north quay.")), streaming=True)
    response: Any = engine.query("Where?")
    return "".join(response.response_gen)


@REPORTS.replay(f"{LLAMA}12031", right=["At the ", "north ", "quay."])
def streamed_in_pieces() -> Any:
    """A streaming query gave its whole answer in one piece."""
    model = llm(turn("At the ", "north ", "quay."), join_deltas=False)
    response: Any = index_of().as_query_engine(llm=model, streaming=True).query("Where?")
    return [token for token in response.response_gen if token]


@REPORTS.replay(f"{LLAMA}7016", right="Hello there.")
def chat_engine_stream() -> Any:
    """A chat engine could not stream with an LLM that was not OpenAI's."""
    engine = SimpleChatEngine.from_defaults(llm=llm(turn("Hello ", "there.")), memory=memory())
    return "".join(engine.stream_chat("Hi").response_gen)


@REPORTS.replay(f"{LLAMA}13503", right=0)
def closed_stream() -> Any:
    """A stream could not be closed: its connection stayed open until all had been read."""
    backend = FakeBackend(turn("One ", *["more "] * 50))
    stream = llm_of(backend, join_deltas=False).stream_chat(asked())
    next(stream)
    stream.close()
    return backend.open_channels


@REPORTS.replay(f"{LLAMA}12242", right=0)
async def cancelled_stream() -> Any:
    """Generation could not be cancelled, except by ending the process."""
    backend = FakeBackend([ev.TextDelta("One "), Pause()])
    stream = await llm_of(backend).astream_chat(asked())
    await anext(stream)
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return backend.open_channels


# --- event loops ------------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}20433", right=["One", "Two", "Three"])
def loops_that_come_and_go() -> Any:
    """With an LLM that was used on several event loops, calls failed with "Event loop is closed"."""
    model = llm(turn("One"), turn("Two"), turn("Three"))
    return in_threads(*[lambda: str(asyncio.run(model.acomplete("Hi")))] * 3)


@REPORTS.replay(f"{LLAMA}16336", right=["One", "Two", "Three"])
def sync_after_async() -> Any:
    """An agent that calls the LLM from its own loop failed with "Event loop is closed" in the second step."""
    model = llm(turn("One"), turn("Two"), turn("Three"))
    steps = (
        lambda: str(asyncio_run(model.acomplete("Hi"))),
        lambda: str(model.complete("Hi")),
        lambda: str(asyncio_run(model.acomplete("Hi"))),
    )
    return in_threads(*steps)


@REPORTS.replay(f"{LLAMA}13827", right=[4.0, 4.0])
def evaluated_twice() -> Any:
    """In a web server, the second evaluation failed with "Event loop is closed"."""
    evaluator = CorrectnessEvaluator(llm=llm(turn("4.0\nGood."), turn("4.0\nGood.")))
    return in_threads(*[lambda: evaluator.evaluate(query="Q", response="A", reference="A").score] * 2)


@REPORTS.replay(f"{LLAMA}13904", right=["A summary."])
async def extractor_in_a_loop() -> Any:
    """An extractor in a pipeline of a web server failed with "no running event loop"."""
    extractor = SummaryExtractor(llm=llm(turn("A summary.")), summaries=["self"], show_progress=False)
    return [found["section_summary"] for found in await extractor.aextract([TextNode(text="The sea is wide.")])]


@REPORTS.replay(f"{LLAMA}9678", right=["One", "Two"])
def streams_of_two_loops() -> Any:
    """A streamed chat on a second loop failed, since an event was bound to another one."""
    model = llm(turn("One"), turn("Two"))

    async def said() -> str:
        return "".join([chunk.delta or "" async for chunk in await model.astream_chat(asked())])

    return in_threads(*[lambda: asyncio.run(said())] * 2)


@REPORTS.replay("https://github.com/run-llama/llama_index/pull/21173", right=["LLMChatStartEvent"] * 2)
async def overlapping_calls() -> Any:
    """Asynchronous calls blocked the event loop, so that two of them ran one after the other."""
    model = llm(turn("One"), turn("Two"))
    with recorded() as events:
        await asyncio.gather(model.achat(asked()), model.achat(asked()))
    return [type(event).__name__ for event in events if "LLMChat" in type(event).__name__][:2]


@REPORTS.replay(f"{LLAMA}13375", right=8)
def threads() -> Any:
    """It was not known whether an LLM may be used by several threads at once."""
    model = llm(*[turn("Hi")] * 8)
    with ThreadPoolExecutor(8) as pool:
        return sum(str(answer) == "Hi" for answer in pool.map(model.complete, ["Hi"] * 8))


# --- counting and tracing ---------------------------------------------------------------------------------------------


def counted(*turns: Sequence[Line]) -> tuple[Bing, TokenCountingHandler]:
    """An LLM, and what counts its tokens, one for each word."""
    counter = TokenCountingHandler(tokenizer=str.split)
    return llm(*turns, callback_manager=CallbackManager([counter])), counter


@REPORTS.replay(f"{LLAMA}12214", right=True)
def count_of_a_chat_engine() -> Any:
    """The token counter stayed at 0 after a streamed chat of an engine."""
    model, counter = counted(turn("One two three."))
    list(SimpleChatEngine.from_defaults(llm=model, memory=memory()).stream_chat("Hi").response_gen)
    return counter.completion_llm_token_count >= 3


@REPORTS.replay(f"{LLAMA}19740", right=True)
def count_of_a_stream() -> Any:
    """The token counter stayed at 0 after a stream."""
    model, counter = counted(turn("One ", "two ", "three."))
    for _ in model.stream_chat(asked()):
        pass
    return counter.prompt_llm_token_count > 0 and counter.completion_llm_token_count >= 3


@REPORTS.replay(f"{LLAMA}17673", right=0)
def count_of_both() -> Any:
    """A stream was counted in another way than the same answer as a whole, and raised."""
    model, counter = counted(turn("One two three."), turn("One ", "two ", "three."))
    model.chat(asked())
    whole = counter.completion_llm_token_count
    list(model.stream_chat(asked()))
    return counter.completion_llm_token_count - 2 * whole


@REPORTS.replay(f"{LLAMA}8043", right=True)
async def count_of_calls() -> Any:
    """What agents wrote to call functions was not in the count."""
    model, counter = counted(turn(call("add", a=2, b=3)), turn("It is 5."))
    await run_agent(FunctionAgent(tools=[add], llm=model), "What is 2 + 3?")
    return counter.llm_token_counts[0].completion_token_count > 5


@REPORTS.replay("https://github.com/Arize-ai/phoenix/issues/1867", right=["One two."])
def trace_of_a_stream() -> Any:
    """Streams were not in the traces: the end event of a stream has to hold the whole answer."""
    with recorded() as events:
        list(llm(turn("One ", "two.")).stream_chat(asked()))
    return [str(event.response.message.content) for event in events if type(event).__name__ == "LLMChatEndEvent"]  # type: ignore[attr-defined]


@REPORTS.replay("https://github.com/Arize-ai/phoenix/issues/3274", right=["ServiceError"])
def trace_of_a_failure() -> Any:
    """A call that failed was not in the traces."""
    debug = LlamaDebugHandler(print_trace_on_end=False)
    failing = llm(*[ServiceError("Busy.")] * 9, max_retries=0, callback_manager=CallbackManager([debug]))
    with pytest.raises(ServiceError):
        failing.chat(asked())
    ((_, end),) = debug.get_llm_inputs_outputs()
    return [type(value).__name__ for value in (end.payload or {}).values()]


# --- tools and agents -------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}11013", right=[("add", {"a": 2, "b": 3})])
def call_in_a_stream() -> Any:
    """A streamed chat called no tools, although the same chat as a whole did."""
    model = llm(turn(call("add", a=2, b=3)))
    *_, last = model.stream_chat(asked(), tools=[add])
    return [(made.tool_name, made.tool_kwargs) for made in model.get_tool_calls_from_response(last)]


@REPORTS.replay(f"{LLAMA}17713", right=["5"])
async def workflow_calls() -> Any:
    """A workflow whose model streams called no function."""
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=llm(turn(call("add", a=2, b=3)), turn("It is 5.")))
    _, events = await run_agent(workflow, "What is 2 + 3?")
    return [event.tool_output.content for event in events if isinstance(event, ToolCallResult)]


@REPORTS.replay(f"{LLAMA}18363", right="It is 5.")
async def agent_answers() -> Any:
    """The answer of an agent was the text of a call instead of what the tool gave."""
    agent = FunctionAgent(tools=[add], llm=llm(turn(call("add", a=2, b=3)), turn("It is 5.")))
    return (await run_agent(agent, "What is 2 + 3?"))[0]


@REPORTS.replay(f"{LLAMA}19095", right=1)
async def call_made_once() -> Any:
    """An agent made the same call twice, since a stream gave it in two chunks."""
    agent = FunctionAgent(tools=[add], llm=llm(turn("Let me see. ", call("add", a=2, b=3)), turn("It is 5.")))
    _, events = await run_agent(agent, "What is 2 + 3?")
    return sum(isinstance(event, ToolCallResult) for event in events)


@REPORTS.replay(f"{LLAMA}17745", right=("It is 5.", "calculator"))
async def handoff() -> Any:
    """After a handoff, the second agent did not call its tools."""
    model = llm(
        turn(call("handoff", to_agent="calculator", reason="It adds.")), turn(call("add", a=2, b=3)), turn("It is 5.")
    )
    first = FunctionAgent(name="first", description="Talks.", llm=model, can_handoff_to=["calculator"])
    second = FunctionAgent(name="calculator", description="Adds.", llm=model, tools=[add])
    output: Any = await AgentWorkflow(agents=[first, second], root_agent="first").run("What is 2 + 3?")
    return str(output), output.current_agent_name


@REPORTS.replay("https://github.com/run-llama/llama_index/pull/14549", right="Hello.")
async def agent_without_tools() -> Any:
    """An agent without tools failed, since a choice of tools was sent without any."""
    return (await run_agent(FunctionAgent(llm=llm(turn("Hello."))), "Hi"))[0]


@REPORTS.replay(f"{LLAMA}17616", right="It is 5.")
async def history_with_tools() -> Any:
    """With a history of the assistant, a call with tools was refused as invalid."""
    agent = FunctionAgent(tools=[add], llm=llm(turn(call("add", a=2, b=3)), turn("It is 5.")))
    history = [user("Hi"), ChatMessage("Hello.", role=MessageRole.ASSISTANT)]
    return (await run_agent(agent, "What is 2 + 3?", chat_history=history))[0]


@REPORTS.replay(f"{LLAMA}15653", right=("It is 5.", 2))
async def agent_streams() -> Any:
    """An agent that calls functions could not stream its answer."""
    model = llm(turn(call("add", a=2, b=3)), turn("It is ", "5."), join_deltas=False)
    _, events = await run_agent(FunctionAgent(tools=[add], llm=model), "What is 2 + 3?")
    deltas = [event.delta for event in events if isinstance(event, AgentStream) and event.delta]
    return "".join(deltas), len(deltas)


@REPORTS.replay(f"{LLAMA}19487", right=True)
async def message_in_a_memory() -> Any:
    """A message with nested JSON and tags was lost on its way through an agent's memory."""
    content = json.dumps({"error": {"xml": "<a><b>1</b></a>", "list": [{"x": "```json\n{}\n```"}]}})
    backend = FakeBackend(turn("Read."))
    await run_agent(FunctionAgent(llm=llm_of(backend)), f"Analyze this: {content}", memory=memory())
    return content in backend.prompts[0].text


# --- messages ---------------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}19898", right=1)
def calls_of_other_models() -> Any:
    """A history with tool calls of another provider's LLM could not be continued with this one."""
    openai = {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    anthropic = {"id": "x", "type": "tool_use", "name": "add", "input": {"a": 2}}
    block = ToolCallBlock(tool_call_id="x", tool_name="add", tool_kwargs={"a": 2})
    result = ChatMessage("2", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "x"})
    messages = [
        ChatMessage(role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": [openai]}),
        ChatMessage(role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": [anthropic]}),
        ChatMessage([block], role=MessageRole.ASSISTANT),
    ]
    return len({convert([message, result]) for message in messages})


@REPORTS.replay("https://github.com/run-llama/llama_index/pull/16764", right=True)
def calls_in_a_history() -> Any:
    """Tool calls in the history were not sent, so that results stood for nothing."""
    block = ToolCallBlock(tool_call_id="x", tool_name="add", tool_kwargs={"a": 2})
    return '{"name": "add", "arguments": {"a": 2}}' in convert([ChatMessage([block], role=MessageRole.ASSISTANT)])


@REPORTS.replay(f"{LLAMA}20248", right=True)
def result_names_its_tool() -> Any:
    """A tool's result had nothing that told the model which call it was of."""
    blocks = [ToolCallBlock(tool_call_id=name, tool_name=name) for name in ("add", "mul")]
    result = ChatMessage("6", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "mul"})
    return '<tool_result name="mul">\n6\n' in convert([ChatMessage(blocks, role=MessageRole.ASSISTANT), result])


@REPORTS.replay(f"{LLAMA}17573", right=1)
def picture() -> Any:
    """A picture beside the text of a message was not sent."""
    backend = FakeBackend(turn("A boat."))
    llm_of(backend).chat([ChatMessage([TextBlock(text="What is it?"), ImageBlock(image=PNG)])])
    return len(backend.prompts[0].images)


@REPORTS.replay(f"{LLAMA}20120", right="What is it?\nnotes.txt\nHigh water at noon.")
async def document() -> Any:
    """A document in the message to an agent was refused by the service."""
    backend = FakeBackend(turn("Tides."))
    note = DocumentBlock(data=b"High water at noon.", title="notes.txt", document_mimetype="text/plain")
    agent = FunctionAgent(llm=llm_of(backend))
    await agent.run(ChatMessage([TextBlock(text="What is it?"), note]))
    return backend.prompts[0].text


# --- prompts that fit -------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}14066", right=True)
def tree_fits() -> Any:
    """A summary of a long text asked for more tokens than the context window has."""
    backend = FakeBackend(*[turn("The sea.")] * 20)
    TreeSummarize(llm=llm_of(backend)).get_response("Summarize.", [LONG])
    return max(len(prompt.text) + len(prompt.context or "") for prompt in backend.prompts) < 32_000


@REPORTS.replay(f"{LLAMA}8046", right=True)
def window_is_kept() -> Any:
    """A smaller context window was set, and prompts were larger all the same."""
    backend = FakeBackend(*[turn("The sea.")] * 40)
    model = llm_of(backend, context_window=1800)
    get_response_synthesizer(llm=model, response_mode=ResponseMode.COMPACT).get_response("Summarize.", [LONG])
    return max(len(prompt.text) + len(prompt.context or "") for prompt in backend.prompts) < 1800 * 5


# --- objects ----------------------------------------------------------------------------------------------------------


@REPORTS.replay(f"{LLAMA}17677", right=City(name="Paris"))
def structured_llm() -> Any:
    """It was not known how to get an object from a model that writes JSON."""
    return llm(turn('{"name": "Paris"}')).as_structured_llm(City).complete("Describe Paris.").raw


class Account(BaseModel):
    """An account."""

    name: str = Field(pattern=r"^[a-z]+$")
    credit: int = Field(ge=0)


@REPORTS.replay(f"{LLAMA}18799", right=(Account(name="ada", credit=1), 2))
def constraints() -> Any:
    """Patterns and bounds of a schema were not kept."""
    backend = FakeBackend(turn('{"name": "Ada!", "credit": -1}'), turn('{"name": "ada", "credit": 1}'))
    return llm_of(backend).structured_predict(Account, PromptTemplate("Make one.")), len(backend.prompts)


@REPORTS.replay("https://github.com/run-llama/llama_index/pull/17188", right=["Pa", "Paris"])
def object_in_a_stream() -> Any:
    """An object could not be streamed as it grows."""
    model = llm(turn('{"name": "Pa', 'ris"}'), join_deltas=False)
    return [made.name for made in model.stream_structured_predict(City, PromptTemplate("Describe Paris."))]


# --- copies -----------------------------------------------------------------------------------------------------------


@REPORTS.replay("https://github.com/run-llama/llama_deploy/issues/529", right="bing-precise")
def pickled() -> Any:
    """A workflow could not be stored, since its LLM or a handler of it held a lock."""
    handlers = [LlamaDebugHandler(print_trace_on_end=False)]
    model = Bing(backend="emulator", model="bing-precise", callback_manager=CallbackManager(handlers))  # type: ignore[arg-type]
    return pickle.loads(pickle.dumps(model)).model  # noqa: S301 - our own pickle


@REPORTS.replay("https://github.com/langfuse/langfuse/issues/2799", right="Hi")
def copied() -> Any:
    """A copy of a pipeline with an LLM in it failed with "cannot pickle '_thread.RLock' object"."""
    model = llm(turn("Hi"))
    return str(copy.deepcopy({"documents": [Document(text="x")], "llm": model})["llm"].complete("Hi"))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # LlamaIndex's own, as below
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.id)
async def test_the_report_has_the_right_value(report: Report) -> None:
    """What went wrong there is right here."""
    assert await report.value() == report.right, report.situation


def test_each_report_is_one() -> None:
    """No link comes twice, and each situation is a sentence."""
    assert len({report.link for report in REPORTS}) == len(REPORTS) >= 30
    assert all(report.link.startswith("https://github.com/") for report in REPORTS)
    assert all(report.situation.endswith(".") for report in REPORTS)
