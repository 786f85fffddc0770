"""One turn of Work IQ over a channel: where it differs from a ChatHub's."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm import events as ev
from bing_llm._secrets import Redactor
from bing_llm.backends import channel as channel_module
from bing_llm.backends.channel import Channel
from bing_llm.backends.transport import End
from bing_llm.errors import ConnectionLost
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Limits, Timeouts
from tests.backends.channel.network import Network, Step, each, events_of, failure_of, reply_of
from tests.backends.channel.test_ready import pieces_of
from tests.backends.workiq.wire import conversation, event, final, message, new_turn, partial

HELLO = partial("Hello")
DONE = final("Hello, you")
KEEP_ALIVE = b": keep-alive\r\n\r\n"

AT_END = End(1000, "response at its end")
BROKEN = End(1006, "The connection broke (X).")


def over(
    network: Network,
    timeouts: Timeouts | None = None,
    *secrets: str,
    turn: float = 900.0,
    limits: Limits = DEFAULT_LIMITS,
    is_json: bool = False,
) -> Channel:
    """A channel over this network."""
    deadline = Deadline(turn, network.clock, "[turn t]")
    protocol = new_turn(asked="Ask", conversation_id="c1", limits=limits)
    if is_json:
        protocol.expect_json()
    return Channel(network, protocol, timeouts or Timeouts(), deadline, redact=lambda: Redactor(*secrets))


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
    error = await failure_of(over(Network(HELLO, AT_END)))
    assert type(error) is ConnectionLost
    assert error.partial_text == "Hello"


@pytest.mark.parametrize("waits", [False, True])
async def test_a_connection_that_breaks_is_the_end_of_the_answer(*, waits: bool) -> None:
    """The text that came is kept; where the final event had come, nothing is missing."""
    for last, whole in ((HELLO, False), (DONE, True)):
        channel = over(Network(last, *([1.0] if waits else []), BROKEN))
        if whole:
            assert (await reply_of(channel)).text == "Hello, you"
        else:
            error = await failure_of(channel)
            assert type(error) is ConnectionLost
            assert error.partial_text == "Hello"


async def test_an_answer_that_is_not_a_stream_is_read_whole() -> None:
    """JSON where a stream was due is one conversation, or the error that the service has to tell."""
    whole = json.dumps(conversation(message("Ask", "u1"), message("Hello"), displayName="Title")).encode()
    network = Network(whole[:50], whole[50:], AT_END)
    assert (await reply_of(over(network, is_json=True))).text == "Hello"
    refused = json.dumps({"error": {"code": "tooManyRequests", "message": "Later."}}).encode()
    error = await failure_of(over(Network(refused, AT_END), is_json=True))
    assert type(error) is errors.Throttled


async def test_json_without_an_end_is_refused() -> None:
    """A body that is not a stream does not fill memory."""
    network = Network(b"[" * 60, b"[" * 60, b"never read")
    error = await failure_of(over(network, limits=Limits(frame_bytes=100), is_json=True))
    assert type(error) is errors.ProtocolError
    assert "over 100 bytes in one answer (limits.frame_bytes)" in error.message
    assert list(network.script) == [b"never read"]


async def test_json_that_breaks_off_is_lost() -> None:
    """Half of an answer is not read."""
    error = await failure_of(over(Network(b'{"id": "c1"}', BROKEN), is_json=True))
    assert type(error) is ConnectionLost


# --- time limits ------------------------------------------------------------------------------------------------------


async def test_the_first_byte_may_take_long() -> None:
    """The service thinks for up to a minute before it says anything, which does not count as silence."""
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
    """A pause of the caller is not a silence of the service: its limit goes on when the caller listens again."""
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
    """A caller that took its time between two events gets the error before anything is waited for."""
    network = Network(HELLO)
    channel = over(network, turn=20)
    await channel.next_event()
    network.now += 1000
    waits = len(network.waits)
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert len(network.waits) == waits


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
    assert network.ends == ["abort"]
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
    network = Network(1.0)
    channel = over(network)
    network.script.append(channel.stop)
    assert (await reply_of(channel)).text == ""
    assert network.ends == ["abort"]


async def test_a_stop_after_the_end_does_nothing() -> None:
    """A turn that is complete has nothing to stop."""
    network = Network(DONE)
    channel = over(network)
    await events_of(channel)
    await channel.stop()
    assert network.ends == []


async def test_closing_drops_the_connection() -> None:
    """At once, in the middle of an answer."""
    network = Network(HELLO)
    channel = over(network)
    await channel.next_event()
    channel.close()
    assert network.ends == ["abort"]


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
    """The log tells a clean end from a broken connection."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    for end in (AT_END, BROKEN):
        await failure_of(over(Network(HELLO, end)))
    assert "[turn t] response at its end" in caplog.text
    assert "[turn t] The connection broke (X)." in caplog.text


async def test_what_is_not_known_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of a kind that nobody knows is given, and one line says so."""
    monkeypatch.setattr(channel_module, "_noted", set())
    caplog.set_level(logging.INFO, "bing_llm")
    given = await events_of(over(Network(event({"surprise": 1}), event({"surprise": 2}), DONE)))
    assert [item.raw for item in given if isinstance(item, ev.Unknown)] == [{"surprise": 1}, {"surprise": 2}]
    assert caplog.text.count("kept as Unknown") == 1
    assert "surprise" not in caplog.text


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.data())
def test_neither_cuts_nor_pauses_change_the_events(end: str, ascii_only: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """However the stream is cut, timed, spelled and broken into lines, the events follow from its snapshots alone."""
    texts = ["Cats", "Cats purr", "Cats purr and [1", "Cats purr and [1](https://example.org/a) 猫"]
    snapshots = [partial(text) for text in texts] + [final(texts[-1])]
    spelled = [
        f"data: {json.dumps(json.loads(each.partition(b'data:')[2].split(b'id:')[0]), ensure_ascii=ascii_only)}\n\n"
        for each in snapshots
    ]
    stream = "".join(spelled).replace("\n", end).encode()

    async def events(steps: list[Step]) -> list[ev.Event]:
        return await events_of(over(Network(*steps)))

    expected = asyncio.run(events(list(snapshots)))
    assert len(expected) > 2
    assert asyncio.run(events(pieces_of(stream, data))) == expected
