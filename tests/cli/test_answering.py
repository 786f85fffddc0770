"""One turn in a view, and what Ctrl-C does to it."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.cli.answering import RunningTurn
from bing_llm.cli.views import TextView
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Scripted


class Stopper(TextView):
    """A view in front of which the user presses Ctrl-C, as often as told, at the first piece of text."""

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
    """A stop asks the service to end the answer and keeps what came; the next one says that it is not enough."""
    service.brain = Scripted([["It begins", errors.TimedOut()]])  # is silent until it is stopped
    view = Stopper(times=2)
    assert (await shown(service, view)).text == "It begins"
    assert view.answers == [True, False]
    assert capsys.readouterr().out == "It begins\n"
    assert [request.kind for request in service.requests] == ["creation", "chat", "stop"]


async def test_a_stop_that_fails_is_not_told_twice(
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
