"""Concurrency: native async, event loops that come and go, threads, and streams that nobody reads to the end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.async_utils import asyncio_run
from llama_index.core.llms import LLM

from bing_llm.testing.llama_index.calls import (
    ASYNC_METHODS,
    METHODS,
    acall,
    asaid,
    call,
    each_async_method,
    each_method,
    failure_of,
    question,
    run,
    said,
    text_of,
)
from bing_llm.testing.llama_index.recording import nothing_left_open, recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

SYNC_METHODS = tuple(method for method in METHODS if not method.startswith("a"))
SYNC_STREAMS = ("stream_complete", "stream_chat")
ASYNC_STREAMS = ("astream_complete", "astream_chat")

NESTED = """
{source}

import asyncio
import nest_asyncio
from llama_index.core.async_utils import asyncio_run

async def both():
    return [
        llm.complete({prompt!r}).text,
        (await llm.acomplete({prompt!r})).text,
        asyncio.get_running_loop().run_until_complete(llm.acomplete({prompt!r})).text,
        asyncio_run(llm.acomplete({prompt!r})).text,
        llm.complete({prompt!r}).text,
    ]

nest_asyncio.apply()
texts = asyncio.run(both()) + asyncio.run(both())
assert all(text.strip() for text in texts), texts
print("answered", len(texts))
"""

PROCESS_TIMEOUT_S = 100.0
"""For one process that imports LlamaIndex and asks ten questions; only a hang waits that long."""


class ConcurrencyConformance(Subject):
    """An LLM can be called from any loop and any thread, and left at any time."""

    # --- native async -------------------------------------------------------------------------------------------------

    @needs("native_async")
    @each_async_method
    def test_asynchronous_calls_overlap(self, method: str) -> None:
        """Of two calls at once, the second starts before the first has ended: no call holds up the loop.

        No clock is needed for that. A method that waits without giving the loop back ends its call first.
        """
        llm = self.make_llm()

        async def both() -> None:
            await asyncio.gather(acall(llm, method, self.prompt), acall(llm, method, self.prompt))

        with recorded() as events:
            run(both())
        names = [type(event).__name__ for event in events]
        starts = [index for index, name in enumerate(names) if name in {"LLMChatStartEvent", "LLMCompletionStartEvent"}]
        ends = [index for index, name in enumerate(names) if name in {"LLMChatEndEvent", "LLMCompletionEndEvent"}]
        assert len(starts) >= 2, f"{method} tells of no start"
        assert max(starts) < min(ends), f"one {method} waits for the other"

    @each_async_method
    def test_async_is_not_sync_in_disguise(self, method: str) -> None:
        """An asynchronous method calls none of the synchronous ones, neither on the loop nor in a thread."""
        llm, used = self.make_llm(), list[str]()

        def watched(name: str) -> Any:
            original = getattr(type(llm), name)

            def method_of(self: LLM, *args: Any, **options: Any) -> Any:
                used.append(name)
                return original(self, *args, **options)

            return method_of

        with pytest.MonkeyPatch.context() as patch:
            for name in SYNC_METHODS:
                patch.setattr(type(llm), name, watched(name))
            call(llm, method, self.prompt)
        assert not used, f"{method} calls {used}"

    @needs("native_async")
    @each_async_method
    def test_a_call_can_be_cancelled(self, method: str) -> None:
        """A cancelled call ends with CancelledError, leaves nothing open, and does not affect the next one."""
        llm = self.make_llm()

        async def cancel() -> str:
            task = asyncio.ensure_future(acall(llm, method, self.prompt))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asaid(llm, method, self.prompt)

        with nothing_left_open():
            assert self.is_answer(run(cancel()))

    # --- streams left early -------------------------------------------------------------------------------------------

    @smoke
    @pytest.mark.parametrize("method", SYNC_STREAMS)
    @pytest.mark.parametrize("way", ["close", "break", "unread"])
    def test_a_stream_can_be_left(self, method: str, way: str) -> None:
        """A stream may be closed, dropped after its first chunk, or never read: nothing raises, warns or is left."""
        llm = self.make_llm()
        with nothing_left_open():
            stream = getattr(llm, method)(question(method, self.prompt))
            if way != "unread":
                next(stream)
            if way == "close":
                stream.close()
            del stream
        assert self.is_answer(said(llm, method, self.prompt)), "after that, the LLM does not answer"

    @smoke
    @pytest.mark.parametrize("method", ASYNC_STREAMS)
    @pytest.mark.parametrize("way", ["aclose", "break", "unread", "kept"])
    def test_an_asynchronous_stream_can_be_left(self, method: str, way: str) -> None:
        """So may an asynchronous one, and the loop may go on or end, also while somebody keeps the stream.

        An error in the code that reads keeps it so: the traceback holds the stream until long after the loop.
        """
        llm, kept = self.make_llm(), list[Any]()

        async def leave() -> None:
            stream = await getattr(llm, method)(question(method, self.prompt))
            if way != "unread":
                await stream.__anext__()
            if way == "aclose":
                await stream.aclose()
            if way == "kept":
                kept.append(stream)
            del stream
            gc.collect()

        async def leave_and_ask() -> str:
            await leave()
            return await asaid(llm, method, self.prompt)

        with nothing_left_open():
            run(leave())
            assert self.is_answer(run(leave_and_ask())), "after that, the LLM does not answer"
            kept.clear()

    @pytest.mark.parametrize("method", ASYNC_STREAMS)
    def test_a_stream_may_change_its_task(self, method: str) -> None:
        """A stream may be made in one task, read in a second and closed in a third, as chat engines and servers do."""
        llm = self.make_llm()

        async def pass_on() -> None:
            stream = await asyncio.create_task(getattr(llm, method)(question(method, self.prompt)))
            await asyncio.create_task(stream.__anext__())
            await asyncio.create_task(stream.aclose())

        with nothing_left_open():
            run(pass_on())

    # --- loops that come and go ---------------------------------------------------------------------------------------

    @smoke
    @each_async_method
    def test_every_loop_is_served(self, method: str) -> None:
        """An LLM serves one `asyncio.run` after another: nothing in it belongs to a loop that is closed."""
        llm = self.make_llm()
        with nothing_left_open():
            for _ in range(3):
                assert self.is_answer(run(asaid(llm, method, self.prompt)))

    @pytest.mark.parametrize("method", SYNC_METHODS)
    def test_sync_works_inside_a_loop(self, method: str) -> None:
        """A synchronous method works where a loop is running, as in a notebook, and beside asynchronous calls."""
        llm = self.make_llm()

        async def mixed() -> list[str]:
            return [
                await asaid(llm, "achat", self.prompt),
                said(llm, method, self.prompt),
                await asaid(llm, "acomplete", self.prompt),
            ]

        with nothing_left_open():
            assert all(self.is_answer(text) for text in run(mixed()))

    @each_async_method
    def test_the_helper_of_llama_index_works(self, method: str) -> None:
        """`asyncio_run`, by which pipelines and extractors call, works without a loop and inside a running one."""
        llm = self.make_llm()

        def ask() -> str:
            return text_of(asyncio_run(_as_coroutine(llm, method, self.prompt)))

        async def inside() -> list[str]:
            return [ask(), await asaid(llm, method, self.prompt), ask()]

        asyncio.set_event_loop(None)  # else it would take the one that is left there
        with nothing_left_open():
            assert all(self.is_answer(text) for text in [ask(), *run(inside()), ask()])

    @each_async_method
    def test_an_idle_loop_is_served(self, method: str) -> None:
        """Where the thread has a loop that does not run, `asyncio_run` uses it each time; sync calls work beside it."""
        llm, loop = self.make_llm(), asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        with nothing_left_open():
            try:
                texts = [text_of(asyncio_run(_as_coroutine(llm, method, self.prompt))) for _ in range(2)]
                texts.append(said(llm, "chat", self.prompt))
                texts.append(text_of(asyncio_run(_as_coroutine(llm, method, self.prompt))))
            finally:
                asyncio.set_event_loop(None)
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()
        assert all(self.is_answer(text) for text in texts)

    @each_method
    def test_threads_are_served(self, method: str) -> None:
        """Four threads use one LLM at once, an asynchronous method on a loop of each thread's own."""
        llm = self.make_llm()
        with nothing_left_open(), ThreadPoolExecutor(4) as pool:
            texts = list(pool.map(lambda _number: said(llm, method, self.prompt), range(4)))
        assert all(self.is_answer(text) for text in texts)

    @pytest.mark.parametrize("method", SYNC_STREAMS)
    def test_a_stream_may_change_its_thread(self, method: str) -> None:
        """A stream begun in one thread can be read on in another, as chat engines do."""
        llm = self.make_llm()
        with nothing_left_open(), ThreadPoolExecutor(1) as pool:
            stream = getattr(llm, method)(question(method, self.prompt))
            first = next(stream)
            rest = pool.submit(list, stream).result()
        assert self.is_answer("".join(chunk.delta or "" for chunk in [first, *rest]))

    @pytest.mark.parametrize("method", ["chat", "achat", "astream_chat"])
    def test_nothing_runs_on(self, method: str) -> None:
        """When a call has ended, no task of it runs on."""
        llm = self.make_llm()

        async def left() -> set[Any]:
            await acall(llm, method, self.prompt)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            return (await asyncio.wait(others, timeout=1))[1] if others else set()

        assert not run(left()), "tasks run on after the call"

    @needs("process_source")
    def test_nested_loops_are_served(self) -> None:
        """With nest_asyncio, sync and async calls work inside each other, in a process of their own."""
        source = NESTED.format(source=self.process_source, prompt=self.prompt)
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", source],
            capture_output=True,
            check=False,
            text=True,
            timeout=PROCESS_TIMEOUT_S,
        )
        assert "answered 10" in done.stdout, f"with nest_asyncio: {done.stderr}"
        assert "Unclosed" not in done.stderr
        assert "Exception ignored" not in done.stderr

    # --- errors -------------------------------------------------------------------------------------------------------

    @needs("can_fail")
    @each_method
    def test_an_error_is_not_a_runtime_error(self, method: str) -> None:
        """An error of a call is no RuntimeError: `asyncio_run` takes one for a nested loop, and hides what it says."""
        with nothing_left_open():
            failure = failure_of(self.make_failing_llm(), method, self.prompt)
        assert not isinstance(failure, RuntimeError), f"{method} raises {failure!r}"
        assert str(failure), f"{method} raises {failure!r}, which says nothing"

    @needs("can_fail")
    @pytest.mark.parametrize("method", ASYNC_METHODS)
    def test_an_error_is_seen_through_the_helper(self, method: str) -> None:
        """What an LLM raises comes out of `asyncio_run` as it was raised."""
        llm = self.make_failing_llm()
        with pytest.raises(type(failure_of(llm, method, self.prompt))):
            asyncio_run(_as_coroutine(llm, method, self.prompt))


def _as_coroutine(llm: LLM, method: str, prompt: str) -> Coroutine[Any, Any, Any]:
    async def last() -> Any:
        return (await acall(llm, method, prompt))[-1]

    return last()
