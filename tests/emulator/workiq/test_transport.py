"""How a turn of Work IQ goes out: as it comes, and not always to its end."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.sse import EventReader
from bing_llm.emulator import Cut, Duplicate, Emulator, Fault, Merge, Raw, Scripted, Silence, Split
from bing_llm.emulator.fault_plan import FaultKind
from bing_llm.emulator.workiq.transport import EventWriter
from tests.emulator.workiq.visitor import Waiting, WorkIQVisitor, body


async def test_events_come_as_the_brain_speaks(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """A word is sent before the next is output of."""
    emulator.brain = Scripted([["Half", errors.TimedOut()]])
    async with workiq.streaming() as stream:
        assert await stream.event_with_text() == "Half"


async def test_a_lost_connection_is_not_an_end(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """ConnectionLost breaks the connection, before text and after, in a stream and without one."""
    heard = asyncio.Event()  # aiohttp forgets what it has not handed on when the connection breaks

    class Breaking:
        async def answer(self, _question: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
            yield ev.TextDelta("Half")
            await heard.wait()
            yield errors.ConnectionLost()

    emulator.brain = Breaking()
    async with workiq.streaming() as stream:
        assert await stream.event_with_text() == "Half"
        heard.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.event()
    emulator.brain = Scripted(lambda _: [errors.ConnectionLost()])
    for ask in (workiq.stream, workiq.chat):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask()


async def test_a_stream_may_end_without_its_final_event(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """ConnectionLost with a value ends the stream in good order, only too early."""
    emulator.brain = Scripted(lambda _: ["Half", errors.ConnectionLost(value="end")])
    assert (await workiq.stream()).texts == [[], ["Half"]]
    assert [message["text"] for message in (await workiq.chat()).json["messages"]] == ["Half"]


async def test_torn_json(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """ProtocolError is played as JSON that breaks off."""
    emulator.brain = Scripted(lambda _: ["Half", errors.ProtocolError()])
    for ask in (workiq.stream, workiq.chat):
        answer = await ask()
        assert answer.status == 200
        with pytest.raises(ValueError, match="Unterminated"):
            _ = answer.events if ask == workiq.stream else answer.json


@pytest.mark.parametrize("script", [["Half", errors.TimedOut()], [errors.TimedOut()]], ids=["after text", "before"])
@pytest.mark.parametrize("action", ["chat", "chatOverStream"])
async def test_a_timeout_is_silence(
    emulator: Emulator, workiq: WorkIQVisitor, script: list[str | errors.BingError], action: str
) -> None:
    """TimedOut is played as silence until the client leaves; then the conversation takes the next turn."""
    emulator.brain = brain = Scripted([script, ["Hi"]])
    conversation = await workiq.create()
    asking = asyncio.create_task(workiq.post(f"/conversations/{conversation}/{action}", body()))
    while not brain.played:
        await asyncio.wait({asking}, timeout=0)
    assert not (await asyncio.wait({asking}, timeout=0.05))[0]
    asking.cancel()
    await asyncio.wait({asking})
    assert (await workiq.admitted(conversation)).status == 200


async def test_a_client_that_goes_away_ends_its_turn(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """When the client leaves a stream the brain is closed, what it had said is kept, and the next turn may come."""
    waiting = Waiting()
    emulator.brain = waiting
    conversation = await workiq.create()
    async with workiq.streaming("one", conversation) as stream:
        assert await stream.event_with_text() == "Half an"
    await asyncio.wait_for(waiting.closed.wait(), 20)
    emulator.brain = Scripted(lambda question: [f"{turn.question}: {turn.answer}" for turn in question.history])
    assert (await workiq.admitted(conversation)).json["messages"][-1]["text"] == "one: Half an"


async def test_closing_ends_running_turns(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """Closing the emulator breaks running turns at once."""
    waiting = Waiting()
    emulator.brain = waiting
    async with workiq.streaming() as stream:
        await stream.event_with_text()
        await asyncio.wait_for(emulator.aclose(), 4)  # less than any time limit of the server
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.event()
    assert waiting.closed.is_set()


@pytest.mark.parametrize("what", [Split(9), Merge(), Duplicate(), Raw("{}")])
async def test_a_stream_is_mangled(emulator: Emulator, workiq: WorkIQVisitor, what: FaultKind) -> None:
    """Split, merged, doubled or with one more event, it has the same last event; whole answers stay as they are."""
    emulator.faults = [Fault(what, "first")]
    assert (await workiq.stream()).events[-1]["messages"][-1]["text"] == "You said: Hello"
    emulator.faults = [Fault(what, "first")]
    assert (await workiq.chat()).json["messages"][-1]["text"] == "You said: Hello"


async def test_only_comments_come(workiq: WorkIQVisitor) -> None:
    """In a silence with pings, there are comments and no further event."""
    async with Emulator(ping_interval=0.001, faults=[Fault(Silence(pings=True), "first")]) as emulator:
        conversation = await WorkIQVisitor(emulator, workiq.http).create()
        url = f"{emulator.workiq_url}/conversations/{conversation}/chatOverStream"
        headers = {"Authorization": f"Bearer {emulator.token}"}
        async with workiq.http.post(url, json=body(), headers=headers) as response:
            assert await response.content.readexactly(18) == b": ping\n\n: ping\n\n: "


async def test_a_whole_answer_may_end_early(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """A cut that ends a stream in good order leaves the last snapshot of a whole answer."""
    emulator.faults = [Fault(Cut("end"), "last")]
    assert [message["text"] for message in (await workiq.chat()).json["messages"]] == ["You said: Hello"]


def test_an_event_is_data_and_id() -> None:
    """A line with the data, one with the id, and an empty one."""
    assert EventWriter().event(b'{"a":1}') == b'data: {"a":1}\nid:137\n\n'


def test_a_stream_has_what_clients_must_take() -> None:
    """Both kinds of line ends, comments, and ids that grow with gaps; a reader finds the data all the same."""
    writer = EventWriter()
    written = b"".join(writer.event(b"%d" % number) for number in range(9))
    reader = EventReader()
    reader.receive(written)
    assert [reader.next_event() for _ in range(10)] == [*(b"%d" % number for number in range(9)), None]
    ids = [int(found) for found in re.findall(rb"id:(\d+)", written)]
    assert ids == sorted(set(ids))
    assert ids[-1] - ids[0] > len(ids)
    assert b"\r\n\r\n" in written
    assert b"\n\n" in written
    assert written.count(b": keep-alive") == 3
