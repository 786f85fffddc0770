"""The synchronous twin: the same names, arguments, events and errors as the asynchronous client."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.backends.base import ConversationInfo
from bing_llm.client import BingClient
from bing_llm.conversation import Conversation
from bing_llm.emulator import Emulator, Scripted
from bing_llm.emulator.brains.scripted import Line
from bing_llm.errors import (
    ConfigurationError,
    ConnectionLost,
    ContentFiltered,
    ConversationBusy,
    InvalidRequest,
)
from bing_llm.services import ChatHub
from bing_llm.sync import run
from bing_llm.sync_client import SyncBingClient, SyncConversation, SyncTurnStream
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Pause, Turn, answer, caught_up, client_of, settled

TWINS = [(BingClient, SyncBingClient), (Conversation, SyncConversation), (TurnStream, SyncTurnStream)]

TWIN_NAMES = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
ASYNC_ONLY = {"backend", "handle", "piece", "ready"}
"""What the adapters need of the asynchronous classes; they have no use for the others."""


def sync_client_of(*turns: Turn, **retries: Any) -> tuple[SyncBingClient, FakeBackend]:
    """A synchronous client of a service that plays these turns."""
    backend = FakeBackend(*turns)
    client = SyncBingClient(backend="chathub")
    client._async = client_of(backend, **retries)
    return client, backend


def offered(kind: type[Any]) -> set[str]:
    """What a class offers: its public names, and how it can be entered and iterated."""
    protocols = {*TWIN_NAMES, *TWIN_NAMES.values()}
    return {name for name in vars(kind) if not name.startswith("_") or name in protocols}


# --- the same surface -------------------------------------------------------------------------------------------------


def test_the_arguments_are_the_same() -> None:
    """`help` shows the arguments of BingClient, with their defaults and types."""
    assert inspect.signature(SyncBingClient) == inspect.signature(BingClient).replace(
        return_annotation=inspect.Signature.empty
    )
    assert next(iter(inspect.signature(SyncBingClient.__init__).parameters)) == "self"


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=lambda kind: kind.__name__)
def test_everything_public_has_a_twin(asynchronous: type[Any], synchronous: type[Any]) -> None:
    """Each public name of an asynchronous class is there without `async`, and nothing else is."""
    assert offered(synchronous) == {TWIN_NAMES.get(name, name) for name in offered(asynchronous) - ASYNC_ONLY}


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=lambda kind: kind.__name__)
def test_twins_take_the_same_arguments(asynchronous: type[Any], synchronous: type[Any]) -> None:
    """A method takes the same arguments in both, and none of the synchronous ones is a coroutine function."""
    for name, method in vars(synchronous).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        assert not inspect.iscoroutinefunction(method)
        twin = vars(asynchronous).get(name) or vars(asynchronous)["aclose"]
        assert inspect.signature(method).parameters == inspect.signature(twin).parameters
        assert method.__doc__


def test_an_unknown_argument_is_a_type_error() -> None:
    """A misspelt setting is refused, as in BingClient."""
    with pytest.raises(TypeError, match="endpiont"):
        SyncBingClient(endpiont="http://127.0.0.1:1")  # type: ignore[call-arg]


def test_settings_are_checked_as_in_the_asynchronous_client() -> None:
    """The same errors before anything is sent."""
    with pytest.raises(ConfigurationError, match="bing-huge"):
        SyncBingClient(backend="chathub", model="bing-huge")


def test_another_model_shares_the_connections() -> None:
    """`with_options` gives a synchronous client of the same service; closing it closes nothing."""
    client, backend = sync_client_of(answer("a"))
    with client.with_options(model="bing-precise") as precise:
        assert precise.ask("Hello").text == "a"
    assert (backend.models, "close" in backend.calls) == (["bing-precise"], False)
    assert (precise.model, precise.prompt_limit) == ("bing-precise", client.prompt_limit)
    client.close()
    with pytest.raises(ConfigurationError, match="This client was closed"):
        precise.ask("Hello")


def test_reprs_and_properties_are_those_of_the_twin() -> None:
    """The repr of a synchronous object is `Sync` and that of its twin; its properties are the twin's."""
    client, _ = sync_client_of(answer("a", quota=ev.Quota(1, 5)))
    assert repr(client) == "SyncBingClient(backend='chathub', model='bing-balanced')"
    assert client.model == "bing-balanced"
    chat = client.create_conversation()
    assert (chat.id, chat.quota, chat.ended) == ("conversation-1", None, False)
    chat.ask("one")
    assert chat.quota == ev.Quota(1, 5)
    assert repr(chat) == "SyncConversation(id='conversation-1', quota=Quota(used=1, limit=5))"


# --- the same behaviour -----------------------------------------------------------------------------------------------


def test_events_are_those_of_the_asynchronous_client() -> None:
    """Iterating the turn gives every event, in order, the last one once."""
    lines = [ev.Progress("..."), ev.SearchStarted("x"), *answer("one", " two")]
    client, _ = sync_client_of(lines)
    with client.stream("Hello") as turn:
        assert list(turn) == lines
        assert list(turn) == []
        assert turn.reply().text == "one two"


def test_text_and_then_reply_drain_the_turn_once() -> None:
    """`reply` after `text` asks the service for nothing more."""
    client, backend = sync_client_of(answer("one", " two"))
    with client.stream("Hello") as turn:
        assert list(turn.text) == ["one", " two"]
        assert turn.reply().text == "one two"
    assert backend.channels[0].pulled == 3


def test_text_may_be_left_and_taken_up() -> None:
    """A loop over `text` or over the events may be left; what is left comes from the next one, and from `reply`."""
    client, backend = sync_client_of(answer("one", " two", " three"))
    with client.stream("Hello") as turn:
        for piece in turn.text:
            assert piece == "one"
            break
        for event in turn:
            assert event == ev.TextDelta(" two")
            break
        assert backend.open_channels == 1
        assert next(turn.text) == " three"
        assert turn.reply().text == "one two three"


def test_the_same_error_comes_again() -> None:
    """A failed turn fails in whatever way it is read again, through an iterator that was there before too."""
    client, backend = sync_client_of([ContentFiltered("No.")])
    turn = client.stream("Hello")
    text = turn.text
    for read in (turn.reply, lambda: next(text), lambda: next(text), lambda: next(turn), lambda: list(turn.text)):
        with pytest.raises(ContentFiltered, match="No"):
            read()
    assert len(backend.channels) == 1


def test_leaving_the_block_early_closes_the_connection() -> None:
    """The connection is closed when the `with` statement is over."""
    client, backend = sync_client_of(answer("one", " two"))
    with client.stream("Hello") as turn:
        next(turn)
    assert backend.channels[0].closed
    with pytest.raises(InvalidRequest, match="closed before"):
        turn.reply()
    turn.close()
    assert list(turn) == []


def test_connections_are_closed_on_the_loops_thread() -> None:
    """Whoever closes, the socket is touched by its own thread alone."""
    client, backend = sync_client_of(answer("one", " two"))
    with client.stream("Hello") as turn:
        next(turn)
    assert backend.channels[0].closed_in == run(_thread())


async def _thread() -> int:
    return threading.get_ident()


async def _nothing() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("read", [next, lambda turn: next(turn.text)], ids=["events", "text"])
def test_a_stream_that_is_dropped_closes_its_connection(read: Callable[[SyncTurnStream], object]) -> None:
    """Left without `with`, the connection does not outlive the stream, and dropping it waits for nothing."""
    client, backend = sync_client_of(answer("one", " two"))
    turn = client.stream("Hello")
    read(turn)
    del turn
    gc.collect()
    run(_nothing())
    assert backend.channels[0].closed_in == run(_thread())


def test_stop_keeps_what_came() -> None:
    """The answer ends where it was stopped."""
    client, _ = sync_client_of(answer("one", " two"))
    with client.stream("Hello") as turn:
        next(turn)
        turn.stop()
        assert turn.reply().text == "one"


def test_stop_and_close_from_another_thread() -> None:
    """A thread that waits for the next event is woken by a stop, or by a close, of another thread."""
    for end in (SyncTurnStream.stop, SyncTurnStream.close):
        pause = Pause()
        client, _ = sync_client_of([ev.TextDelta("one"), pause, *answer(" two")])
        turn = client.stream("Hello")
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(list, turn.text)
            run(_reached(pause))
            end(turn)
            assert reading.result() == ["one"]


async def _reached(pause: Pause) -> None:
    await pause.reached.wait()


def test_a_conversation_takes_one_turn_at_a_time() -> None:
    """ConversationBusy, as in the asynchronous client."""
    client, backend = sync_client_of(answer("a", "b"), answer("c"))
    chat = client.create_conversation()
    with chat.stream("one") as turn:
        next(turn)
        with pytest.raises(ConversationBusy):
            chat.stream("two")
        with pytest.raises(ConversationBusy):
            chat.ask("two")
    assert chat.ask("two").text == "c"
    chat.delete()
    assert chat.ended
    assert backend.calls[-1] == "delete conversation-1"


def test_the_list_of_conversations() -> None:
    """Listing and deleting reach the service."""
    client, backend = sync_client_of()
    backend.chats.append(ConversationInfo("one", "Name", {}))
    assert client.list_conversations() == backend.chats
    client.delete_conversation("one")
    with client:
        pass
    client.close()
    assert backend.calls == ["list", "reopen one", "delete one", "close", "close"]


async def test_it_works_inside_a_running_loop() -> None:
    """In a notebook, the caller's own loop runs, and is not used."""
    client, _ = sync_client_of(answer("a"), answer("b", "c"))
    assert client.ask("Hello").text == "a"
    with client.stream("Hello") as turn:
        assert list(turn.text) == ["b", "c"]


# --- with the emulator ------------------------------------------------------------------------------------------------


def events(client: BingClient) -> list[ev.Event]:
    """The events of one turn of the asynchronous client, on a loop of its own."""

    async def collect() -> list[ev.Event]:
        async with client, client.stream("Hello") as turn:
            return [event async for event in turn]

    return asyncio.run(collect())


def without_ids(all_events: list[ev.Event]) -> Iterator[Any]:
    """The events without what differs from turn to turn."""
    for event in all_events:
        if isinstance(event, ev.TurnCompleted):
            yield event.reply.text, event.reply.suggestions, event.reply.quota
        else:
            yield event


def test_both_clients_give_the_same_events(bing_emulator: Emulator) -> None:
    """The same turn of the same service, event by event."""
    turn: list[Line] = [ev.SearchStarted("x"), "one", " two", ev.Suggestions(("three",))]
    bing_emulator.brain = Scripted([turn, turn])
    with SyncBingClient(endpoint=bing_emulator.url) as bing, bing.stream("Hello") as stream:
        synchronous = list(stream)
    asynchronous = events(BingClient(endpoint=bing_emulator.url))
    assert list(without_ids(synchronous)) == list(without_ids(asynchronous))
    assert ev.TextDelta(" two") in synchronous


def test_both_clients_raise_the_same_error(bing_emulator: Emulator) -> None:
    """The same failure of the same service: class, text, hint and what had come."""
    bing_emulator.brain = Scripted([["Once ", ConnectionLost()]] * 2)
    with SyncBingClient(endpoint=bing_emulator.url) as bing, pytest.raises(ConnectionLost) as synchronous:
        bing.ask("Hello")
    with pytest.raises(ConnectionLost) as asynchronous:
        events(BingClient(endpoint=bing_emulator.url))
    assert vars(synchronous.value) == vars(asynchronous.value)
    assert synchronous.value.partial_text == "Once "


def test_one_client_serves_many_threads(bing_emulator: Emulator) -> None:
    """Threads share a client without waiting for each other's turns to end."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    with SyncBingClient(endpoint=bing_emulator.url) as bing, ThreadPoolExecutor(8) as threads:
        replies = threads.map(lambda number: bing.ask(str(number)).text, range(32))
        assert list(replies) == [f"You said {number}" for number in range(32)]


def test_a_conversation_with_the_emulator(bing_emulator: Emulator) -> None:
    """Turns of one conversation, leaving one early in between."""
    bing_emulator.brain = Scripted([["a", "b"], ["c", "d"], ["e"]])
    with SyncBingClient(endpoint=bing_emulator.url) as bing:
        chat = bing.create_conversation()
        assert chat.ask("one").text == "ab"
        with chat.stream("two") as turn:
            assert next(turn.text) == "c"
        assert chat.ask("three").text == "e"


@pytest.mark.parametrize("entered", [False, True])
def test_it_keeps_conversations_ready(bing_emulator: Emulator, *, entered: bool) -> None:
    """They wait on the background loop, from `with` or the first turn on, and end with the client."""
    bing_emulator.brain = Scripted(lambda question: [question.text])
    bing = SyncBingClient(endpoint=bing_emulator.url, warm=1)
    pool = bing._async.pool
    if entered:
        bing.__enter__()
    else:
        assert bing.ask("cold").text == "cold"
    run(settled(pool))
    [on_loop] = pool._loops
    [waiting] = on_loop.ready
    with bing.stream("warm") as turn:
        assert turn.reply().conversation_id == waiting.conversation.handle.id
    bing.close()
    assert pool.ready == 0
    run(caught_up(bing_emulator))


def test_it_serves_the_emulator_that_it_starts_itself() -> None:
    """`backend="emulator"` needs nothing else."""
    with SyncBingClient(backend="emulator") as bing:
        assert bing.ask("Hello").text


def test_another_service_has_a_client_of_its_own() -> None:
    """It has the same settings, and closing one leaves the other open."""
    with SyncBingClient(backend="emulator") as client:
        with client.with_service(ChatHub(endpoint="http://127.0.0.1:1", model="bing-precise")) as other:
            assert isinstance(other, SyncBingClient)
            assert other.model == "bing-precise"
        assert client.ask("What is 2 + 3?").text == "5"
