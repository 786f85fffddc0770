"""The network of the ChatHub tests: a list of messages, and what a turn makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.turn import Turn
from bing_llm.errors import BingError
from bing_llm.limits import DEFAULT_LIMITS, Limits

Step: TypeAlias = "str | Callable[[Turn], object]"
"""One thing that happens to a turn: a WebSocket message comes in, or the function is called."""

END = SEPARATOR.decode()
RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded"


def wire(*values: Any) -> str:
    """One WebSocket message that holds these JSON values as records."""
    return "".join(json.dumps(value, ensure_ascii=False) + END for value in values)


ACK = wire({})
PING = wire({"type": 6})
DONE = wire({"type": 3, "invocationId": "0"})


def recorded(name: str) -> list[str]:
    """The records of a recording, each as one WebSocket message."""
    lines = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [line + END for line in lines]


# The streams that these make are synthetic: no whole one was recorded. Names and values are those of the recordings.


def bot(text: str | None = None, *, message_id: str = "a1", **fields: Any) -> dict[str, Any]:
    """One message of the bot, the answer unless the fields say otherwise."""
    message = {"author": "bot", "text": text, "messageId": message_id, "contentOrigin": "DeepLeo", **fields}
    return {name: value for name, value in message.items() if value is not None}


def user(text: str = "Hello") -> dict[str, Any]:
    """The echo of what the user said."""
    return {"author": "user", "text": text, "messageId": "u1", "contentOrigin": "cib"}


def apology(text: str | None = "My mistake, let's try another topic.", **fields: Any) -> dict[str, Any]:
    """The message by which moderation withdraws an answer."""
    return bot(text, message_id="s1", contentOrigin="Apology", **fields)


def disengaged() -> dict[str, Any]:
    """The recorded message that ends a conversation, of the M365 hub."""
    found: dict[str, Any] = json.loads((RECORDED / "22-m365-disengaged.jsonl").read_text(encoding="utf-8"))
    return found


def limiter() -> dict[str, Any]:
    """The message that a conversation has had its turns."""
    return bot("No more turns.", message_id="l1", contentOrigin="TurnLimiter")


def update(*messages: dict[str, Any], **arguments: Any) -> str:
    """One type 1 frame as a WebSocket message."""
    shown = {"messages": list(messages)} if messages else {}
    return wire({"type": 1, "target": "update", "arguments": [{**shown, "requestId": "r1", **arguments}]})


def snapshot(text: str, card: str | None = None, *, number: int = 0, **message: Any) -> bytes:
    """An update of the answer as the service writes it, byte for byte (recording 03); the card has the text too.

    Its times follow from the number, and the fields of `message` are added to the message.
    """
    at = f"2023-05-26T12:38:{17 + number}.{9978221 * number}+00:00"
    block = {"type": "TextBlock", "text": text if card is None else card, "wrap": True}
    answer = {
        "text": text,
        "author": "bot",
        "createdAt": at,
        "timestamp": at,
        "messageId": "5d91d7e3-bddd-4dfa-9ee6-d6c54a9ac81c",
        "offense": "Unknown",
        "adaptiveCards": [{"type": "AdaptiveCard", "version": "1.0", "body": [block]}],
        "sourceAttributions": [],
        "feedback": {"tag": None, "updatedOn": None, "type": "None"},
        "contentOrigin": "DeepLeo",
        "privacy": None,
        **message,
    }
    return compact({"type": 1, "target": "update", "arguments": [{"messages": [answer], "requestId": "r1"}]})


def compact(value: Any) -> bytes:
    """One WebSocket message that holds this record, without blanks between its parts, as the service writes them."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + SEPARATOR


def cursor(message_id: str) -> dict[str, Any]:
    """Where text is being written: in that message."""
    return {"j": f"$['{message_id}'].adaptiveCards[0].body[0].text", "p": -1}


def throttling(used: int | None, limit: int | None) -> dict[str, Any]:
    """Turns used and allowed; None leaves one out."""
    fields = {"maxNumUserMessagesInConversation": limit, "numUserMessagesInConversation": used}
    return {name: value for name, value in fields.items() if value is not None}


def final(*messages: dict[str, Any], result: dict[str, Any] | None = None, **item: Any) -> str:
    """The type 2 and type 3 frames in one WebSocket message, as in recording 10."""
    shown = {"messages": [user(), *messages]} if messages else {}
    result = {"value": "Success"} if result is None else result
    return wire(
        {"type": 2, "invocationId": "0", "item": {**shown, "conversationId": "c1", "result": result, **item}},
        {"type": 3, "invocationId": "0"},
    )


def chat(text: str = "Hello", context: str | None = None) -> frames.Chat:
    """A small request."""
    arguments = frames.ChatArguments(
        conversation_id="c0",
        message=frames.UserMessage(author="user", text=text),
        previous_messages=None if context is None else [frames.PreviousMessage(description=context)],
    )
    return frames.Chat([arguments], "0")


def eof(close_code: int | None) -> Callable[[Turn], object]:
    """The socket comes to its end."""
    return lambda turn: turn.receive_eof(close_code)


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

    def of(self, *kinds: type[ev.Event]) -> list[ev.Event]:
        """The events of these kinds, in order."""
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def texts(self) -> list[ev.Event]:
        """The events that bring text."""
        return self.of(ev.TextDelta, ev.TextRevised)


def play(script: Sequence[Step], asked: frames.Chat | None = None, limits: Limits = DEFAULT_LIMITS) -> Outcome:
    """Run one turn through a script, exactly as it is written."""
    turn = Turn(limits)
    turn.ask(asked or chat())
    given: list[ev.Event] = []
    try:
        for step in script:
            if isinstance(step, str):
                turn.receive(step.encode())
            else:
                step(turn)
            given.extend(drained(turn))
    except BingError as exc:
        return Outcome(given, type(exc), {**vars(exc), "message": exc.message})
    return Outcome(given, None, {})


def drained(turn: Turn) -> Iterator[ev.Event]:
    """All events that can be had now."""
    while True:
        event = turn.next_event()
        if event is None:
            return
        yield event


def three_ways(script: Sequence[Step]) -> Iterator[list[Step]]:
    """The script whole, with its text split at every position, and with data after its end.

    What a peer puts into one WebSocket message is its own affair, so all of these say the same.
    """
    yield list(script)
    parts: list[Step] = []
    for is_text, group in groupby(script, key=lambda step: isinstance(step, str)):
        steps = list(group)
        parts.extend(["".join(map(str, steps))] if is_text else steps)
    for number, part in enumerate(parts):
        if isinstance(part, str):
            for at in range(len(part) + 1):
                yield [*parts[:number], part[:at], part[at:], *parts[number + 1 :]]
    last = max((number for number, part in enumerate(parts) if isinstance(part, str)), default=None)
    if last is not None:
        yield [*parts[:last], f'{parts[last]}{PING}{{"type":1,"argu', *parts[last + 1 :]]


def hear(*script: Step, asked: frames.Chat | None = None) -> Outcome:
    """What a turn gives when it hears this, which is the same in all three ways."""
    expected = play(script, asked)
    for variant in three_ways(script):
        assert play(variant, asked) == expected, variant
    return expected


def stop(turn: Turn) -> None:
    """The caller asks the service to stop."""
    turn.stop()
