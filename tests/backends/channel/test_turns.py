"""Turns from the handshake to the end of their connection."""

from __future__ import annotations

import asyncio

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub.turn import PING_SECONDS
from bing_llm.backends.transport import End
from bing_llm.errors import BingError
from bing_llm.limits import Deadline, Timeouts
from tests.backends.channel.hub import HELLO, LOST, after_handshake, asked, over
from tests.backends.channel.network import Network, Step, events_of, failure_of, reply_of
from tests.backends.chathub.wire import ACK, END, PING, bot, final, wire

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


async def test_a_handshake_goes_alone_and_waits_for_its_answer() -> None:
    """Then the request is sent alone, by another deadline, and its limits begin then."""
    hub, network = await after_handshake()
    assert (network.passed, hub.alive()) == (0.5, True)
    network.now += 600
    network.script.extend([44.0, HELLO, 44.0, final(bot("Hello, you"))])
    hub.channel.begin(Deadline(100.0, network.clock, "[turn u]"))
    await hub.ask()
    assert (await reply_of(hub.channel)).text == "Hello, you"
    assert [[record.get("type") for record in records] for _, records in network.sent][:2] == [[None], [4]]
    hub.channel.close()
    assert network.ends == ["hang up"]


async def test_an_unanswered_handshake_alone_times_out() -> None:
    """It has the limit of every handshake."""
    network = Network()
    with pytest.raises(errors.TimedOut, match=r"10 seconds \(timeouts\.handshake\)"):
        await over(network).shake_hands()
    assert network.passed == 10


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (wire({"error": "No, hunter2+/=."}), errors.ProtocolError),
        (wire({"type": 7}), errors.ConnectionLost),
        (End(1000), errors.ConnectionLost),
    ],
)
async def test_a_handshake_may_be_refused(answer: Step, kind: type[BingError]) -> None:
    """Whatever is said instead is the error of the handshake, without secrets."""
    with pytest.raises(kind) as caught:
        await over(Network(answer), None, "hunter2+/=").shake_hands()
    assert "hunter" not in f"{caught.value} {caught.value.service_message}"


@pytest.mark.parametrize(
    "come",
    [
        End(),
        End(1000),
        errors.ProtocolError("binary"),
        wire({"type": 7}),
        HELLO,
        "{" + END,
    ],
)
async def test_what_ends_a_connection_before_its_turn_is_seen(come: Step) -> None:
    """The end of the socket, a frame that closes, and what may not come before a request: it takes none any more."""
    hub, network = await after_handshake()
    network.script.append(come)
    assert not hub.alive()
    assert not hub.alive()


async def test_pings_and_unknown_frames_end_nothing() -> None:
    """They show that the service is there: a silence counts from them on."""
    hub, network = await after_handshake()
    for seconds, come in ((40, PING), (40, wire({"type": 99})), (40, PING + PING)):
        network.now += seconds
        network.script.append(come)
        assert hub.alive()
        assert not network.script
    network.now += 45
    assert not hub.alive()


async def test_a_flood_before_a_turn_ends_it() -> None:
    """A look takes a bounded time; a service that says so much before it is asked is none to wait for."""
    hub, network = await after_handshake()
    network.script.extend([PING] * 1000)
    assert not hub.alive()
    assert len(network.script) > 800


async def test_a_ping_may_be_sent_before_a_turn() -> None:
    """A channel that waits for no event sends none by itself."""
    hub, network = await after_handshake()
    await hub.channel.send(hub.turn.ping())
    assert network.sent_of(6) == [(0.5, {"type": 6})]
    network.broken = LOST
    with pytest.raises(errors.ConnectionLost):
        await hub.channel.send(hub.turn.ping())


# --- the end of the socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (End(1000), 1000),
        (End(1001), 1001),
        (End(), 1006),
    ],
)
async def test_a_socket_that_ends_before_the_answer_is_an_error(end: End, code: int) -> None:
    """Without a final frame a closed socket is an error, code 1000 included; the text that had come is kept."""
    channel, _ = await asked(ACK, HELLO, end)
    error = await failure_of(channel)
    assert type(error) is errors.ConnectionLost
    assert error.message == f"The connection ended with code {code} before the answer was complete."
    assert error.partial_text == "Hello"


async def test_a_silent_refusal_means_a_prompt_that_is_too_long() -> None:
    """Code 1000 without a word, on a long prompt, is how the service refuses it."""
    network = Network(ACK, End(1000))
    hub = over(network)
    await hub.ask("x" * 4001)
    assert type(await failure_of(hub.channel)) is errors.PromptTooLong


async def test_a_stopped_turn_may_end_with_its_socket() -> None:
    """A service that answers a stop by hanging up has answered it."""
    channel, network = await asked(ACK, HELLO, End())
    await channel.next_event()
    await channel.stop()
    assert (await reply_of(channel)).text == "Hello"
    assert network.passed == 0


async def test_an_error_of_the_connection_keeps_the_text_that_had_come() -> None:
    """What the transport raises ends the turn."""
    channel, _ = await asked(ACK, HELLO, errors.ProtocolError("The service sent a binary message."))
    await channel.next_event()
    with pytest.raises(errors.ProtocolError, match="binary") as caught:
        await channel.next_event()
    assert caught.value.partial_text == "Hello"


# --- sending ----------------------------------------------------------------------------------------------------------


async def test_a_request_that_cannot_be_sent_is_a_lost_connection() -> None:
    """The error of the transport is the error of the request."""
    network = Network()
    network.broken = LOST
    with pytest.raises(errors.ConnectionLost) as caught:
        await over(network).ask()
    assert caught.value is LOST


async def test_a_ping_that_cannot_be_sent_is_a_lost_connection() -> None:
    """A connection that breaks unnoticed is noticed by the next ping, and the text that had come is kept."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    network.broken = errors.ConnectionLost()
    error = await failure_of(channel)
    assert type(error) is errors.ConnectionLost
    assert error.partial_text == "Hello"
    assert network.passed == PING_SECONDS


async def test_a_stop_that_cannot_be_sent_is_a_lost_connection() -> None:
    """The caller of `stop` hears of it."""
    channel, network = await asked(ACK, HELLO)
    await channel.next_event()
    network.broken = errors.ConnectionLost()
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

    async def blocked(data: bytes, seconds: float) -> None:
        assert data
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()

    monkeypatch.setattr(network, "send", blocked)
    with pytest.raises(errors.TimedOut, match=rf"took in nothing of what was sent .*timeouts\.{limit}"):
        await over(network, Timeouts(silence=silence), turn=turn).ask()


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
