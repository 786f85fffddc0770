"""Traces: what OpenInference, and so Arize Phoenix, records of a call, of a stream and of an agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from bing_llm.errors import ConnectionFailed, Unauthorized
from langchain_bing import ChatBing
from tests.fakes import FakeBackend
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import call, turn

pytestmark = pytest.mark.system

SECRET = "open-sesame"
MESSAGES = [SystemMessage("Be brief."), HumanMessage("Why?")]


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


class City(BaseModel):
    """A city."""

    name: str


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What was traced."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    yield exporter
    instrumentor.uninstrument()
    provider.shutdown()


def llm_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """The spans of calls of a model, in the order in which they ended."""
    return [span for span in exporter.get_finished_spans() if read(span, "openinference.span.kind") == "LLM"]


def read(span: ReadableSpan, key: str) -> Any:
    """An attribute of a span."""
    return (span.attributes or {}).get(key)


async def invoke(model: Any) -> None:
    """Ask for the whole answer."""
    model.invoke(MESSAGES)


async def ainvoke(model: Any) -> None:
    """Ask for the whole answer on this loop."""
    await model.ainvoke(MESSAGES)


async def stream(model: Any) -> None:
    """Ask for the answer piece by piece."""
    list(model.stream(MESSAGES))


async def astream(model: Any) -> None:
    """Ask for the answer piece by piece on this loop."""
    chunks: AsyncIterator[Any] = model.astream(MESSAGES)
    _ = [chunk async for chunk in chunks]


WAYS: list[Callable[[Any], Any]] = [invoke, ainvoke, stream, astream]


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_one_span(
    way: Callable[[Any], Any], version: str | None, exporter: InMemorySpanExporter
) -> None:
    """With its messages, the answer, the model and its times, streamed or not."""
    await way(model_of(FakeBackend(turn("Because ", "it is.")), output_version=version, join_deltas=False))
    (span,) = llm_spans(exporter)
    assert span.name == "ChatBing"
    assert span.status.status_code is StatusCode.OK
    assert read(span, "llm.model_name") == "bing-balanced"
    said = [
        (read(span, f"llm.input_messages.{number}.message.role"), text_of(span, f"llm.input_messages.{number}"))
        for number in range(2)
    ]
    assert said == [("system", "Be brief."), ("user", "Why?")]
    assert text_of(span, "llm.output_messages.0") == "Because it is."
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time > span.start_time


def text_of(span: ReadableSpan, message: str) -> str:
    """The text of a message, whose content is text or blocks."""
    blocks = [read(span, f"{message}.message.contents.{number}.message_content.text") for number in range(3)]
    return str(read(span, f"{message}.message.content") or "".join(block or "" for block in blocks))


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_turn_is_not_a_second_span(way: Callable[[Any], Any], exporter: InMemorySpanExporter) -> None:
    """A call that is asked for once more is still one call of the model, with the tool and its arguments."""
    backend = FakeBackend(turn("No."), turn(call("get_weather", city="Bern")))
    await way(model_of(backend).bind_tools([get_weather], tool_choice="any"))
    (span,) = llm_spans(exporter)
    made = "llm.output_messages.0.message.tool_calls.0.tool_call.function"
    assert read(span, f"{made}.name") == "get_weather"
    assert json.loads(read(span, f"{made}.arguments")) == {"city": "Bern"}
    assert "get_weather" in read(span, "llm.tools.0.tool.json_schema")


@pytest.mark.parametrize("way", WAYS)
async def test_estimated_tokens_are_in_the_span(way: Callable[[Any], Any], exporter: InMemorySpanExporter) -> None:
    """Where they are wanted; the service counts none, so there are none by default."""
    await way(model_of(FakeBackend(turn("Because.")), estimate_usage=True))
    await way(model_of(FakeBackend(turn("Because."))))
    counts = [read(span, "llm.token_count.total") for span in llm_spans(exporter)]
    assert counts[0] > 0
    assert counts[1] is None


def test_an_agent_has_a_span_for_each_call(exporter: InMemorySpanExporter) -> None:
    """Two calls of the model and one of the tool, below one chain."""
    agent: Any = create_agent(
        model_of(FakeBackend(turn(call("get_weather", city="Bern")), turn("Sunny."))), [get_weather]
    )
    agent.invoke({"messages": [HumanMessage("Weather?")]})
    first, second = llm_spans(exporter)
    assert read(first, "llm.output_messages.0.message.tool_calls.0.tool_call.function.name") == "get_weather"
    assert text_of(second, "llm.output_messages.0") == "Sunny."
    kinds = [read(span, "openinference.span.kind") for span in exporter.get_finished_spans()]
    assert kinds.count("TOOL") == 1
    assert len({span.context.trace_id for span in exporter.get_finished_spans() if span.context}) == 1


def test_structured_output_is_traced_as_plain_data(exporter: InMemorySpanExporter) -> None:
    """What is bound for the check does not stand in the way of the tracer."""
    for method in ("function_calling", "json_schema"):
        written = call("City", name="Bern") if method == "function_calling" else '{"name": "Bern"}'
        asked = model_of(FakeBackend(turn(written))).with_structured_output(City, method=method)
        assert asked.invoke("Which?") == City(name="Bern")
    spans = llm_spans(exporter)
    assert len(spans) == 2
    for span in spans:
        assert "City" in read(span, "llm.invocation_parameters")


def test_a_failed_call_is_an_error_in_the_span(exporter: InMemorySpanExporter) -> None:
    """With the message of the error; no secret is in any span."""
    model = model_of(FakeBackend(Unauthorized("The token was refused.")))
    with pytest.raises(Unauthorized):
        model.invoke("Hi")
    (span,) = llm_spans(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert "The token was refused." in (span.status.description or "")


def test_no_secret_is_traced(exporter: InMemorySpanExporter) -> None:
    """Neither of the cookies nor of the token, whatever a tracer writes of a model."""
    for settings in ({"cookies": f"_U={SECRET}"}, {"token": SECRET, "time_zone": "UTC"}):
        model = ChatBing(endpoint="http://127.0.0.1:9", max_retries=0, timeout=1, **settings)  # type: ignore[arg-type]
        with pytest.raises(ConnectionFailed):  # nobody listens there
            model.invoke("Hi")
    spans = exporter.get_finished_spans()
    assert len(spans) == 2
    assert not any(SECRET in span.to_json() for span in spans)
