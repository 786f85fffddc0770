"""The event loop of a command, the turn that it shows, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.cli.loop import Loop, RunningTurn
from bing_llm.cli.view import TextView
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Scripted


async def interrupted(*, times: int = 1) -> str:
    """Press Ctrl-C, then work until cancelled."""
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.Event().wait()
    return "never"


def test_one_loop_runs_again_and_again() -> None:
    """All runs of one `Loop` are on the same event loop."""

    async def which() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with Loop() as loop:
        assert loop.run(which()) is loop.run(which())


def test_ctrl_c_cancels() -> None:
    """Ctrl-C cancels the coroutine, which cleans up, and then raises."""
    cleaned = []

    async def work() -> None:
        try:
            await interrupted()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    with Loop() as loop, pytest.raises(KeyboardInterrupt):
        loop.run(work())
    assert cleaned == ["up"]


def test_ctrl_c_works_on_loops_that_take_no_signal_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no `add_signal_handler`; Ctrl-C cancels there too, and is as before afterwards."""

    def missing(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "remove_signal_handler", missing)
    with Loop() as loop, pytest.raises(KeyboardInterrupt):
        loop.run(interrupted())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_may_do_something_else_first() -> None:
    """Where the first Ctrl-C was enough for `interrupt`, the coroutine goes on; the next one cancels it."""
    presses = []

    def once() -> bool:
        presses.append("Ctrl-C")
        return len(presses) == 1

    with Loop() as loop, pytest.raises(KeyboardInterrupt):
        loop.run(interrupted(times=2), interrupt=once)
    assert len(presses) == 2


def test_ctrl_c_is_as_before_afterwards() -> None:
    """Between two runs Ctrl-C raises wherever the program is."""

    async def work() -> int:
        return 1

    with Loop() as loop:
        assert loop.run(work()) == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_others_stays() -> None:
    """A process that was started to ignore Ctrl-C (nohup, a job in the background) goes on ignoring it."""

    async def work() -> object:
        return signal.getsignal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Loop() as loop:
            assert loop.run(work()) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_runs_in_other_threads_too() -> None:
    """Outside the main thread, which alone may handle signals, it just runs."""
    results: list[int] = []

    async def work() -> int:
        return 1

    def run() -> None:
        with Loop() as loop:
            results.append(loop.run(work()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [1]


def test_the_end_closes_what_hangs_on_the_loop() -> None:
    """Async generators that were left open are closed with the loop: connections hang on one."""
    closed = []

    async def keeper() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append("keeper")

    kept = keeper()

    async def begin() -> None:
        await anext(kept)

    with Loop() as loop:
        loop.run(begin())
        assert not closed
    assert closed == ["keeper"]


# --- a running turn ---------------------------------------------------------------------------------------------------


class Stopper(TextView):
    """A view whose user presses Ctrl-C at the first piece of text, a given number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.running: RunningTurn | None = None
        self.answers: list[bool] = []

    def show(self, event: ev.Event) -> None:
        """Press after the text."""
        super().show(event)
        if isinstance(event, ev.TextDelta) and self.running is not None:
            self.answers = [self.running.stop() for _ in range(self.times)]


async def shown(service: Emulator, view: TextView) -> ev.Reply:
    """The reply of a turn in that view."""
    async with BingClient(endpoint=service.url) as client:
        running = RunningTurn(client.stream("Hi"), view)
        if isinstance(view, Stopper):
            view.running = running
        assert not running.stopped
        reply = await running.show()
        assert running.stopped == isinstance(view, Stopper)
        return reply


async def test_a_turn_is_shown_and_answered(service: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The view gets each event, the caller the reply."""
    service.brain = Scripted([["Hello ", "there."]])
    assert (await shown(service, TextView())).text == "Hello there."
    assert capsys.readouterr().out == "Hello there.\n"


async def test_the_first_stop_is_enough(service: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """A stop asks the service to end the answer and keeps what arrived; the next one says that it is not enough."""
    service.brain = Scripted([["It begins", errors.TimedOut()]])  # is silent until it is stopped
    view = Stopper(times=2)
    assert (await shown(service, view)).text == "It begins"
    assert view.answers == [True, False]
    assert capsys.readouterr().out == "It begins\n"
    assert [request.kind for request in service.requests] == ["creation", "chat", "stop"]


async def test_a_stop_that_fails_is_reported_once(
    service: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the connection breaks while a stop is sent, the error of the turn is the one that is raised."""
    service.brain = Scripted([["It begins", errors.ConnectionLost()]])

    async def lost(_turn: object) -> None:
        raise errors.ConnectionLost("while stopping")

    monkeypatch.setattr("bing_llm.turn.TurnStream.stop", lost)
    with pytest.raises(errors.ConnectionLost, match="before the answer was complete"):
        await shown(service, Stopper(times=1))
    assert capsys.readouterr().out == "It begins\n"
