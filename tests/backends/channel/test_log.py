"""What is logged of a turn."""

from __future__ import annotations

import logging

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends import channel as channel_module
from bing_llm.backends.transport import End
from tests.backends.channel.hub import asked, over
from tests.backends.channel.network import Network, events_of, failure_of
from tests.backends.chathub.wire import ACK, bot, chat, final, update, wire


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kinds that were logged, none yet."""
    kinds: set[str] = set()
    monkeypatch.setattr(channel_module, "_noted", kinds)
    return kinds


async def test_frames_are_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG every frame is logged with the label of its turn, and with its secrets masked."""
    caplog.set_level(logging.DEBUG, channel_module.__name__)
    request = chat()
    request.arguments[0].conversation_signature = "hunter2+/="
    echo = update(bot("You said hunter2+/= or hunter2%2B%2F%3D"))
    network = Network(ACK, echo, final(bot("Hello")), End(1000, "socket at its end, code 1000"))
    hub = over(network, None, "hunter2+/=", label="[turn 0af1]")
    await hub.channel.send(hub.turn.ask(request))
    await events_of(hub.channel)
    assert not hub.channel.look()
    lines = [record.getMessage() for record in caplog.records if record.name == channel_module.__name__]
    assert [line.split()[:3] for line in lines] == [
        ["[turn", "0af1]", "sent"],
        ["[turn", "0af1]", "sent"],
        *[["[turn", "0af1]", "received"]] * 4,
        ["[turn", "0af1]", "socket"],
    ]
    assert "hunter2" not in "".join(lines)
    assert "You said *** or ***" in lines[3]
    assert lines[-1].endswith("socket at its end, code 1000")


async def test_frames_are_not_logged_unasked(caplog: pytest.LogCaptureFixture) -> None:
    """Above DEBUG there are no frames in the log."""
    caplog.set_level(logging.INFO, channel_module.__name__)
    channel, _ = await asked(ACK, final(bot("Hello")))
    await events_of(channel)
    assert caplog.records == []


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


async def test_what_a_service_repeats_of_a_secret_is_masked(caplog: pytest.LogCaptureFixture, noted: set[str]) -> None:
    """Neither an error nor the note of an unknown kind shows a secret that the service sent back."""
    caplog.set_level(logging.INFO)
    network = Network(ACK, wire({"type": "hunter2+/="}, {"type": 7, "error": "bad token hunter2+/="}))
    hub = over(network, None, "hunter2+/=")
    await hub.ask()
    channel = hub.channel
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
    assert received == ["[turn t] received {}\\n[turn 9] forged \\u001b[2J"]
