"""One ChatHub socket, as raw frames."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Cut, Duplicate, Emulator, Fault, HandshakeRefused, Merge, Scripted, Split
from bing_llm.emulator.faults import How
from tests.emulator.chathub.visitor import HANDSHAKE, PATIENCE_S, SEPARATOR, Socket, Visitor, chat

CLOSE = {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}  # recording 12


def kinds(frames: list[object]) -> list[object]:
    """The types of frames."""
    return [frame.get("type") for frame in frames if isinstance(frame, dict)]


async def test_the_acknowledgement_is_a_message_of_its_own(visitor: Visitor) -> None:
    """Handshake and request in one message are answered by `{}` alone, then by the turn: clients drop the first."""
    created = await visitor.create()
    async with visitor.socket(created.token, greeted=False) as socket:
        await socket.raw.send_str(HANDSHAKE + json.dumps(chat(created)) + SEPARATOR)
        assert await socket.message() == [{}]
        assert kinds(await socket.turn()) == [1, 1, 2, 3]


async def test_records_may_span_messages(visitor: Visitor) -> None:
    """A record is complete at its separator, wherever messages begin and end."""
    created = await visitor.create()
    text = HANDSHAKE + json.dumps(chat(created)) + SEPARATOR
    async with visitor.socket(created.token, greeted=False) as socket:
        for start in range(0, len(text), 50):
            await socket.raw.send_str(text[start : start + 50])
        assert await socket.message() == [{}]
        assert kinds(await socket.turn()) == [1, 1, 2, 3]


async def test_final_frame_and_completion_share_a_message(visitor: Visitor) -> None:
    """Type 2 and type 3 come together, as in recording 10: some clients leave as soon as they have type 2."""
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        messages = [await socket.message() for _ in range(3)]
        assert [kinds(message or []) for message in messages] == [[1], [1], [2, 3]]


@pytest.mark.parametrize(
    "first", ['{"type":6}', "{}", "nonsense", '{"protocol":"json"}', '{"protocol":"json","version":"x"}']
)
async def test_anything_but_a_handshake_first_closes(visitor: Visitor, first: str) -> None:
    """The first record must be a handshake, or the socket is closed without a word."""
    async with visitor.socket("x", greeted=False) as socket:
        await socket.raw.send_str(first + SEPARATOR)
        assert await socket.message() is None


@pytest.mark.parametrize("handshake", ['{"protocol":"messagepack","version":1}', '{"protocol":"json","version":2}'])
async def test_another_protocol_is_refused(visitor: Visitor, handshake: str) -> None:
    """A handshake for another protocol or version is answered by an error, and the socket is closed."""
    async with visitor.socket("x", greeted=False) as socket:
        await socket.raw.send_str(handshake + SEPARATOR)
        (refusal,) = await socket.message() or []
        assert refusal.keys() == {"error"}
        assert await socket.message() is None


@pytest.mark.parametrize(
    "record",
    [
        "nonsense",
        "[1]",
        '{"type":4,"arguments":[]}',
        '{"type":4,"arguments":[{}],"invocationId":""}',
        '{"protocol":"json","version":1',
    ],
    ids=["text", "list", "no invocation id", "empty invocation id", "torn"],
)
async def test_a_broken_record_closes_with_a_frame(visitor: Visitor, record: str) -> None:
    """A record that is not a frame, and a request without an invocation id, are answered by type 7 (recording 12)."""
    async with visitor.socket("x") as socket:
        await socket.raw.send_str(record + SEPARATOR)
        assert await socket.frame() == CLOSE
        assert await socket.frame() is None


async def test_a_broken_record_ends_the_running_turn(emulator: Emulator, visitor: Visitor) -> None:
    """After type 7 the turn is over, and its conversation takes the next one."""
    emulator.brain = Scripted([["Hi", errors.TimedOut()], ["again"]])
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        assert kinds([await socket.frame(), await socket.frame()]) == [1, 1]
        await socket.raw.send_str("nonsense" + SEPARATOR)
        assert await socket.frame() == CLOSE
    assert (await visitor.reply("next", created, 1)).text == "again"


async def test_binary_messages_end_the_socket(visitor: Visitor) -> None:
    """Only text messages belong to the protocol."""
    async with visitor.socket("x") as socket:
        await socket.raw.send_bytes(b"{}")
        assert await socket.message() is None


async def test_unknown_frames_and_pings_are_passed_over(visitor: Visitor) -> None:
    """Pings, unknown types and calls of other methods do not disturb a turn, and no ping is answered."""
    created = await visitor.create()
    metrics = {"type": 1, "target": "Metrics", "arguments": [{}]}
    async with visitor.socket(created.token) as socket:
        await socket.send({"type": 6}, {"type": 7}, {"type": 99}, metrics, chat(created), {"type": 6})
        assert kinds(await socket.turn()) == [1, 1, 2, 3]


async def test_another_method_is_unknown(visitor: Visitor) -> None:
    """A request to another target than `chat` is completed with an error, and the socket goes on."""
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send({**chat(created), "target": "sing"})
        assert await socket.turn() == [{"type": 3, "invocationId": "0", "error": "Unknown hub method 'sing'"}]
        await socket.send(chat(created))
        assert kinds(await socket.turn()) == [1, 1, 2, 3]


async def test_one_socket_may_have_several_turns(visitor: Visitor) -> None:
    """After its completion the next turn may come on the same socket."""
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        for number in range(3):
            await socket.send(chat(created, f"turn {number}", number))
            assert (await socket.turn())[1]["arguments"][0]["messages"][0]["text"] == f"You said: turn {number}"


async def test_a_socket_may_stay_open_beside_the_next(visitor: Visitor) -> None:
    """The conversation is free with the final frame, not with the end of the socket: sydney-py never closes it."""
    created = await visitor.create()
    async with visitor.socket(created.token) as first:
        await first.send(chat(created))
        assert kinds(await first.turn()) == [1, 1, 2, 3]
        assert (await visitor.reply("second", created, 1)).text == "You said: second"


async def test_silence_is_broken_by_pings() -> None:
    """While nothing else is sent there are pings, before a turn and during one."""
    brain = Scripted([["Hi", ev.Progress("x")]])
    async with Emulator(brain, ping_interval=0.001) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        async with visitor.socket(created.token) as socket:
            assert [await socket.frame() for _ in range(3)] == [{"type": 6}] * 3


async def test_a_stopped_turn_is_only_completed(emulator: Emulator, visitor: Visitor) -> None:
    """A stop ends the turn with type 3 and no type 2; the next turn follows, and the brain sees what had come."""
    emulator.brain = Scripted([["Half an", errors.TimedOut()], ["whole"]])
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        await socket.frame()
        await socket.frame()
        await socket.send({"arguments": [{}], "invocationId": "0", "target": "stop", "type": 1})
        assert await socket.turn() == [{"type": 3, "invocationId": "0"}]
        assert (emulator.requests[-1].kind, emulator.requests[-1].invocation_id) == ("stop", "0")
    emulator.brain = Scripted(lambda question: [f"{turn.question}: {turn.answer}" for turn in question.history])
    reply = await visitor.reply("next", created, 1)
    assert (reply.text, reply.quota) == ("Hello: Half an", ev.Quota(2, 30))


async def test_a_stop_without_a_turn_is_nothing(visitor: Visitor) -> None:
    """A stop that comes when the turn is over changes nothing."""
    created = await visitor.create()
    stop = {"arguments": [{}], "invocationId": "0", "target": "stop", "type": 1}
    async with visitor.socket(created.token) as socket:
        await socket.send(stop, chat(created))
        assert kinds(await socket.turn()) == [1, 1, 2, 3]
        await socket.send(stop, chat(created, "second", 1))
        assert kinds(await socket.turn()) == [1, 1, 2, 3]


async def test_one_turn_at_a_time(emulator: Emulator, visitor: Visitor) -> None:
    """A second turn while one runs is refused, on the same socket and on another."""
    emulator.brain = Scripted([["Hi", errors.TimedOut()]])
    created = await visitor.create()
    second = chat(created, "second", 1)
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        assert kinds([await socket.frame(), await socket.frame()]) == [1, 1]
        assert (await visitor.result(created, second))["value"] == "ProcessingMessage"
        await socket.send(second)
        final, completion = await socket.turn()
        assert final["item"]["result"]["value"] == "ProcessingMessage"
        assert completion == {"type": 3, "invocationId": "1"}


async def test_a_client_that_goes_away_ends_its_turn(emulator: Emulator, visitor: Visitor) -> None:
    """When the socket drops, the brain is closed and the conversation takes the next turn."""
    closed = asyncio.Event()

    class Waiting:
        async def answer(self, _question: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
            try:
                yield ev.TextDelta("Hi")
                await asyncio.Event().wait()
            finally:
                closed.set()

    emulator.brain = Waiting()
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        assert kinds([await socket.frame(), await socket.frame()]) == [1, 1]
    await asyncio.wait_for(closed.wait(), 20)
    emulator.brain = Scripted([["again"]])
    assert (await visitor.reply("next", created, 1)).text == "again"


async def test_a_long_context_closes_with_1000(visitor: Visitor) -> None:
    """Prompt and context over the limit are answered by a close with code 1000 and no frame (section b)."""
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created, "x" * 32_001))
        assert await socket.frame() is None
        assert socket.close_code == 1000
    with pytest.raises(errors.PromptTooLong):
        await visitor.ask("x" * 32_001)


async def test_a_lost_connection_has_no_close_frame(emulator: Emulator, visitor: Visitor) -> None:
    """ConnectionLost is played as a connection that breaks: no close frame, so code 1006."""
    emulator.brain = Scripted([["Half", errors.ConnectionLost()]])
    with pytest.raises(errors.ConnectionLost) as caught:
        await visitor.ask("Hello")
    assert caught.value.partial_text == "Half"


async def test_garbage_is_not_json(emulator: Emulator, visitor: Visitor) -> None:
    """ProtocolError is played as a record that does not parse."""
    emulator.brain = Scripted([["Half", errors.ProtocolError()]])
    with pytest.raises(errors.ProtocolError) as caught:
        await visitor.ask("Hello")
    assert caught.value.partial_text == "Half"


async def test_a_mistake_in_the_emulator_does_not_hang(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong in a turn is logged, and the connection is broken."""
    times = iter((0.0, 0.0))
    async with Emulator(clock=lambda: next(times)) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        async with visitor.socket(created.token) as socket:
            await socket.send(chat(created))
            assert await socket.frame() is None
    (record,) = caplog.records
    assert record.name == "bing_llm.emulator.chathub.session"


async def pings(socket: Socket, count: int) -> None:
    """Wait for so many messages."""
    for _ in range(count):
        await socket.raw.receive()


async def test_a_timeout_is_silence_without_pings() -> None:
    """TimedOut is played as silence: after it not even a ping comes."""
    brain = Scripted([["Hi", errors.TimedOut()]])
    async with Emulator(brain, ping_interval=0.001) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        async with visitor.socket(created.token) as socket:
            await socket.send(chat(created))
            while (await socket.frame())["type"] == 6:
                pass
            while (await socket.frame())["type"] == 6:
                pass
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pings(socket, 100), 0.5)  # a few may come before the silence


async def test_headers_of_public_clients_are_accepted(emulator: Emulator, visitor: Visitor) -> None:
    """They name the service in Host and Origin, wherever they connect to; the request keeps them for assertions."""
    created = await visitor.create()
    headers = {"Host": "sydney.bing.com", "Origin": "https://www.bing.com", "sec-ch-ua-model": ""}
    async with visitor.socket(created.token, headers=headers) as socket:
        await socket.send(chat(created))
        assert kinds(await socket.turn()) == [1, 1, 2, 3]
    assert emulator.requests[-1].headers["origin"] == "https://www.bing.com"
    assert emulator.requests[-1].query["sec_access_token"] == created.token


# --- faults -----------------------------------------------------------------------------------------------------------


async def until_closed(socket: Socket) -> tuple[list[Any], int | None]:
    """The records up to the end of the socket, and the code of its close frame; None where none came."""
    records: list[Any] = []
    while (message := await asyncio.wait_for(socket.raw.receive(), PATIENCE_S)).type is aiohttp.WSMsgType.TEXT:
        records += [json.loads(record) for record in message.data.split(SEPARATOR) if record]
    return records, message.data if message.type is aiohttp.WSMsgType.CLOSE else None


@pytest.mark.parametrize(
    ("how", "record", "code"),
    [
        ("abort", None, None),
        ("close 1000", None, 1000),
        ("close 1001", None, 1001),
        ("type 7", {**CLOSE, "allowReconnect": False}, 1000),
        ("type 7 allowReconnect", CLOSE, 1000),
    ],
)
async def test_a_socket_is_cut(
    emulator: Emulator, visitor: Visitor, how: How, record: dict[str, Any] | None, code: int | None
) -> None:
    """In the middle of an answer, and in place of the answer to the handshake."""
    said = [] if record is None else [record]
    created = await visitor.create()
    emulator.faults = [Fault(Cut(how), "last")]
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        records, closed_with = await until_closed(socket)
        assert (kinds(records)[-1] == 7, closed_with) == (record is not None, code)
        assert 2 not in kinds(records)
    emulator.faults = [Fault(Cut(how), "handshake")]
    async with visitor.socket(created.token, greeted=False) as socket:
        await socket.raw.send_str(HANDSHAKE)
        assert await until_closed(socket) == (said, code)


async def test_a_turn_ends_with_an_error_alone(emulator: Emulator, visitor: Visitor) -> None:
    """`type 3` completes the invocation with an error; the socket stays open."""
    emulator.faults = [Fault(Cut("type 3"), "mid")]
    created = await visitor.create()
    async with visitor.socket(created.token) as socket:
        await socket.send(chat(created))
        assert (await socket.turn())[-1] == {"type": 3, "invocationId": "0", "error": "The turn failed."}
        await socket.send(chat(created, "more", 1))
        assert (await socket.turn())[-1] == {"type": 3, "invocationId": "1"}


async def test_a_handshake_is_refused_on_purpose(emulator: Emulator, visitor: Visitor) -> None:
    """With the words of the fault, and the socket closes."""
    emulator.faults = [Fault(HandshakeRefused("Not today."), "handshake")]
    async with visitor.socket(None, greeted=False) as socket:
        await socket.raw.send_str(HANDSHAKE)
        assert await socket.frame() == {"error": "Not today."}
        assert await socket.frame() is None


async def test_records_are_mangled(emulator: Emulator, visitor: Visitor) -> None:
    """Split, merged and doubled, a turn has the same records; the next turn is as ever."""
    emulator.faults = [
        Fault(Split(50), "first", turn=1),
        Fault(Merge(), "first", turn=2),
        Fault(Duplicate(), "last", turn=3),
    ]
    replies = [await visitor.ask("Hello") for _ in range(4)]
    texts = [[event.text for event in events if isinstance(event, ev.TextDelta)] for events in replies]
    assert texts == [["You said: Hello"]] * 4
    assert emulator.faults == []
