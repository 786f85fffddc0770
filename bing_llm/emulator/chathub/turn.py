"""One turn of the emulator: from a chat request to the frames that answer it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TypeAlias

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.options import NO_SEARCH
from bing_llm.emulator.brains.base import Output, PastTurn, Question
from bing_llm.emulator.brains.outputs import brain_failure, checked_output, ends_conversation, outputs_of
from bing_llm.emulator.chathub.admission import admit
from bing_llm.emulator.chathub.error_replies import breakage_of, is_refusal, result_of
from bing_llm.emulator.chathub.writer import AnswerWriter, Frames
from bing_llm.emulator.conversations import Conversation
from bing_llm.emulator.faults import WIRE_FAULTS, NewMessage, WireFault
from bing_llm.emulator.received import Received
from bing_llm.emulator.state import State

Outgoing: TypeAlias = Frames | WireFault
"""Frames that are sent as one WebSocket message, or a fault that hits the connection."""


async def answer_turn(
    state: State, request: Received, chat: frames.Chat, token: str | None
) -> AsyncGenerator[Outgoing, None]:
    """The answer to one request. Close the generator early to end a turn that was stopped or abandoned.

    Args:
        state: The state of the emulator.
        request: The recorded request.
        chat: The frame of the request.
        token: `sec_access_token` of the socket's URL; None if the URL has none.
    """
    writer = AnswerWriter(chat, lifetime=state.lifetime, clock=state.clock)
    writer.quota = ev.Quota(0, state.turn_limit)
    try:
        conversation = admit(
            state.conversations,
            chat,
            token,
            context_limit=state.context_limit,
            signed_in_body=state.signed_in_body,
        )
    except errors.BingError as refusal:
        for outgoing in _refusal(writer, refusal):
            yield outgoing
        return
    writer.quota = ev.Quota(len(conversation.turns) + 1, conversation.turn_limit)
    question = _question(state, conversation, request)
    conversation.begin(int(chat.invocation_id), question.tone)
    failure: errors.BingError | None = None
    try:
        yield writer.opening()
        outputs = state.plan.interrupt("chathub", outputs_of(state.brain, question))
        async with aclosing(outputs):
            async for output in outputs:
                if isinstance(output, NewMessage):
                    writer.begin_message()
                    continue
                if isinstance(output, WIRE_FAULTS):
                    yield output
                    continue
                written = _written(writer, output)
                conversation.ended |= ends_conversation(output)
                if isinstance(written, errors.BingError):
                    failure = written
                    break
                if written:
                    yield written
        if failure is not None and (breakage := breakage_of(failure)) is not None:
            yield breakage
            return
    finally:
        # Before the final frame, because after it the client may ask again at once, on another socket.
        is_turn = failure is None or not is_refusal(failure)
        conversation.finish(PastTurn(question.text, writer.text, question.context) if is_turn else None)
    for outgoing in _refusal(writer, failure) if failure else (writer.closing(),):
        yield outgoing


def _question(state: State, conversation: Conversation, request: Received) -> Question:
    arguments = request.arguments or frames.ChatArguments()
    message = arguments.message or frames.UserMessage()
    return Question(
        text=message.text,
        context=request.context,
        history=tuple(conversation.turns),
        search=NO_SEARCH not in (arguments.options_sets or ()),
        images=state.blobs.of_message(message.image_url, message.original_image_url),
        tone=arguments.tone or "",
        conversation_id=conversation.id,
        number=len(conversation.turns),
    )


def _written(writer: AnswerWriter, output: Output) -> Frames | errors.BingError:
    """The frames of an event; or an error, if the output is an error or cannot be sent."""
    output = checked_output(output)
    if isinstance(output, errors.BingError):
        return output
    try:
        return writer.write(output)
    except UnicodeEncodeError:  # half of a surrogate pair, which no JSON can hold
        return brain_failure("it yielded text that is not Unicode")


def _refusal(writer: AnswerWriter, error: errors.BingError) -> Iterator[Outgoing]:
    breakage = breakage_of(error)
    if breakage is not None:
        yield breakage
        return
    notice = error.service_message or error.message
    match error:
        case errors.ContentFiltered():
            yield writer.write(ev.TextRevoked(notice))
        case errors.ConversationEnded():
            yield writer.write(ev.TextRevoked(notice, ended=True))
        case errors.TurnLimitReached():
            yield writer.limited()
        case _:
            yield writer.refusal(result_of(error))
            return
    yield writer.closing()
