"""One turn of Work IQ: from a request to the snapshots that answer it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TypeAlias

import msgspec

from bing_llm import errors
from bing_llm.emulator.brains.base import Output, PastTurn, Question, brain_failure, checked_output, outputs_of
from bing_llm.emulator.conversations import Conversation
from bing_llm.emulator.faults import WIRE_FAULTS, NewMessage, WireFault
from bing_llm.emulator.received import Received
from bing_llm.emulator.state import State
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.requests import ChatBody
from bing_llm.emulator.workiq.snapshots import Snapshot, SnapshotWriter
from bing_llm.events import TextRevoked

Outgoing: TypeAlias = bytes | WireFault | errors.BingError
"""The JSON of a snapshot; what happens to the connection; or the error that refuses the turn, which comes last."""


def begin(conversation: Conversation, chat: ChatBody, *, context_limit: int) -> None:
    """Begin a turn of a conversation that has no running turn.

    Raises:
        BingError: The service would refuse it; the error says how.
    """
    if chat.characters > context_limit:
        raise errors.PromptTooLong
    if not conversation.ended and len(conversation.turns) >= conversation.turn_limit:
        raise errors.TurnLimitReached
    conversation.begin(len(conversation.turns), "")


async def answer_turn(
    state: State, conversation: Conversation, chat: ChatBody, received: Received
) -> AsyncGenerator[Outgoing, None]:
    """What the emulator sends for a turn that was begun. Closing it early ends an abandoned turn."""
    writer = _writer(state, conversation, chat)
    if conversation.ended:
        conversation.finish(None)
        received.fail(errors.ConversationEnded())
        yield msgspec.json.encode(writer.refusal())
        return
    question = _question(conversation, chat)
    failure: errors.BingError | None = None
    opened = False
    try:
        outputs = state.plan.interrupt("workiq", outputs_of(state.brain, question), received.hit)
        async with aclosing(outputs):
            async for output in outputs:
                if isinstance(output, NewMessage):
                    writer.begin_message()
                    continue
                if isinstance(output, WIRE_FAULTS):
                    yield output
                    continue
                written = _written(writer, conversation, output)
                if isinstance(written, errors.BingError):
                    failure = written
                    received.fail(failure)
                    break
                if not opened:
                    opened = True
                    yield msgspec.json.encode(writer.opening())
                for snapshot in written:
                    yield snapshot
                if isinstance(output, errors.BingError):
                    received.fail(output)
                    break
    finally:
        # Before the final snapshot: a client may ask again as soon as it has it, on another connection.
        # Nothing says that the service remembers additionalContext, so this one forgets it.
        is_turn = failure is None or not shapes.is_refusal(failure)
        conversation.finish(PastTurn(question.text, writer.text) if is_turn else None)
    if failure is not None:
        yield shapes.breakage_of(failure) or failure
        return
    received.answered = True
    for snapshot in _encoded(writer.closing()):
        yield snapshot


def _writer(state: State, conversation: Conversation, chat: ChatBody) -> SnapshotWriter:
    asked = chat.message.text
    return SnapshotWriter(
        conversation.id,
        name=conversation.name or asked[:40],
        asked=asked,
        turns=len(conversation.turns) + (not conversation.ended),
        created=conversation.created_at,
        clock=state.clock,
        documented=state.documented,
    )


def _question(conversation: Conversation, chat: ChatBody) -> Question:
    return Question(
        text=chat.message.text,
        context=chat.context,
        history=tuple(conversation.turns),
        search=chat.search,
        conversation_id=conversation.id,
        number=len(conversation.turns),
    )


def _written(writer: SnapshotWriter, conversation: Conversation, output: Output) -> list[bytes] | errors.BingError:
    """The snapshots of an output; an error for an error, or for an output that cannot be sent."""
    output = checked_output(output)
    if isinstance(output, errors.CaptchaRequired):
        return brain_failure("it yielded CaptchaRequired: Work IQ asks for no captcha")
    if isinstance(output, errors.BingError) and not shapes.is_moderation(output):
        return output
    if isinstance(output, TextRevoked | errors.BingError):
        conversation.ended = True
    if isinstance(output, errors.BingError):
        writer.disengage(output.service_message or output.message)
        return []
    try:
        return _encoded(writer.write(output))
    except UnicodeEncodeError:  # half of a surrogate pair, which no JSON can hold
        return brain_failure("it yielded text that is not Unicode")


def _encoded(snapshots: Iterable[Snapshot]) -> list[bytes]:
    return [msgspec.json.encode(snapshot) for snapshot in snapshots]
