"""One turn over one answer. The answer is a list of bytes, and the time passes only where the channel waits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._secrets import Redactor
from bing_llm.backends.answer import Answer
from bing_llm.backends.workiq.channel import WorkIQChannel
from bing_llm.backends.workiq.turn import WorkIQTurn
from bing_llm.errors import BingError, ConnectionLost
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Limits, Timeouts
from tests.backends.workiq.wire import conversation, event, final, message, partial

HELLO = partial("Hello")
DONE = final("Hello, you")
KEEP_ALIVE = b": keep-alive\r\n\r\n"

Step: TypeAlias = bytes | float | Callable[[], Awaitable[None]]
"""Bytes that come, seconds of silence, or what is done while the channel waits; empty bytes are the end."""


def each(seconds: float, data: bytes, times: int) -> list[Step]:
    """The same bytes again and again, this many seconds apart."""
    steps: list[Step] = [seconds, data]
    return steps * times


class Network:
    """An answer with a script, and the clock that it moves. After the script it is silent for ever."""

    def __init__(self, *script: Step, kind: str = "text/event-stream") -> None:
        self.head = Answer(200, {"content-type": kind})
        self.now = 1000.0
        self.script: deque[Step] = deque(script)
        self.waits: list[float] = []
        self.aborted = 0
        self.broken = False

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    @property
    def passed(self) -> float:
        """Seconds since the channel was opened."""
        return self.now - 1000.0

    async def receive(self, seconds: float | None = None) -> bytes:
        """The next bytes of the script, or the end of the wait."""
        assert seconds is not None
        assert seconds > 0
        self.waits.append(seconds)
        until = self.now + seconds
        while self.script:
            step = self.script.popleft()
            if isinstance(step, bytes):
                return step
            if callable(step):
                await step()
                self._check()
            elif self.now + step > until:
                self.script.appendleft(self.now + step - until)
                break
            else:
                self.now += step
        self._check()
        self.now = until
        raise TimeoutError

    def ready(self) -> bytes | None:
        """The next bytes of the script, if they come before anything else."""
        step = self.script[0] if self.script else None
        if isinstance(step, bytes):
            self.script.popleft()
            return step
        self._check()
        return None

    def abort(self) -> None:
        """Break off."""
        self.aborted += 1
        self.broken = True

    async def break_off(self) -> None:
        """The connection breaks."""
        self.broken = True

    def _check(self) -> None:
        if self.broken:
            raise ConnectionLost("The connection broke in the middle of the answer (X).")


def answered(network: Network) -> asyncio.Future[Network]:
    """An opening that is done."""
    opening: asyncio.Future[Network] = asyncio.get_running_loop().create_future()
    opening.set_result(network)
    return opening


def over(
    network: Network,
    timeouts: Timeouts | None = None,
    *secrets: str,
    turn: float = 900.0,
    opening: asyncio.Future[Network] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> WorkIQChannel:
    """A channel over this network."""
    deadline = Deadline(turn, network.clock, "[turn t]")
    return WorkIQChannel(
        opening or answered(network),
        WorkIQTurn(asked="Ask", conversation_id="c1", limits=limits),
        timeouts or Timeouts(),
        deadline,
        redact=lambda: Redactor(*secrets),
    )


def unanswered() -> asyncio.Future[Network]:
    """An opening that nothing settles by itself."""
    return asyncio.get_running_loop().create_future()


async def events_of(channel: WorkIQChannel) -> list[ev.Event]:
    """The events of a turn to its end."""
    given: list[ev.Event] = []
    while not (given and isinstance(given[-1], ev.TurnCompleted)):
        given.append(await channel.next_event())
    return given


async def reply_of(channel: WorkIQChannel) -> ev.Reply:
    """The reply that ends a turn."""
    completed = (await events_of(channel))[-1]
    assert isinstance(completed, ev.TurnCompleted)
    return completed.reply


async def failure_of(channel: WorkIQChannel) -> BingError:
    """The error that ends a turn."""
    with pytest.raises(BingError) as caught:
        await events_of(channel)
    return caught.value


# --- a turn -----------------------------------------------------------------------------------------------------------


async def test_a_turn_gives_its_events() -> None:
    """What comes in bytes goes out as events, to the final one and no further."""
    network = Network(HELLO[:20], HELLO[20:] + KEEP_ALIVE, 2.0, DONE, 1.0, b"never read")
    given = await events_of(over(network))
    assert given[:2] == [ev.TextDelta("Hello"), ev.TextDelta(", you")]
    assert isinstance(given[-1], ev.TurnCompleted)
    assert given[-1].reply.text == "Hello, you"
    assert network.script[-1] == b"never read"


async def test_an_answer_that_ends_early_is_lost() -> None:
    """The end of the answer without its final event is an error that carries the text."""
    error = await failure_of(over(Network(HELLO, b"")))
    assert type(error) is ConnectionLost
    assert error.partial_text == "Hello"


@pytest.mark.parametrize("waits", [False, True])
async def test_a_connection_that_breaks_is_the_end_of_the_answer(*, waits: bool) -> None:
    """The text that came is kept; where the final event had come, nothing is missing."""
    for last, whole in ((HELLO, False), (DONE, True)):
        network = Network(*([1.0] if waits else []), last)
        network.script.append(network.break_off)
        channel = over(network)
        if whole:
            assert (await reply_of(channel)).text == "Hello, you"
        else:
            error = await failure_of(channel)
            assert type(error) is ConnectionLost
            assert error.partial_text == "Hello"


async def test_an_answer_that_is_no_stream_is_read_whole() -> None:
    """JSON where a stream was due is one conversation, or the error that the service has to tell."""
    whole = json.dumps(conversation(message("Ask", "u1"), message("Hello"), displayName="Title")).encode()
    network = Network(whole[:50], whole[50:], b"", kind="application/json; charset=utf-8")
    assert (await reply_of(over(network))).text == "Hello"
    refused = json.dumps({"error": {"code": "tooManyRequests", "message": "Later."}}).encode()
    error = await failure_of(over(Network(refused, b"", kind="application/json")))
    assert type(error) is errors.Throttled


async def test_json_without_an_end_is_refused() -> None:
    """What is no stream does not fill memory."""
    network = Network(b"[" * 60, b"[" * 60, b"never read", kind="application/json")
    error = await failure_of(over(network, limits=Limits(frame_bytes=100)))
    assert type(error) is errors.ProtocolError
    assert "over 100 bytes in one answer (limits.frame_bytes)" in error.message
    assert list(network.script) == [b"never read"]


# --- the opening ------------------------------------------------------------------------------------------------------


async def test_the_answer_is_waited_for() -> None:
    """Events come as soon as the answer is there."""
    network, opening = Network(DONE), unanswered()
    channel = over(network, opening=opening)
    assert channel.ready_event() is None
    waiting = asyncio.ensure_future(reply_of(channel))
    await asyncio.sleep(0)
    opening.set_result(network)
    assert (await waiting).text == "Hello, you"


async def test_an_opening_that_fails_is_the_failure_of_the_turn() -> None:
    """`ready_event` leaves it for `next_event`, which raises it, each time, without the secrets."""
    opening = unanswered()
    channel = over(Network(), None, "hunter2+/=", opening=opening)
    opening.set_exception(errors.ServiceError("No: hunter2+/=", service_message="hunter2+/="))
    assert channel.ready_event() is None
    first, second = await failure_of(channel), await failure_of(channel)
    assert first is second
    assert type(first) is errors.ServiceError
    assert "hunter2" not in f"{first} {first!r} {first.service_message}"
    channel.close()


async def test_an_answer_that_does_not_come_times_out() -> None:
    """Before the first byte `timeouts.answer` counts, and the deadline of the turn; silence does not."""
    for limits, turn, words in (
        (Timeouts(answer=0.02, silence=0.001), 900.0, "The service was silent for 0.02 seconds (timeouts.answer)."),
        (Timeouts(), 0.02, "The turn was not complete after 0.02 seconds (timeouts.turn)."),
    ):
        loop = asyncio.get_running_loop()
        network = Network()
        network.clock = loop.time  # type: ignore[method-assign]
        channel = over(network, limits, turn=turn, opening=unanswered())
        error = await failure_of(channel)
        assert type(error) is errors.TimedOut
        assert error.message == words
        channel.close()


async def test_closing_ends_the_opening() -> None:
    """A channel that is closed before there is an answer cancels its opening, and may be closed twice."""
    opening = unanswered()
    channel = over(Network(), opening=opening)
    channel.close()
    channel.close()
    assert opening.cancelled()


async def test_an_answer_that_comes_too_late_is_dropped() -> None:
    """An opening that was done before it could be cancelled leaves no connection behind."""
    network = Network()

    async def stubborn() -> Network:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return network
        raise AssertionError

    opening = asyncio.ensure_future(stubborn())
    channel = over(network, opening=opening)
    await asyncio.sleep(0)
    channel.close()
    await opening
    await asyncio.sleep(0)
    assert network.aborted == 1


async def test_an_opening_that_fails_unseen_is_no_complaint() -> None:
    """A channel that is closed right after a failure has seen it; asyncio would log it otherwise."""
    opening = unanswered()
    channel = over(Network(), opening=opening)
    opening.set_exception(errors.ServiceError("No"))
    channel.close()
    await asyncio.sleep(0)


# --- time limits ------------------------------------------------------------------------------------------------------


async def test_the_first_byte_may_take_long() -> None:
    """The service thinks for up to a minute before it says anything: that is no silence yet."""
    network = Network(100.0, DONE)
    assert (await reply_of(over(network))).text == "Hello, you"
    network = Network()
    error = await failure_of(over(network))
    assert error.message == "The service was silent for 120 seconds (timeouts.answer)."
    assert network.passed == 120


async def test_silence_times_out() -> None:
    """After the first byte a silence ends the turn, which keeps the text that had come."""
    network = Network(4.0, HELLO)
    error = await failure_of(over(network))
    assert type(error) is errors.TimedOut
    assert error.message == "The service was silent for 45 seconds (timeouts.silence)."
    assert error.partial_text == "Hello"
    assert network.passed == 4 + 45


async def test_comments_keep_the_connection_alive_but_not_the_answer() -> None:
    """A service that sends nothing but comments is there, but does not get on."""
    network = Network(5.0, HELLO, *each(10.0, KEEP_ALIVE, 20))
    error = await failure_of(over(network))
    assert error.message == "The service was silent for 120 seconds (timeouts.answer)."
    assert network.passed == 5 + 120


async def test_an_event_without_news_keeps_the_answer_alive() -> None:
    """An event that gives nothing shows that the service works on the answer."""
    network = Network(*each(40.0, HELLO, 8), DONE)
    assert (await reply_of(over(network))).text == "Hello, you"
    assert network.passed == 320


async def test_the_turn_has_an_end_of_its_own() -> None:
    """The deadline of the whole turn ends it in the middle of a lively answer."""
    network = Network(*each(3.0, HELLO, 20))
    error = await failure_of(over(network, turn=20))
    assert type(error) is errors.TimedOut
    assert error.message == "The turn was not complete after 20 seconds (timeouts.turn)."
    assert error.partial_text == "Hello"
    assert network.passed == 20


async def test_the_caller_may_take_its_time() -> None:
    """A pause of the caller is no silence of the service, which goes on where it was when the caller listens again."""
    network = Network(HELLO, 44.0, DONE)
    channel = over(network)
    await channel.next_event()
    network.now += 500
    assert (await reply_of(channel)).text == "Hello, you"
    network = Network(HELLO)
    channel = over(network)
    await channel.next_event()
    network.now += 500
    assert "(timeouts.silence)" in str(await failure_of(channel))
    assert network.passed == 545


async def test_a_deadline_that_passed_elsewhere_is_seen() -> None:
    """A caller that took its time between two events is told, before anything is waited for."""
    network = Network(HELLO)
    channel = over(network, turn=20)
    await channel.next_event()
    network.now += 1000
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert network.waits == []


# --- what has come already --------------------------------------------------------------------------------------------


async def test_what_has_come_is_ready() -> None:
    """Events of bytes that have come are given without a wait, one by one, and None where one is needed."""
    network = Network(KEEP_ALIVE, HELLO, 2.0, partial("Hello, you"), DONE)
    channel = over(network)
    assert [channel.ready_event(), channel.ready_event()] == [ev.TextDelta("Hello"), None]
    assert (network.waits, network.passed) == ([], 0)
    assert await channel.next_event() == ev.TextDelta(", you")
    assert isinstance(channel.ready_event(), ev.TurnCompleted)
    assert channel.ready_event() is None


async def test_a_flood_lets_others_run() -> None:
    """However much waits, other tasks of the loop get their turn."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    channel = over(Network(*[KEEP_ALIVE] * 1000, DONE))
    assert (await reply_of(channel)).text == "Hello, you"
    task.cancel()
    assert turns >= 5


# --- stop and close ---------------------------------------------------------------------------------------------------


async def test_a_stop_completes_with_what_came() -> None:
    """The connection ends at once, and the reply holds the text so far; a second stop changes nothing."""
    network = Network(HELLO, 5.0, DONE)
    channel = over(network)
    await channel.next_event()
    await channel.stop()
    await channel.stop()
    assert network.aborted >= 1
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 0


async def test_a_stop_ends_a_wait() -> None:
    """A task that waits for the next event gets the end of the turn."""
    network = Network(HELLO, 1.0)
    channel = over(network)
    network.script.append(channel.stop)
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 1


async def test_a_stop_before_the_answer_completes_without_text() -> None:
    """Nobody waits for an answer that is not wanted any more."""
    opening = unanswered()
    channel = over(Network(), opening=opening)
    waiting = asyncio.ensure_future(reply_of(channel))
    await asyncio.sleep(0)
    await channel.stop()
    assert (await waiting).text == ""
    assert opening.cancelled()


async def test_a_stop_after_the_end_does_nothing() -> None:
    """A turn that is complete has nothing to stop."""
    network = Network(DONE)
    channel = over(network)
    await events_of(channel)
    await channel.stop()
    assert network.aborted == 0


async def test_closing_drops_the_connection() -> None:
    """At once, in the middle of an answer."""
    network = Network(HELLO)
    channel = over(network)
    await channel.next_event()
    channel.close()
    assert network.aborted == 1


# --- logs -------------------------------------------------------------------------------------------------------------


async def test_whole_lines_are_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG each line that came is logged, with its turn; a secret that came in two pieces is masked too."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    said = final("You are hunter2+")
    cut = said.index(b"ter2+")
    await reply_of(over(Network(said[:cut], said[cut:]), None, "hunter2+"))
    assert "[turn t] received data: " in caplog.text
    assert "You are ***" in caplog.text
    assert "hunter2" not in caplog.text


async def test_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A clean end and a broken connection can be told apart in the log."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    await failure_of(over(Network(HELLO, b"")))
    broken = Network(HELLO)
    broken.broken = True
    await failure_of(over(broken))
    assert "[turn t] answer at its end" in caplog.text
    assert "[turn t] The connection broke in the middle of the answer (X)." in caplog.text


async def test_what_is_not_known_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An event of a kind that nobody knows is given, and one line a turn says so."""
    caplog.set_level(logging.INFO, "bing_llm")
    given = await events_of(over(Network(event({"surprise": 1}), event({"surprise": 2}), DONE)))
    assert [item.raw for item in given if isinstance(item, ev.Unknown)] == [{"surprise": 1}, {"surprise": 2}]
    assert caplog.text.count("kept as Unknown") == 1
    assert "surprise" not in caplog.text
