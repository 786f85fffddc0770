"""The spans of requests and turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bing_llm import events as ev
from bing_llm.errors import ServiceError
from bing_llm.serve import telemetry
from tests.children import run_python
from tests.fakes import FakeBackend, answer
from tests.serve.visitor import HELLO, KEY, fronting

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a process collects that has configured the SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def by_kind(exporter: InMemorySpanExporter) -> tuple[list[ReadableSpan], list[ReadableSpan]]:
    """The spans of requests, and those of turns."""
    found = exporter.get_finished_spans()
    requests = [span for span in found if span.kind is trace.SpanKind.SERVER]
    return requests, [span for span in found if span.kind is trace.SpanKind.CLIENT]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes."""
    return dict(span.attributes or {})


async def test_a_request_and_its_turn_are_spans(spans: InMemorySpanExporter) -> None:
    """By the semantic conventions; the turn is below the request."""
    backend = FakeBackend(answer("Hi", conversation_id="c-1", message_id="m-1"))
    async with fronting(backend) as visitor:
        await visitor.chat(stream=True)
    [request], [turn] = by_kind(spans)
    assert request.name == "POST /v1/chat/completions"
    assert attributes_of(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
    }
    assert turn.name == "chat bing-balanced"
    assert attributes_of(turn) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "chathub",
        "gen_ai.request.model": "bing-balanced",
        "gen_ai.response.model": "bing-balanced",
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.conversation.id": "c-1",
        "gen_ai.response.id": "m-1",
    }
    assert turn.parent is not None
    assert request.context is not None
    assert turn.parent.span_id == request.context.span_id
    assert request.parent is None


async def test_each_turn_is_a_span(spans: InMemorySpanExporter) -> None:
    """Also the one that asks once more."""
    async with fronting(FakeBackend(answer("No."), answer(CALL))) as visitor:
        await visitor.chat(tools=[TOOL], tool_choice="required")
    [_], turns = by_kind(spans)
    assert len(turns) == 2


async def test_a_request_belongs_to_the_trace_of_its_caller(spans: InMemorySpanExporter) -> None:
    """As its header `traceparent` says."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with fronting(FakeBackend()) as visitor:
        await visitor.send("GET", "/v1/models", traceparent=parent)
    [request], _ = by_kind(spans)
    assert request.parent is not None
    assert f"{request.parent.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"


async def test_failures_are_marked(spans: InMemorySpanExporter) -> None:
    """A turn by the class of its error, a request by the code of its answer; what a caller did is not our error."""
    async with fronting(FakeBackend(ServiceError("Down.")), attempts=1) as visitor:
        await visitor.chat()
        await visitor.chat(n=2)
    [failed, refused], [turn] = by_kind(spans)
    assert attributes_of(turn)["error.type"] == "ServiceError"
    assert turn.status.status_code is failed.status.status_code is trace.StatusCode.ERROR
    assert (attributes_of(failed)["error.type"], attributes_of(failed)["http.response.status_code"]) == (
        "upstream_error",
        503,
    )
    assert refused.status.status_code is trace.StatusCode.UNSET


async def test_no_span_has_content_or_secrets(spans: InMemorySpanExporter) -> None:
    """Neither what was asked or answered, nor the key, nor a name that the caller chose."""
    backend = FakeBackend([*answer("a secret answer")[:1], ev.Progress("secret"), *answer("a secret answer")[1:]])
    async with fronting(backend, key=KEY) as visitor:
        body = {"messages": [{"role": "user", "content": "a secret question"}], "user": "secret"}
        sent = {"Authorization": f"Bearer {KEY}"}
        await visitor.send("POST", "/v1/chat/completions?secret=1", body, **sent)
        await visitor.send("POST", "/v1/chat/completions", {"messages": HELLO, "model": "secret"}, **sent)
        await visitor.send("GET", "/secret", **sent)
    shown = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "chat bing-balanced" in shown
    assert "secret" not in shown
    assert KEY not in shown


async def test_nothing_is_recorded_unless_it_is_configured() -> None:
    """The API alone makes spans that are none: no observer is told of the turns."""
    span = telemetry.start_request("POST", "/v1/chat/completions", {})
    assert span.turns({"gen_ai.request.model": "m"}) is None
    span.end(200, "")


def test_it_works_without_opentelemetry() -> None:
    """Which is an extra."""
    code = """
import sys
sys.modules["opentelemetry"] = None
from bing_llm.serve import telemetry
span = telemetry.start_request("POST", "/", {})
span.end(200, "")
print(span.turns({}))
"""
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
