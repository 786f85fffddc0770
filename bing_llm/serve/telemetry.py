"""Spans of requests and turns, by the API of OpenTelemetry alone and its semantic conventions.

Off unless opentelemetry-api is installed (extra `otel`) and the process has configured a tracer provider, by its SDK.
A request is a span of the server; each of its turns is a span `chat {model}` below it, with the attributes of the
conventions for generative AI. No span holds what was asked or answered. The token counts are estimates, so
`gen_ai.usage.*` is left out: dashboards take those for bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from bing_llm._version import __version__
from bing_llm.completion.continuation import TurnObserver
from bing_llm.errors import BingError
from bing_llm.events import Reply

try:
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

_SERVER_FAULT = 500  # a status from here on is an error of this server


class RequestSpan(Protocol):
    """The span of one request."""

    def turns(self, attributes: Mapping[str, Any]) -> TurnObserver | None:
        """What makes the spans of its turns; None for none.

        Args:
            attributes: `gen_ai.*` attributes that each of them has.
        """

    def end(self, status: int, error_type: str) -> None:
        """The request is over.

        Args:
            status: The HTTP status; 499 if the client left.
            error_type: The code of its error, "" for none.
        """


class _NoSpan:
    def turns(self, attributes: Mapping[str, Any]) -> TurnObserver | None:
        del attributes
        return None

    def end(self, status: int, error_type: str) -> None:
        """Nothing is recorded."""


_NO_SPAN: Final = _NoSpan()


def start_request(method: str, route: str, headers: Mapping[str, str]) -> RequestSpan:
    """The span of a request, below the caller's own if its headers name one.

    Args:
        method: The HTTP method.
        route: The path of the route, never the caller's own text.
        headers: The request's headers.
    """
    if not _IS_INSTALLED:
        return _NO_SPAN
    tracer = trace.get_tracer("bing_llm.serve", __version__)  # looked up each time: it may be configured later
    span = tracer.start_span(
        f"{method} {route}",
        context=propagate.extract(headers),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": method, "http.route": route},
    )
    return _Request(tracer, span) if span.is_recording() else _NO_SPAN


class _Request:
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    def turns(self, attributes: Mapping[str, Any]) -> TurnObserver:
        return _Turns(self._tracer, trace.set_span_in_context(self._span), attributes)

    def end(self, status: int, error_type: str) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if error_type:
            self._span.set_attribute("error.type", error_type)
        if status >= _SERVER_FAULT:
            self._span.set_status(trace.Status(trace.StatusCode.ERROR))
        self._span.end()


class _Turns:
    """The spans of the turns of one request, one after the other."""

    def __init__(self, tracer: trace.Tracer, parent: otel_context.Context, attributes: Mapping[str, Any]) -> None:
        self._tracer = tracer
        self._parent = parent
        self._attributes = attributes
        self._span: trace.Span | None = None

    def began(self) -> None:
        self._span = self._tracer.start_span(
            f"chat {self._attributes['gen_ai.request.model']}",
            context=self._parent,
            kind=trace.SpanKind.CLIENT,
            attributes={"gen_ai.operation.name": "chat", **self._attributes},
        )

    def ended(self, reply: Reply | None, error: BingError | None) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        if reply is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [reply.finish_reason])
            ids = {"gen_ai.conversation.id": reply.conversation_id, "gen_ai.response.id": reply.message_id}
            span.set_attributes({name: value for name, value in ids.items() if value})
        elif error is not None:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.Status(trace.StatusCode.ERROR))
        else:
            span.set_attribute("error.type", "cancelled")
        span.end()
