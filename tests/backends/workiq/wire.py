"""What the service sends, for tests: conversations as JSON, and the stream that carries them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm.backends.workiq.answer import AnswerReader
from bing_llm.backends.workiq.snapshots import INTERMEDIATE
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import BingError
from bing_llm.limits import DEFAULT_LIMITS, Limits

TYPE = "#microsoft.graph.copilotConversationResponseMessage"
EMPTY_LABEL = {
    "sensitivityLabelId": None,
    "displayName": None,
    "tooltip": None,
    "priority": None,
    "color": None,
    "isEncrypted": None,
}

Step: TypeAlias = bytes | Callable[[Turn], object]


def new_turn(*, limits: Limits = DEFAULT_LIMITS, **options: Any) -> Turn:
    """A turn whose reader has these options."""
    return Turn(AnswerReader(limits=limits, **options), limits)


def message(text: str | None, message_id: str = "m1", **fields: Any) -> dict[str, Any]:
    """A message with what each one has in the samples."""
    return {
        "@odata.type": TYPE,
        "id": message_id,
        "text": text,
        "createdDateTime": "2025-09-30T15:55:53.47Z",
        "adaptiveCards": [{}],
        "attributions": [],
        "sensitivityLabel": EMPTY_LABEL,
        **fields,
    }


def conversation(*messages: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """A conversation that holds these messages."""
    return {"id": "c1", "agentId": None, "state": "active", "turnCount": 0, "messages": list(messages), **fields}


def event(value: Any) -> bytes:
    """A server-sent event as on the wire: one compact line, then a number as its id."""
    data = value if isinstance(value, str) else json.dumps(value)
    return f"data: {data}\nid:137\n\n".encode()


def partial(text: str | None, **fields: Any) -> bytes:
    """An event while the answer is written: only the answer, under the title that says so."""
    return event(conversation(message(text, **fields), displayName=INTERMEDIATE))


def final(text: str | None, asked: str = "Ask", state: str = "active", **fields: Any) -> bytes:
    """The event that ends a turn: a title, the echo of the prompt, the answer."""
    shown = conversation(message(asked, "u1"), message(text, **fields), displayName="Title", turnCount=1, state=state)
    return event(shown)


def disengaged(*texts: str) -> bytes:
    """The service stops for reasons of responsible AI."""
    shown = (message(text, f"r{number}") for number, text in enumerate(texts))
    return event(conversation(*shown, displayName="Title", state="disengagedForRai"))


def eof(turn: Turn) -> None:
    """The stream comes to its end."""
    turn.receive_eof(1000)


def stop(turn: Turn) -> None:
    """The caller wants no more."""
    turn.stop()


class Outcome(msgspec.Struct, frozen=True):
    """What a turn gave: its events, the error that ended it, and the error's own values."""

    events: list[ev.Event]
    error: type[BingError] | None
    details: dict[str, Any]

    @property
    def reply(self) -> ev.Reply:
        """The reply of a turn that was completed."""
        last = self.events[-1]
        assert isinstance(last, ev.TurnCompleted)
        return last.reply

    @property
    def texts(self) -> list[ev.TextDelta | ev.TextRevised]:
        """The events that bring text."""
        return [each for each in self.events if isinstance(each, ev.TextDelta | ev.TextRevised)]


def play(script: Sequence[Step], **options: Any) -> Outcome:
    """Run one turn through a script, exactly as it is written."""
    return play_turn(new_turn(**{"asked": "Ask", **options}), script)


def play_turn(turn: Turn, script: Sequence[Step]) -> Outcome:
    """Run this turn, of whichever protocol, through a script."""
    given: list[ev.Event] = []
    try:
        for step in script:
            if isinstance(step, bytes):
                turn.receive(step)
            else:
                step(turn)
            given.extend(drained(turn))
            if turn.completed:
                break
    except BingError as exc:
        return Outcome(given, type(exc), {**vars(exc), "message": exc.message})
    return Outcome(given, None, {})


def drained(turn: Turn) -> Iterator[ev.Event]:
    """All events that can be had now."""
    while not turn.completed:
        found = turn.next_event()
        if found is None:
            return
        yield found


def ways(script: Sequence[Step]) -> Iterator[list[Step]]:
    """The script in other pieces, with other ends of lines, with comments between, and byte by byte."""
    bytewise: list[Step] = []
    for step in script:
        bytewise.extend([step[at : at + 1] for at in range(len(step))] if isinstance(step, bytes) else [step])
    yield bytewise
    for end in (b"\r\n", b"\r"):
        yield [step.replace(b"\n", end) if isinstance(step, bytes) else step for step in script]
    yield [b": keep-alive\n\n" + step if isinstance(step, bytes) else step for step in script]


def hear(*script: Step, **options: Any) -> Outcome:
    """What a turn gives when it hears this, which is the same in all ways."""
    expected = play(script, **options)
    for variant in ways(script):
        assert play(variant, **options) == expected, variant
    return expected
