"""What a call reports and leaves open: instrumentation events, legacy callbacks, threads, tasks and sockets."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.callbacks import dispatcher
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.types import BaseOutputParser
from pydantic import Field


class _Collector(BaseEventHandler):
    events: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """Its name."""
        return "ConformanceCollector"

    def handle(self, event: BaseEvent, **_options: Any) -> None:
        """Keep it."""
        self.events.append(event)


@contextmanager
def recorded() -> Iterator[list[BaseEvent]]:
    """All instrumentation events of this block, in order."""
    root = dispatcher.root
    collector = _Collector()
    root.add_event_handler(collector)
    try:
        yield collector.events
    finally:
        root.event_handlers = [handler for handler in root.event_handlers if handler is not collector]


class CallbackRecorder(BaseCallbackHandler):
    """A legacy callback handler that keeps the LLM events: `starts` and `ends` are their payloads, by event id."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.starts: list[tuple[str, dict[str, Any]]] = []
        self.ends: list[tuple[str, dict[str, Any]]] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",  # noqa: ARG002 - the base class's signature
        **_options: Any,
    ) -> str:
        """Keep it."""
        if event_type == CBEventType.LLM:
            self.starts.append((event_id, payload or {}))
        return event_id

    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **_options: Any
    ) -> None:
        """Keep it."""
        if event_type == CBEventType.LLM:
            self.ends.append((event_id, payload or {}))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Nothing: traces are the manager's own."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Nothing, too."""

    def manager(self) -> CallbackManager:
        """A manager with this handler alone."""
        return CallbackManager([self])


class CountingLimiter(BaseRateLimiter):
    """A rate limiter that lets everything pass at once and counts."""

    def __init__(self) -> None:
        self.acquired = 0
        self.async_acquired = 0

    def acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002 - the base class's signature
        """One more."""
        self.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002
        """One more."""
        self.async_acquired += 1


class MarkingParser(BaseOutputParser):
    """An output parser whose work is seen: in the prompt, and in the output."""

    asks = "Mark your answer with a star."

    def parse(self, output: str) -> Any:
        """The output, marked."""
        return f"*{output}*"

    def format(self, query: str) -> str:
        """The query, with the wish."""
        return f"{query}\n\n{self.asks}"


class _Complaints(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail where the code in it leaves an unclosed object, a coroutine nobody awaited, or an error nobody caught.

    What it drops is collected at the end, so that what complains when it is collected complains here.
    """
    found: list[str] = []
    complaints = _Complaints(found)
    asyncio_log = logging.getLogger("asyncio")
    hooks = sys.unraisablehook, threading.excepthook

    def report(thrown: Any) -> None:
        found.append(f"{getattr(thrown, 'err_msg', None) or 'uncaught'}: {thrown.exc_value!r}")

    gc.collect()  # what others left is not ours
    asyncio_log.addHandler(complaints)
    sys.unraisablehook = threading.excepthook = report
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
            gc.collect()
        found += [str(one.message) for one in warned if issubclass(one.category, ResourceWarning | RuntimeWarning)]
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        asyncio_log.removeHandler(complaints)
    assert not found, f"left behind: {found}"
