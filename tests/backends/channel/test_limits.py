"""Time limits, and the end of a turn that is stopped."""

from __future__ import annotations

from bing_llm import errors
from bing_llm.backends.chathub.turn import PING_SECONDS
from bing_llm.limits import Timeouts
from tests.backends.channel.hub import HELLO, LOST, asked
from tests.backends.channel.network import each, events_of, failure_of, reply_of
from tests.backends.chathub.wire import ACK, DONE, PING, bot, final, update, wire

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
    """A caller that took its time between two events gets the error before anything is waited for."""
    channel, network = await asked(ACK, HELLO, turn=20)
    await channel.next_event()
    network.now += 1000
    waits = len(network.waits)
    assert "(timeouts.turn)" in str(await failure_of(channel))
    assert len(network.waits) == waits


async def test_the_caller_may_take_its_time() -> None:
    """A pause of the caller is not a silence of the service: its limits go on when the caller listens again."""
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
    network.broken = LOST
    assert (await reply_of(channel)).text == "Hello there"


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
