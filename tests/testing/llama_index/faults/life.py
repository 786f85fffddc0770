"""LLMs with one fault each, in how they are described, copied, and used from loops and threads."""

# ruff: noqa: D102 - what a method does wrong, its class says

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback
from pydantic import Field, PrivateAttr

from tests.testing.llama_index.faults.answers import Faulty
from tests.testing.llama_index.reference import Reference, whole

# --- configuration ----------------------------------------------------------------------------------------------------


class NoRoom(Faulty):
    """Says that it has no room for anything."""

    caught_by = ("test_metadata_is_real",)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=0, is_chat_model=True)


class AsksForMetadata(Faulty):
    """Asks a server for its metadata."""

    caught_by = ("test_metadata_needs_no_network",)

    @property
    def metadata(self) -> LLMMetadata:
        with socket.socket() as asked:
            asked.connect_ex(("127.0.0.1", 9))
        return super().metadata


class Undumpable(Faulty):
    """Has a setting that no JSON can hold."""

    caught_by = ("test_every_dump_can_be_made",)

    write: Callable[[str], str] = str.upper


class InheritedName(Faulty):
    """Has the name of its base class."""

    caught_by = ("test_the_class_has_a_name_of_its_own",)


class ObjectAsSetting(Faulty):
    """Has a setting that is no JSON."""

    caught_by = ("test_a_dump_is_json",)

    client: Any = Field(default_factory=object)


class RenamedSetting(Faulty):
    """Dumps a setting under another name than it takes."""

    caught_by = ("test_a_dump_makes_the_same_llm", "test_a_copy_has_the_settings")

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        dump = super().to_dict(**kwargs)
        dump["model_name"] = dump.pop("model")
        return dump


class Locked(Faulty):
    """Holds a lock, which cannot be copied."""

    caught_by = ("test_a_copy_answers",)

    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class OpenKey(Faulty):
    """Has its credential in an ordinary field."""

    caught_by = ("test_no_dump_holds_a_secret",)

    api_key: str | None = None  # type: ignore[assignment]  # the fault


class KeyInEvents(Faulty):
    """Tells observers its credential."""

    caught_by = ("test_no_event_holds_a_secret",)

    def to_payload(self) -> dict[str, Any]:
        return {**super().to_payload(), "key": self.api_key and self.api_key.get_secret_value()}

    if not hasattr(LLM, "to_payload"):  # before 0.14.23 observers are given the dump

        def to_dict(self, **options: Any) -> dict[str, Any]:
            return {**super().to_dict(**options), "key": self.api_key and self.api_key.get_secret_value()}


class KeyInPickle(Faulty):
    """Pickles its credential."""

    caught_by = ("test_no_pickle_holds_a_secret",)

    def __getstate__(self) -> dict[str, Any]:
        return super(Reference, self).__getstate__()


class KeyInError(Faulty):
    """Shows its credential when it fails."""

    caught_by = ("test_no_error_holds_a_secret",)

    def failure(self) -> Exception:
        return ConnectionError(f"Nobody listens. {self.api_key and self.api_key.get_secret_value()}")


# --- concurrency ------------------------------------------------------------------------------------------------------


class Blocking(Faulty):
    """Never gives the loop back."""

    caught_by = ("test_asynchronous_calls_overlap", "test_a_call_can_be_cancelled")

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return whole(list(self.chunks(messages, kwargs)))


class LoopBound(Faulty):
    """Keeps the loop that it was first used on."""

    caught_by = (
        "test_every_loop_is_served",
        "test_the_helper_of_llama_index_works",
        "test_threads_are_served",
    )

    _loop: Any = PrivateAttr(default=None)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            msg = "Event loop is closed"
            raise RuntimeError(msg)
        await asyncio.sleep(0)
        return whole(list(self.chunks(messages, kwargs)))


class SyncByAsync(Faulty):
    """Chats by running a loop."""

    caught_by = ("test_sync_works_inside_a_loop", "test_a_structured_llm_works_inside_a_loop")

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        if asyncio._get_running_loop() is not None:
            msg = "asyncio.run() cannot be called from a running event loop"
            raise RuntimeError(msg)
        return whole(list(self.chunks(messages, kwargs)))


class ClosesLoops(Faulty):
    """Chats on the thread's loop, and closes it."""

    caught_by = ("test_an_idle_loop_is_served",)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        asyncio.get_event_loop().close()
        return whole(list(self.chunks(messages, kwargs)))


class ThreadBound(Faulty):
    """Streams in one thread only."""

    caught_by = ("test_a_stream_may_change_its_thread",)

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        thread = threading.get_ident()
        for chunk in super().chunks(messages, options):
            assert thread == threading.get_ident(), "streamed in another thread"
            yield chunk


class TaskBound(Faulty):
    """Streams in one task only, as what is built on cancel scopes does."""

    caught_by = ("test_a_stream_may_change_its_task",)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        task = asyncio.current_task()

        async def stream() -> ChatResponseAsyncGen:
            for chunk in self.chunks(messages, kwargs):
                assert task is asyncio.current_task(), "streamed in another task"
                yield chunk

        return stream()


class LeavesTasks(Faulty):
    """Leaves a task to itself."""

    caught_by = ("test_nothing_runs_on",)

    _tasks: Any = PrivateAttr(default_factory=list)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
        return whole(list(self.chunks(messages, kwargs)))


class KeepsOpen(Faulty):
    """Leaves a connection open unless its stream is read to the end."""

    caught_by = ("test_a_stream_can_be_left", "test_an_asynchronous_stream_can_be_left")

    def chunks(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> Iterator[ChatResponse]:
        done = False
        try:
            yield from super().chunks(messages, options)
            done = True
        finally:
            if not done:
                warnings.warn("unclosed connection", ResourceWarning, stacklevel=1)


class NotCancelled(Faulty):
    """Answers although it was cancelled."""

    caught_by = ("test_a_call_can_be_cancelled",)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return whole(list(self.chunks(messages, kwargs)))


class RuntimeErrors(Faulty):
    """Fails with a RuntimeError."""

    caught_by = ("test_an_error_is_not_a_runtime_error", "test_an_error_is_seen_through_the_helper")

    def failure(self) -> Exception:
        return _SessionClosed("Session is closed")


class _SessionClosed(RuntimeError):
    """Like the error of a client that is closed."""


class NoGenerator(Faulty):
    """Streams a list's iterator, which nobody can close, and of which LlamaIndex tells nothing."""

    caught_by = ("test_a_stream_can_be_left", "test_the_end_event_has_the_answer")

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return iter(list(self.chunks(messages, kwargs)))  # type: ignore[return-value]  # the fault
