"""One running turn: how it is opened again, and what its errors say."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.errors import ConnectionFailed, ConnectionLost, Metering, ServiceError
from bing_llm.fold import fold
from tests.fakes import FakeBackend, Line, Time, Turn, answer, client_of
from tests.turn.reading import SEARCH, events_of, pieces_of

# --- opened again -----------------------------------------------------------------------------------------------------


async def test_a_turn_without_text_is_opened_again_in_a_new_conversation() -> None:
    """A failure before any event is not seen by the reader."""
    time = Time()
    backend = FakeBackend([], ConnectionFailed("x"), answer("Hi"))
    assert await events_of(client_of(backend, time).stream("Hello")) == answer("Hi")
    assert backend.calls == [
        "create",
        "turn 0 of conversation-1",
        "create",
        "turn 0 of conversation-2",
        "create",
        "turn 0 of conversation-3",
    ]
    assert time.waits == [0.5, 1.0]
    assert backend.open_channels == 0


async def test_metadata_before_the_failure_is_followed_by_restarted() -> None:
    """What was yielded before the turn was opened again is called off by `Restarted`, and the fold forgets it."""
    lines: list[Line] = [SEARCH, ev.Suggestions(("old",)), ev.Quota(1, 5), ServiceError("It broke.")]
    second: list[Line] = [ev.SearchStarted("second"), ev.TextDelta("Hi"), ev.TurnCompleted(ev.Reply(text="Hi"))]
    events = await events_of(client_of(FakeBackend(lines, second)).stream("Hello"))
    assert events == [*lines[:3], ev.Restarted("It broke."), *second]
    folded = fold(events[:-1])
    assert (folded.text, folded.searches, folded.suggestions, folded.quota) == ("Hi", (ev.Search("second"),), (), None)


async def test_restarted_comes_only_where_something_is_to_be_forgotten() -> None:
    """A further failure that followed on nothing is not announced again; one that followed on metadata is."""
    backend = FakeBackend(
        [SEARCH, ServiceError("first")],
        ConnectionFailed("second"),
        [SEARCH, ServiceError("third")],
        answer("Hi"),
    )
    events = await events_of(client_of(backend).stream("Hello"))
    assert events == [SEARCH, ev.Restarted("first"), SEARCH, ev.Restarted("third"), *answer("Hi")]


@pytest.mark.parametrize(
    "line",
    [ev.TextDelta("Once"), ev.TextRevised("Once"), ev.TextRevoked("Sorry.")],
    ids=lambda line: type(line).__name__,
)
async def test_after_text_the_error_is_raised(line: ev.Event) -> None:
    """Text that was given cannot be recalled: the turn is not opened again."""
    failure = ConnectionLost("It broke.")  # by itself it does not say that there was text
    backend = FakeBackend([SEARCH, line, failure], answer("Hi"))
    turn = client_of(backend).stream("Hello")
    with pytest.raises(ConnectionLost) as caught:
        await events_of(turn)
    assert caught.value is failure
    assert len(backend.channels) == 1
    assert backend.open_channels == 0


async def test_text_that_came_with_the_error_counts() -> None:
    """An error that brings text was after text, even if no event had shown it."""
    backend = FakeBackend([ServiceError("It broke.", partial_text="Once")], answer("Hi"))
    with pytest.raises(ServiceError):
        await client_of(backend).stream("Hello").reply()
    assert len(backend.channels) == 1


async def test_the_end_must_be_proved() -> None:
    """A connection that ends without `TurnCompleted` is an error, with the text that had come."""
    backend = FakeBackend([ev.TextDelta("Once "), ev.TextDelta("upon")])
    with pytest.raises(ConnectionLost) as caught:
        await client_of(backend).stream("Hello").reply()
    assert caught.value.partial_text == "Once upon"


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_the_same_error_comes_again() -> None:
    """A turn that failed fails in whatever way it is read again, and asks the service for nothing."""
    backend = FakeBackend([errors.ContentFiltered("No.")])
    turn = client_of(backend).stream("Hello")
    with pytest.raises(errors.ContentFiltered) as first:
        await turn.reply()
    for again in (turn.reply(), events_of(turn), pieces_of(turn), anext(turn)):
        with pytest.raises(errors.ContentFiltered) as caught:
            await again
        assert caught.value is first.value
    assert len(backend.channels) == 1


async def test_the_original_error_is_raised_after_the_last_attempt() -> None:
    """The very error of the last attempt comes out, with its cause."""
    cause = OSError("refused")
    failures = [ConnectionFailed(str(number)) for number in range(3)]
    failures[-1].__cause__ = cause
    with pytest.raises(ConnectionFailed) as caught:
        await client_of(FakeBackend(*failures), attempts=3).stream("Hello").reply()
    assert caught.value is failures[-1]
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("method", ["ready_event", "next_event"])
async def test_a_bug_below_closes_the_turn(method: str) -> None:
    """An exception that is none of ours comes out as it is, and leaves nothing open."""
    backend = FakeBackend(answer("Hi"))
    turn = client_of(backend).stream("Hello")
    await anext(turn)

    channel = backend.channels[0]

    def broken() -> ev.Event:
        raise LookupError("a bug")

    channel.ready_event = lambda: None  # type: ignore[method-assign]
    setattr(channel, method, broken)
    with pytest.raises(LookupError, match="a bug"):
        await anext(turn)
    assert backend.open_channels == 0


# --- what the service says about its turns ----------------------------------------------------------------------------

PAID = Metering(metered=True, throttling_passes=True)


@pytest.mark.parametrize("failure", [ServiceError("x"), ConnectionLost("x"), errors.TimedOut("x")])
async def test_a_metered_turn_that_was_sent_is_not_sent_again(failure: errors.BingError) -> None:
    """It may have been paid for: its failure is raised, and says that it was sent."""
    backend = FakeBackend([SEARCH, failure], answer("Hi"))
    backend.metering = PAID
    with pytest.raises(type(failure)) as caught:
        await client_of(backend).ask("Hello")
    assert caught.value is failure
    assert caught.value.sent
    assert backend.calls == ["create", "turn 0 of conversation-1"]


async def test_a_metered_turn_that_was_not_sent_is_sent() -> None:
    """A request that was not sent costs nothing, so it is retried."""
    backend = FakeBackend(ServiceError("x"), answer("Hi"), creations=[ConnectionFailed("x")])
    backend.metering = PAID
    assert (await client_of(backend).ask("Hello")).text == "Hi"
    assert backend.calls.count("create") == 3


async def test_throttling_that_passes_is_waited_for() -> None:
    """A service whose quota is not counted in hours gets the turn again, by back-off: it has refused the first one."""
    time, backend = Time(), FakeBackend([errors.Throttled("x")], answer("Hi"))
    backend.metering = PAID
    assert (await client_of(backend, time).ask("Hello")).text == "Hi"
    assert time.waits == [0.5]


@pytest.mark.parametrize(("turn", "sent"), [(ServiceError("x"), False), ([ServiceError("x")], True)])
async def test_an_error_says_whether_its_turn_was_sent(turn: Turn, *, sent: bool) -> None:
    """Whoever asks again can know whether the service may have acted on it."""
    with pytest.raises(ServiceError) as caught:
        await client_of(FakeBackend(turn), attempts=1).ask("Hello")
    assert caught.value.sent is sent
