"""One turn over one socket. The socket is a list, and the time passes only where the socket waits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import aiohttp
import pytest
from aiohttp import WebSocketError, WSMsgType

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._secrets import Redactor
from bing_llm.backends.chathub import channel as channel_module
from bing_llm.backends.chathub.channel import PING_SECONDS, ChatHubChannel
from bing_llm.backends.chathub.framing import SEPARATOR
from bing_llm.errors import BingError
from bing_llm.limits import Deadline, Timeouts
from tests.backends.chathub.wire import ACK, DONE, END, PING, bot, chat, final, snapshot, update, wire

HELLO = update(bot("Hello"))
PINGED = wire({"type": 6})


class Message(NamedTuple):
    """A WebSocket message, in aiohttp's form."""

    type: WSMsgType
    data: Any = None


Step: TypeAlias = "str | float | Message | Callable[[], Awaitable[None]]"
"""A text that comes, seconds of silence, another message, or what is done while the channel waits."""


def each(seconds: float, message: str, times: int) -> list[Step]:
    """The same message again and again, this many seconds apart."""
    steps: list[Step] = [seconds, message]
    return steps * times


class Network:
    """A socket with a script, and the clock that it moves. After the script it is silent for ever."""

    def __init__(self, *script: Step) -> None:
        self.now = 1000.0
        self.script: deque[Step] = deque(script)
        self.sent: list[tuple[float, list[dict[str, Any]]]] = []
        self.waits: list[float] = []
        self.ends: list[str] = []
        self.broken: Exception | None = None

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    @property
    def passed(self) -> float:
        """Seconds since the channel was opened."""
        return self.now - 1000.0

    async def receive(self, seconds: float | None = None) -> Message:
        """The next message of the script, or the end of the wait."""
        assert seconds is not None
        assert seconds > 0
        self.waits.append(seconds)
        until = self.now + seconds
        while self.script:
            step = self.script.popleft()
            if isinstance(step, Message):
                return step
            if isinstance(step, str):
                return Message(WSMsgType.TEXT, step.encode())
            if callable(step):
                await step()
            elif self.now + step > until:
                self.script.appendleft(self.now + step - until)
                break
            else:
                self.now += step
        self.now = until
        raise TimeoutError

    def ready(self) -> Message | None:
        """The next message of the script, if it comes before anything else."""
        if not (self.script and isinstance(step := self.script[0], str | Message)):
            return None
        self.script.popleft()
        return step if isinstance(step, Message) else Message(WSMsgType.TEXT, step.encode())

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Keep what is sent, and when."""
        assert opcode is WSMsgType.TEXT
        if self.broken is not None:
            raise self.broken
        records = [json.loads(record) for record in message.split(SEPARATOR)[:-1]]
        self.sent.append((self.passed, records))

    def abort(self) -> None:
        """Note it."""
        self.ends.append("abort")

    def hang_up(self) -> None:
        """Note it."""
        self.ends.append("hang up")

    def sent_of(self, kind: int) -> list[tuple[float, dict[str, Any]]]:
        """The frames of this type that were sent, with their times."""
        return [(at, record) for at, records in self.sent for record in records if record.get("type") == kind]


def over(
    network: Network, timeouts: Timeouts | None = None, *secrets: str, turn: float = 900.0, label: str = "[turn t]"
) -> ChatHubChannel:
    """A channel over this network."""
    deadline = Deadline(turn, network.clock, label)
    return ChatHubChannel(network, timeouts or Timeouts(), deadline, redact=Redactor(*secrets))


class Other:
    """Another task of the loop, which counts its turns."""

    def __init__(self) -> None:
        self.turns = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


async def asked(*script: Step, timeouts: Timeouts | None = None, turn: float = 900.0) -> tuple[ChatHubChannel, Network]:
    """A channel whose request was sent, and its network."""
    network = Network(*script)
    channel = over(network, timeouts, turn=turn)
    await channel.ask(chat())
    return channel, network


async def events_of(channel: ChatHubChannel) -> list[ev.Event]:
    """The events of a turn to its end."""
    given: list[ev.Event] = []
    while not (given and isinstance(given[-1], ev.TurnCompleted)):
        given.append(await channel.next_event())
    return given


async def failure_of(channel: ChatHubChannel) -> BingError:
    """The error that ends a turn."""
    with pytest.raises(BingError) as caught:
        await events_of(channel)
    return caught.value


async def reply_of(channel: ChatHubChannel) -> ev.Reply:
    """The reply that ends a turn."""
    completed = (await events_of(channel))[-1]
    assert isinstance(completed, ev.TurnCompleted)
    return completed.reply


# --- a turn -----------------------------------------------------------------------------------------------------------


async def test_a_turn_gives_its_events() -> None:
    """What comes in messages goes out as events, to the final frame and no further."""
    channel, network = await asked(ACK, HELLO, 2.0, PING, final(bot("Hello, you")), 1.0, "never read")
    given = await events_of(channel)
    assert given[:2] == [ev.TextDelta("Hello"), ev.TextDelta(", you")]
    assert isinstance(given[-1], ev.TurnCompleted)
    assert given[-1].reply.text == "Hello, you"
    assert network.script[-1] == "never read"


async def test_handshake_and_request_go_together() -> None:
    """Both are one message, which saves a round trip."""
    _, network = await asked()
    [(_, records)] = network.sent
    assert records[0] == {"protocol": "json", "version": 1}
    assert records[1]["type"] == 4
    assert len(records) == 2


# --- before a turn ----------------------------------------------------------------------------------------------------


async def greeted(*script: Step) -> tuple[ChatHubChannel, Network]:
    """A channel whose handshake is done, and its network with the rest of the script."""
    network = Network(0.5, ACK, *script)
    channel = over(network)
    await channel.greet()
    return channel, network


async def test_a_greeting_goes_alone_and_waits_for_its_answer() -> None:
    """Then the request is sent alone, by another deadline, and its limits begin then."""
    channel, network = await greeted()
    assert (network.passed, channel.alive()) == (0.5, True)
    network.now += 600
    network.script.extend([44.0, HELLO, 44.0, final(bot("Hello, you"))])
    later = channel.under(Deadline(100.0, network.clock, "[turn u]"))
    await later.ask(chat())
    assert (await reply_of(later)).text == "Hello, you"
    assert [[record.get("type") for record in records] for _, records in network.sent][:2] == [[None], [4]]
    later.close()
    assert network.ends == ["hang up"]


async def test_an_unanswered_greeting_times_out() -> None:
    """It has the limit of every handshake."""
    network = Network()
    with pytest.raises(errors.TimedOut, match=r"10 seconds \(timeouts\.handshake\)"):
        await over(network).greet()
    assert network.passed == 10


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (wire({"error": "No, hunter2+/=."}), errors.ProtocolError),
        (wire({"type": 7}), errors.ConnectionLost),
        (Message(WSMsgType.CLOSE, 1000), errors.ConnectionLost),
    ],
)
async def test_a_greeting_may_be_refused(answer: Step, kind: type[BingError]) -> None:
    """Whatever is said instead is the error of the greeting, without secrets."""
    with pytest.raises(kind) as caught:
        await over(Network(answer), None, "hunter2+/=").greet()
    assert "hunter" not in f"{caught.value} {caught.value.service_message}"


@pytest.mark.parametrize(
    "come",
    [
        Message(WSMsgType.CLOSED),
        Message(WSMsgType.CLOSE, 1000),
        Message(WSMsgType.BINARY, b""),
        wire({"type": 7}),
        HELLO,
        "{" + END,
    ],
)
async def test_what_ends_a_connection_before_its_turn_is_seen(come: Step) -> None:
    """The end of the socket, a frame that closes, and what may not come before a request: it takes none any more."""
    channel, network = await greeted()
    network.script.append(come)
    assert not channel.alive()
    assert not channel.alive()


async def test_pings_and_unknown_frames_end_nothing() -> None:
    """They show that the service is there: a silence counts from them on."""
    channel, network = await greeted()
    for seconds, come in ((40, PING), (40, wire({"type": 99})), (40, PING + PING)):
        network.now += seconds
        network.script.append(come)
        assert channel.alive()
        assert not network.script
    network.now += 45
    assert not channel.alive()


async def test_a_flood_before_a_turn_ends_it() -> None:
    """A look takes a bounded time; a service that says so much before it is asked is none to wait for."""
    channel, network = await greeted()
    network.script.extend([PING] * 1000)
    assert not channel.alive()
    assert len(network.script) > 800


async def test_a_ping_may_be_sent_before_a_turn() -> None:
    """A channel that waits for no event sends none by itself."""
    channel, network = await greeted()
    await channel.ping()
    assert network.sent_of(6) == [(0.5, {"type": 6})]
    network.broken = ConnectionResetError()
    with pytest.raises(errors.ConnectionLost):
        await channel.ping()


# --- time limits ------------------------------------------------------------------------------------------------------


async def test_an_unanswered_handshake_times_out() -> None:
    """Without an answer to the handshake the turn ends after `timeouts.handshake`."""
    channel, network = await asked()
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert error.message == "The service was silent for 10 seconds (timeouts.handshake)."
    assert network.passed == 10


async def test_a_stop_does_not_hide_an_unanswered_handshake() -> None:
    """The limit of the handshake holds for a turn that is stopped before it was answered, too."""
    channel, network = await asked(timeouts=Timeouts(handshake=3))
    await channel.stop()
    assert "(timeouts.handshake)" in str(await failure_of(channel))
    assert network.passed == 3


async def test_silence_on_the_socket_times_out() -> None:
    """Without any message the turn ends after `timeouts.silence`, and keeps the text that had come."""
    channel, network = await asked(ACK, 4.0, HELLO)
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert error.message == "The service was silent for 45 seconds (timeouts.silence)."
    assert error.partial_text == "Hello"
    assert network.passed == 4 + 45


async def test_pings_keep_the_socket_alive_but_not_the_answer() -> None:
    """Pings show a live socket; an answer that shows nothing else ends after `timeouts.answer`."""
    channel, network = await asked(ACK, *each(10.0, PING, 20))
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert error.message == "The service was silent for 120 seconds (timeouts.answer)."
    assert network.passed == 120


async def test_the_answer_is_alive_from_its_last_frame_on() -> None:
    """The silence of the answer begins with its newest frame, not with the pings around it."""
    channel, network = await asked(ACK, *each(10.0, PING, 11), 5.0, HELLO, *each(10.0, PING, 20))
    error = await failure_of(channel)
    assert "(timeouts.answer)" in error.message
    assert error.partial_text == "Hello"
    assert network.passed == 115 + 120


async def test_a_frame_without_news_keeps_the_answer_alive() -> None:
    """A frame that gives no event shows that the service works on the answer."""
    channel, network = await asked(ACK, *each(100.0, update(), 3), final(bot("Done")), timeouts=Timeouts(silence=110))
    assert (await reply_of(channel)).text == "Done"
    assert network.passed == 300


async def test_pings_are_sent_at_even_times() -> None:
    """A ping goes out each 15 seconds, whatever comes in, and nothing else is sent."""
    channel, network = await asked(ACK, *each(4.0, HELLO + PING, 12), final(bot("Hello")))
    await events_of(channel)
    assert [at for at, _ in network.sent_of(6)] == [PING_SECONDS, 2 * PING_SECONDS, 3 * PING_SECONDS]
    assert len(network.sent) == 1 + 3


async def test_the_turn_has_an_end_of_its_own() -> None:
    """The deadline of the whole turn ends it in the middle of a lively answer."""
    channel, network = await asked(ACK, HELLO, *each(3.0, PING, 20), turn=20)
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert error.message == "The turn was not complete after 20 seconds (timeouts.turn)."
    assert error.partial_text == "Hello"
    assert network.passed == 20


async def test_a_deadline_that_passed_elsewhere_is_seen() -> None:
    """A caller that took its time between two events is told, before anything is waited for."""
    channel, network = await asked(ACK, HELLO, turn=20)
    await channel.next_event()
    network.now += 1000
    waits = len(network.waits)
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert len(network.waits) == waits


async def test_the_caller_may_take_its_time() -> None:
    """A pause of the caller is no silence of the service: its limits go on where they were when it listens again."""
    channel, network = await asked(ACK, HELLO, 44.0, final(bot("Hello")))
    await channel.next_event()
    network.now += 500
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 544
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    network.now += 500
    assert "(timeouts.silence)" in str(await failure_of(channel))
    assert network.passed == 545


async def test_an_answer_that_waits_is_read_before_a_ping_is_sent() -> None:
    """After a long pause of the caller the answer is there, even if the service has closed the connection since."""
    channel, network = await asked(ACK, HELLO, final(bot("Hello there")))
    await channel.next_event()
    network.now += 500
    network.broken = ConnectionResetError("reset")
    assert (await reply_of(channel)).text == "Hello there"


# --- what has come already --------------------------------------------------------------------------------------------


async def test_what_has_come_is_ready() -> None:
    """Events of messages that have come are given without a wait, one by one, and None where one is needed."""
    channel, network = await asked(ACK, PING, HELLO, update(), 2.0, update(bot("Hello, you")), final(bot("Hello, you")))
    assert [channel.ready_event(), channel.ready_event()] == [ev.TextDelta("Hello"), None]
    assert (network.waits, network.passed) == ([], 0)
    assert await channel.next_event() == ev.TextDelta(", you")
    assert isinstance(channel.ready_event(), ev.TurnCompleted)
    assert channel.ready_event() is None
    assert network.passed == 2


@pytest.mark.parametrize(
    "end",
    [
        wire({"type": 7, "error": "bad token hunter2+/="}),
        "x" * 20_000_000,
        Message(WSMsgType.CLOSED),
        Message(WSMsgType.BINARY, b""),
    ],
    ids=["close", "long", "closed", "binary"],
)
async def test_a_failure_that_is_ready_is_left_for_the_next_wait(end: str | Message) -> None:
    """`ready_event` raises nothing and takes nothing further; `next_event` raises, each time, without the secrets."""
    network = Network(ACK, HELLO, end, HELLO)
    channel = over(network, None, "hunter2+/=")
    await channel.ask(chat())
    assert channel.ready_event() == ev.TextDelta("Hello")
    assert [channel.ready_event(), channel.ready_event()] == [None, None]
    first, second = await failure_of(channel), await failure_of(channel)
    assert first is second
    assert first.partial_text == "Hello"
    assert "hunter2" not in f"{first} {first!r} {first.service_message}"
    assert list(network.script) == [HELLO]


LONG = "Cats " * 200
PIECES = (" purr", " and", ' "play"', " with 猫")
SPELLINGS: dict[str, Callable[[Any], str]] = {
    "as the service writes it": partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
    "escaped": partial(json.dumps, separators=(",", ":")),
    "with blanks": json.dumps,
    "on many lines": partial(json.dumps, indent=1),
    "in another order": partial(json.dumps, sort_keys=True),
}
CUTS: dict[str, Callable[[list[str]], list[Step]]] = {
    "a message each": list,
    "one message": lambda records: ["".join(records)],
    "halves": lambda records: [half for record in records for half in (record[:99], record[99:])],
    "slowly": lambda records: [step for record in records for step in (0.5, record)],
}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_the_same_frames_give_the_same_events(
    spelling: str, cut: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each frame gives its own events: whatever its spelling, however it was cut or timed, and whatever is logged."""
    caplog.set_level(level)
    texts = [LONG + "".join(PIECES[:count]) for count in range(len(PIECES) + 1)]
    answer = [json.loads(snapshot(text, number=number)[:-1]) for number, text in enumerate(texts)]
    records = [f"{SPELLINGS[spelling](record)}{END}" for record in answer]
    channel, _ = await asked(ACK, *CUTS[cut](records), final(bot(texts[-1])))
    events = await events_of(channel)
    assert events[:-1] == [ev.TextDelta(piece) for piece in (LONG, *PIECES)]
    assert sum(" received " in record.getMessage() for record in caplog.records) == (
        0 if level == logging.INFO else 2 + len(CUTS[cut](records)) - (len(records) if cut == "slowly" else 0)
    )


async def test_after_many_frames_the_loop_turns_before_a_wait() -> None:
    """Where many frames came at once, what has come meanwhile is looked for before the channel waits for more."""
    channel, network = await asked(ACK, *[update()] * 8, 1.0, HELLO, 1.0, final(bot("Hello")))
    other = Other()
    turns: list[int] = []
    receive = network.receive

    async def noted(seconds: float | None = None) -> Message:
        turns.append(other.turns)
        return await receive(seconds)

    network.receive = noted  # type: ignore[method-assign]
    assert await channel.next_event() == ev.TextDelta("Hello")
    assert isinstance(await channel.next_event(), ev.TurnCompleted)
    other.task.cancel()
    assert turns == [1, 1]


async def test_what_was_ready_shows_that_the_service_lives() -> None:
    """Silence, and the silence of the answer, begin with the last message, however it was taken."""
    channel, network = await asked(ACK, 40.0, HELLO, *each(30.0, PING, 10), timeouts=Timeouts(silence=41, answer=70))
    assert channel.ready_event() is None
    assert await channel.next_event() == ev.TextDelta("Hello")
    assert channel.ready_event() is None
    assert "(timeouts.answer)" in str(await failure_of(channel))
    assert network.passed == 40 + 70


async def test_a_look_at_what_is_ready_leaves_the_callers_time_out() -> None:
    """Time that the caller takes before, between and after looks is no silence of the service and no overdue ping."""
    channel, network = await asked(ACK, HELLO, 44.0, final(bot("Hello")), turn=9000)
    for _ in range(3):
        network.now += 500
        channel.ready_event()
    network.now += 500
    sent = len(network.sent)
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 4 * 500 + 44
    assert [at for at, _ in network.sent[sent:]] == [2000 + PING_SECONDS, 2000 + 2 * PING_SECONDS]


async def test_looks_keep_neither_the_loop_nor_the_deadline() -> None:
    """After a stretch nothing is ready until `next_event` has let other tasks run and has looked at the limits."""
    script = [wire({"type": 99, "n": number}) for number in range(1000)]
    channel, network = await asked(ACK, *script, turn=60)
    other = Other()
    given = stretches = 0
    while given < 500:
        stretches += 1
        await channel.next_event()
        given += 1
        while channel.ready_event() is not None:
            given += 1
    other.task.cancel()
    assert other.turns >= stretches - 1 >= 4
    network.now += 61
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert network.script


async def test_a_flood_does_not_put_off_a_ping_or_the_end_of_a_stop() -> None:
    """Messages that are there without a wait count as those that are waited for: limits and pings are kept."""
    channel, network = await asked(ACK, HELLO, *[update()] * 2000)
    await channel.next_event()
    await channel.stop()
    receive = channel._turn.receive

    def slow(message: bytes) -> None:
        network.now += 0.05
        receive(message)

    channel._turn.receive = slow  # type: ignore[method-assign]
    channel._pinged -= PING_SECONDS
    assert (await reply_of(channel)).text == "Hello"
    assert 5 <= network.passed < 5 + 0.05 * 200
    assert len(network.sent_of(6)) == 1


# --- stop -------------------------------------------------------------------------------------------------------------


async def test_a_stopped_turn_ends_with_its_completion() -> None:
    """The service answers a stop with type 3 and no type 2: what came is the answer."""
    channel, network = await asked(ACK, HELLO, DONE)
    await channel.next_event()
    await channel.stop()
    reply = await reply_of(channel)
    assert (reply.text, reply.finish_reason) == ("Hello", "stop")
    stops = [{"type": 1, "target": "stop", "invocationId": "0", "arguments": [{}]}]
    assert [record for _, record in network.sent_of(1)] == stops


async def test_text_that_was_on_its_way_still_counts() -> None:
    """What comes between the stop and its completion belongs to the answer."""
    channel, _ = await asked(ACK, HELLO, 1.0, update(bot("Hello, you")), DONE)
    await channel.next_event()
    await channel.stop()
    assert (await reply_of(channel)).text == "Hello, you"


async def test_an_unanswered_stop_is_cut_short() -> None:
    """A service that does not answer a stop is left after `timeouts.stop`: what came is the answer."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    await channel.stop()
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 5


async def test_a_service_that_talks_on_is_cut_short() -> None:
    """Frames that still come do not put off the end of a stopped turn."""
    channel, network = await asked(ACK, HELLO, *each(2.0, HELLO, 20), timeouts=Timeouts(stop=9))
    await channel.next_event()
    await channel.stop()
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 9


async def test_a_stop_during_a_wait_is_cut_short_in_time() -> None:
    """A stop that another task asks for does not wait until the channel has waited for something else."""

    async def stop() -> None:
        await channel.stop()

    channel, network = await asked(ACK, HELLO, 7.0, stop)
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 7 + 5


async def test_no_wait_is_longer_than_a_stop_may_take() -> None:
    """The limits are looked at often enough for a stop that may be asked for at any time."""
    channel, network = await asked(ACK, timeouts=Timeouts(stop=2))
    await failure_of(channel)
    assert max(network.waits) == 2


async def test_a_stop_is_sent_once() -> None:
    """To stop twice is to stop once, counted from the first."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    await channel.stop()
    network.now += 3
    await channel.stop()
    await events_of(channel)
    assert network.passed == 5
    assert len(network.sent_of(1)) == 1


async def test_a_stop_after_the_answer_is_not_sent() -> None:
    """A turn that is over cannot be stopped."""
    channel, network = await asked(ACK, final(bot("Hello")))
    await events_of(channel)
    await channel.stop()
    assert network.sent_of(1) == []


async def test_a_stop_after_the_end_of_the_connection_is_not_sent() -> None:
    """There is nobody left to stop."""
    channel, network = await asked(ACK, wire({"type": 7, "error": "gone"}))
    assert type(await failure_of(channel)) is errors.ConnectionLost
    await channel.stop()
    assert network.sent_of(1) == []


async def test_a_stop_may_go_before_the_answer_to_the_handshake() -> None:
    """A turn can be stopped at once."""
    channel, network = await asked(ACK, DONE)
    await channel.stop()
    assert (await reply_of(channel)).text == ""
    assert len(network.sent_of(1)) == 1


# --- the end of the socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Message(WSMsgType.CLOSE, 1000), 1000),
        (Message(WSMsgType.CLOSE, 1001), 1001),
        (Message(WSMsgType.CLOSING), 1006),
        (Message(WSMsgType.CLOSED), 1006),
    ],
)
async def test_a_socket_that_ends_before_the_answer_is_an_error(end: Message, code: int) -> None:
    """Without a final frame a closed socket is an error, code 1000 included; the text that had come is kept."""
    channel, _ = await asked(ACK, HELLO, end)
    error = await failure_of(channel)
    assert type(error) is errors.ConnectionLost
    assert error.message == f"The connection ended with code {code} before the answer was complete."
    assert error.partial_text == "Hello"


async def test_a_silent_refusal_means_a_prompt_that_is_too_long() -> None:
    """Code 1000 without a word, on a long prompt, is how the service refuses it."""
    network = Network(ACK, Message(WSMsgType.CLOSE, 1000))
    channel = over(network)
    await channel.ask(chat("x" * 4001))
    assert type(await failure_of(channel)) is errors.PromptTooLong


async def test_a_stopped_turn_may_end_with_its_socket() -> None:
    """A service that answers a stop by hanging up has answered it."""
    channel, network = await asked(ACK, HELLO, Message(WSMsgType.CLOSED))
    await channel.next_event()
    await channel.stop()
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 0


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Message(WSMsgType.BINARY, b"\x00"), "sent a binary message"),
        (Message(WSMsgType.ERROR, ValueError("Message size 9 exceeds limit 8")), r"\(Message size 9 exceeds limit 8\)"),
    ],
)
async def test_what_is_no_text_is_a_protocol_error(message: Message, says: str) -> None:
    """A binary message, and a broken or too large frame, end the turn; the text that had come is kept."""
    channel, _ = await asked(ACK, HELLO, message)
    await channel.next_event()
    with pytest.raises(errors.ProtocolError, match=says) as caught:
        await channel.next_event()
    assert caught.value.partial_text == "Hello"


# --- sending ----------------------------------------------------------------------------------------------------------

BREAKS = [ConnectionResetError("reset"), aiohttp.ClientConnectionResetError("Cannot write to closing transport")]


@pytest.mark.parametrize("broken", BREAKS)
async def test_a_request_that_cannot_be_sent_is_a_lost_connection(broken: Exception) -> None:
    """Whatever the library raises while it sends is ConnectionLost, with that as its cause."""
    network = Network()
    network.broken = broken
    with pytest.raises(errors.ConnectionLost, match="broke while something was sent") as caught:
        await over(network).ask(chat())
    assert caught.value.__cause__ is broken


async def test_a_ping_that_cannot_be_sent_is_a_lost_connection() -> None:
    """A connection that breaks unnoticed is noticed by the next ping, and the text that had come is kept."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    network.broken = BREAKS[0]
    error = await failure_of(channel)
    assert type(error) is errors.ConnectionLost
    assert error.partial_text == "Hello"
    assert network.passed == PING_SECONDS


async def test_a_stop_that_cannot_be_sent_is_a_lost_connection() -> None:
    """The caller of `stop` hears of it."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    network.broken = BREAKS[0]
    with pytest.raises(errors.ConnectionLost):
        await channel.stop()


@pytest.mark.parametrize(
    ("silence", "turn", "limit"), [(0.01, 900.0, "silence"), (45.0, 0.01, "turn"), (45.0, -1.0, "turn")]
)
async def test_a_service_that_does_not_read_times_out(
    monkeypatch: pytest.MonkeyPatch, silence: float, turn: float, limit: str
) -> None:
    """What cannot be sent, since the other end takes in nothing, waits no longer than silence or the turn may last."""
    network = Network()

    async def blocked(message: bytes, opcode: WSMsgType) -> None:
        assert message
        assert opcode is WSMsgType.TEXT
        await asyncio.Event().wait()

    monkeypatch.setattr(network, "send_frame", blocked)
    with pytest.raises(errors.TimedOut, match=rf"took in nothing of what was sent .*timeouts\.{limit}"):
        await over(network, Timeouts(silence=silence), turn=turn).ask(chat())


# --- closing ----------------------------------------------------------------------------------------------------------


async def test_a_socket_is_hung_up_after_the_answer() -> None:
    """After the final frame the socket is closed politely, once."""
    channel, network = await asked(ACK, final(bot("Hello")))
    await events_of(channel)
    channel.close()
    channel.close()
    assert network.ends == ["hang up"]


async def test_a_socket_is_hung_up_after_a_stop() -> None:
    """A stopped turn is a whole one."""
    channel, network = await asked(ACK, HELLO)
    await channel.stop()
    await events_of(channel)
    channel.close()
    assert network.ends == ["hang up"]


async def test_a_socket_is_dropped_before_the_answer() -> None:
    """A turn that is left early ends its socket at once, once."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    channel.close()
    channel.close()
    assert network.ends == ["abort"]


# --- logging ----------------------------------------------------------------------------------------------------------


async def test_frames_are_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG every frame is logged with the label of its turn, and with its secrets masked."""
    caplog.set_level(logging.DEBUG, channel_module.__name__)
    request = chat()
    request.arguments[0].conversation_signature = "hunter2+/="
    echo = update(bot("You said hunter2+/= or hunter2%2B%2F%3D"))
    network = Network(ACK, echo, final(bot("Hello")), Message(WSMsgType.CLOSE, 1000))
    channel = over(network, None, "hunter2+/=", label="[turn 0af1]")
    await channel.ask(request)
    await events_of(channel)
    channel._take(await network.receive(1.0))
    lines = [record.getMessage() for record in caplog.records if record.name == channel_module.__name__]
    assert [line.split()[:3] for line in lines] == [
        ["[turn", "0af1]", "sent"],
        *[["[turn", "0af1]", "received"]] * 3,
        ["[turn", "0af1]", "socket"],
    ]
    assert "hunter2" not in "".join(lines)
    assert "You said *** or ***" in lines[2]
    assert lines[-1].endswith("socket at its end, code 1000")


async def test_frames_are_not_logged_unasked(caplog: pytest.LogCaptureFixture) -> None:
    """Above DEBUG there are no frames in the log."""
    caplog.set_level(logging.INFO, channel_module.__name__)
    channel, _ = await asked(ACK, final(bot("Hello")))
    await events_of(channel)
    assert caplog.records == []


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kinds that were logged, none yet."""
    kinds: set[str] = set()
    monkeypatch.setattr(channel_module, "_noted", kinds)
    return kinds


def unknown(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of unknown things."""
    mark = "not logged again: "
    return [line.partition(mark)[2] for line in map(logging.LogRecord.getMessage, caplog.records) if mark in line]


@pytest.mark.usefixtures("noted")
async def test_each_unknown_kind_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each kind that this version does not know is logged once for all turns, by its names, cut short."""
    caplog.set_level(logging.INFO, channel_module.__name__)
    script = [
        wire({"type": 99}, {"type": 99, "more": 1}, {"type": 1, "target": "x" * 99}, {"secret": "hunter2"}),
        update(bot("?", messageType="New", contentType="SUNO")),
        update(bot("?", message_id="a2", messageType="New", contentType="SUNO")),
        final(bot("Hello", message_id="a3")),
    ]
    for _ in range(2):
        channel, _network = await asked(ACK, *script)
        given = await events_of(channel)
        assert len([event for event in given if isinstance(event, ev.Unknown)]) == 6
    assert unknown(caplog) == ["99", f"1 '{'x' * 39}", "dict", "'New' 'SUNO'"]


async def test_the_log_of_unknown_kinds_is_bounded(caplog: pytest.LogCaptureFixture, noted: set[str]) -> None:
    """A service that invents kinds for ever fills neither log nor memory."""
    caplog.set_level(logging.INFO, channel_module.__name__)
    channel, _ = await asked(ACK, wire(*[{"type": 1000 + number} for number in range(300)]), final(bot("Hello")))
    await events_of(channel)
    assert len(unknown(caplog)) == len(noted) == 100


# --- hostile ----------------------------------------------------------------------------------------------------------


async def test_a_long_message_does_not_keep_the_loop() -> None:
    """Between the events of one message other tasks get their turn."""
    channel, _ = await asked(ACK, wire(*({"type": 99, "n": number} for number in range(250))), final(bot("Hi")))
    other = Other()
    assert (await reply_of(channel)).text == "Hi"
    other.task.cancel()
    assert other.turns >= 2


async def test_a_long_message_does_not_outlive_the_turn() -> None:
    """The deadline of the turn counts between the events of one message too."""
    channel, network = await asked(ACK, wire(*({"type": 99, "n": number} for number in range(250))), turn=60)
    await channel.next_event()
    network.now += 61
    error = await failure_of(channel)
    assert type(error) is errors.TimedOut
    assert "60 seconds (timeouts.turn)" in str(error)


async def test_what_a_service_repeats_of_a_secret_is_masked(caplog: pytest.LogCaptureFixture, noted: set[str]) -> None:
    """Neither an error nor the note of an unknown kind shows a secret that the service sent back."""
    caplog.set_level(logging.INFO)
    network = Network(ACK, wire({"type": "hunter2+/="}, {"type": 7, "error": "bad token hunter2+/="}))
    channel = over(network, None, "hunter2+/=")
    await channel.ask(chat())
    error = await failure_of(channel)
    assert error.service_message == "bad token ***"
    assert "hunter2" not in f"{error} {error!r} {caplog.text} {noted}"


async def test_a_frame_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that a service sends looks like a line of ours, or steers a terminal."""
    caplog.set_level(logging.DEBUG)
    channel, _ = await asked(ACK, "{}\n[turn 9] forged \x1b[2J\x1e")
    with pytest.raises(errors.ProtocolError):
        await channel.next_event()
    received = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert received == ["[turn t] received {}\\n[turn 9] forged \\u001b[2J\\u001e"]


@pytest.mark.parametrize("code", [1009, 1002])
async def test_a_frame_that_is_too_large_names_the_limit(code: int) -> None:
    """Aiohttp refuses it; other breaches of the protocol are told as it tells them."""
    channel, _ = await asked(ACK, Message(WSMsgType.ERROR, WebSocketError(code, "Hm.")))
    with pytest.raises(errors.ProtocolError) as caught:
        await channel.next_event()
    assert ("limits.frame_bytes" in caught.value.message, "Hm." in caught.value.message) == (code == 1009, code == 1002)
