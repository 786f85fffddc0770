"""Traces: what OpenInference, and so Arize Phoenix, records of a call, of a stream and of an agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from openinference.instrumentation.llama_index._handler import END_OF_QUEUE
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from bing_llm.errors import Unauthorized
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.models import CHATS, WAYS, llm_of, responses_of
from tests.integrations.turns import call, turn

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # in OpenInference
]

FIRST_TOKEN = "First Token Stream Event"


class Mooring(BaseModel):
    """Where a boat lies."""

    number: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What was traced."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    yield exporter
    instrumentor.uninstrument()
    instrumentor._span_handler._export_queue.queue.put(END_OF_QUEUE)  # else its thread runs as long as the process
    provider.shutdown()


def llm_spans(exporter: InMemorySpanExporter, prefix: str = "Bing.") -> list[ReadableSpan]:
    """The spans of calls of the model."""
    names = tuple(f"{prefix}{way}" for way in WAYS)
    return [span for span in exporter.get_finished_spans() if span.name in names]


def read(span: ReadableSpan, key: str) -> Any:
    """An attribute of a span."""
    return (span.attributes or {}).get(key)


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_one_span(way: str, exporter: InMemorySpanExporter) -> None:
    """With the model, the question, the answer and its times, streamed or not."""
    llm = llm_of(FakeBackend(turn("One ", "two.")))
    await responses_of(llm, way, "Hello")
    [span] = llm_spans(exporter)
    assert read(span, "openinference.span.kind") == "LLM"
    assert span.status.status_code is StatusCode.OK
    assert read(span, "llm.model_name") == llm.model
    assert "One two." in read(span, "output.value")
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time > span.start_time
    assert [event.name for event in span.events] == ([FIRST_TOKEN] if "stream" in way else [])
    if "chat" in way:
        assert read(span, "llm.input_messages.0.message.content") == "Hello"
        assert read(span, "llm.output_messages.0.message.role") == "assistant"
        assert read(span, "llm.output_messages.0.message.content") == "One two."
    else:
        assert list(read(span, "llm.prompts")) == ["Hello"]


@pytest.mark.parametrize("way", CHATS)
async def test_a_span_has_the_calls(way: str, exporter: InMemorySpanExporter) -> None:
    """With their names and arguments, and the tools that the model was offered."""
    llm = llm_of(FakeBackend(turn(call("add", a=2, b=3))))
    await responses_of(llm, way, "What is 2 + 3?", tools=[add])
    [span] = llm_spans(exporter)
    made = "llm.output_messages.0.message.tool_calls.0.tool_call."
    assert read(span, f"{made}function.name") == "add"
    assert read(span, f"{made}function.arguments") == '{"a": 2, "b": 3}'
    assert read(span, f"{made}id").startswith("call_")
    assert read(span, "llm.finish_reason") == "tool_calls"


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agent_has_a_span_for_each_call(streaming: bool, exporter: InMemorySpanExporter) -> None:  # noqa: FBT001
    """Two calls of the model and one of the tool, all in the trace of the agent."""
    llm = llm_of(FakeBackend(turn(call("add", a=2, b=3)), turn("It is 5.")))
    await FunctionAgent(tools=[add], llm=llm, streaming=streaming).run("What is 2 + 3?")
    spans = exporter.get_finished_spans()
    first, second = llm_spans(exporter)
    assert read(first, "llm.output_messages.0.message.tool_calls.0.tool_call.function.name") == "add"
    assert read(second, "llm.input_messages.2.message.content") == "5"
    assert read(second, "llm.output_messages.0.message.content") == "It is 5."
    assert [read(span, "openinference.span.kind") for span in spans if span.name.startswith("FunctionTool")] == ["TOOL"]
    assert len({span.context.trace_id for span in spans if span.context}) == 1


@pytest.mark.parametrize("way", ["structured_predict", "stream_structured_predict"])
def test_an_object_is_in_the_trace(way: str, exporter: InMemorySpanExporter) -> None:
    """The call of the model that gave the object is a span, with the JSON that came."""
    llm = llm_of(FakeBackend(turn('{"number": ', "12}")))
    made = getattr(llm, way)(Mooring, PromptTemplate("Where?"))
    if "stream" in way:
        made = list(made)[-1]
    assert made == Mooring(number=12)
    [span] = llm_spans(exporter)
    assert read(span, "llm.output_messages.0.message.content") == '{"number": 12}'


@pytest.mark.parametrize("way", ["chat", "stream_chat"])
def test_a_failure_is_a_span_with_the_error(way: str, exporter: InMemorySpanExporter) -> None:
    """A call that fails is in the trace, with its error."""
    llm = llm_of(FakeBackend([Unauthorized("No.")]))
    with pytest.raises(Unauthorized):
        _drain(getattr(llm, way)([ChatMessage("Hello")]))
    [span] = llm_spans(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert "Unauthorized" in str([event.attributes for event in span.events])


def _drain(answer: Any) -> None:
    for _ in answer:
        pass


def test_a_stream_that_is_left_ends_its_span(exporter: InMemorySpanExporter) -> None:
    """A span does not wait for a stream that nobody reads on."""
    stream = Bing(client=llm_of(FakeBackend(turn("One ", "two."))).client).stream_chat([ChatMessage("Hello")])
    next(stream)
    stream.close()
    [span] = llm_spans(exporter)
    assert span.end_time is not None
