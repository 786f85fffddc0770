"""One turn of the emulator: whether the chat request is taken, and the frames that answer it.

Requests are taken as strictly as by the service (docs/protocol/chathub.md, sections b, d and f).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TypeAlias

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.options import NO_SEARCH
from bing_llm.emulator.brains.base import (
    Output,
    PastTurn,
    Question,
    brain_failure,
    checked_output,
    ends_conversation,
    outputs_of,
)
from bing_llm.emulator.chathub.shapes import breakage_of, is_refusal, result_of
from bing_llm.emulator.chathub.writer import AnswerWriter, Frames
from bing_llm.emulator.conversations import Conversation, Conversations, signature_fits
from bing_llm.emulator.faults import WIRE_FAULTS, NewMessage, WireFault
from bing_llm.emulator.received import Received
from bing_llm.emulator.state import State

Outgoing: TypeAlias = Frames | WireFault
"""Frames that are sent as one WebSocket message, or a fault that hits the connection."""

_UNSIGNED = (
    "The conversationSignature is not set and is required to ensure that you have permission to use our APIs. "
    "IsAuthenticated=False. App ID="
)
_WRONG = "Cannot retrieve user status."
_MAX_DIGITS = 9


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
        request.fail(refusal)
        for outgoing in _refusal(writer, refusal):
            yield outgoing
        return
    writer.quota = ev.Quota(len(conversation.turns) + 1, conversation.turn_limit)
    question = _question(state, conversation, request)
    conversation.begin(int(chat.invocation_id), question.tone)
    request.turn = len(conversation.turns) + 1
    failure: errors.BingError | None = None
    try:
        yield writer.opening()
        outputs = state.plan.interrupt("chathub", outputs_of(state.brain, question), request.hit)
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
                    request.fail(failure)
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
    request.answered = failure is None
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


# --- admission -------------------------------------------------------------------------------------------------------


def admit(
    conversations: Conversations,
    chat: frames.Chat,
    token: str | None,
    *,
    context_limit: int,
    signed_in_body: bool = False,
) -> Conversation:
    """The conversation whose next turn this request is.

    Args:
        conversations: All of them.
        chat: The request.
        token: `sec_access_token` of the socket's URL, decoded; None for none.
        context_limit: The longest prompt and context together, in characters.
        signed_in_body: Whether the creation gave its one signature in the body, so that no token is expected.

    Raises:
        BingError: The service would refuse it; the error says how.
    """
    if not chat.arguments:
        raise errors.InvalidRequest(service_message="The request has no arguments.")
    arguments = chat.arguments[0]
    conversation = _find(conversations, arguments)
    _authorize(conversation, arguments, token, token_expected=not signed_in_body)
    if arguments.message is None or not arguments.message.text:
        raise errors.InvalidRequest(service_message="The request has no message text.")
    if conversation.running:
        raise errors.ConversationBusy(service_message=f"Conversation '{conversation.id}' is processing a message.")
    _check_order(conversation, chat, arguments)
    if arguments.characters > context_limit:
        raise errors.PromptTooLong
    if conversation.ended:
        raise errors.ConversationEnded
    if len(conversation.turns) >= conversation.turn_limit:
        raise errors.TurnLimitReached
    return conversation


def _find(conversations: Conversations, arguments: frames.ChatArguments) -> Conversation:
    conversation_id = arguments.conversation_id
    if not conversation_id:
        raise errors.InvalidRequest(service_message="The request has no conversationId.")
    found = conversations.find(conversation_id)
    if found is None:
        raise errors.SessionExpired(service_message=conversations.expired_text(conversation_id))
    return found


def _authorize(
    conversation: Conversation, arguments: frames.ChatArguments, token: str | None, *, token_expected: bool
) -> None:
    """The token on the URL is what counts; a signature in the JSON may be null, but may not be wrong."""
    signature = arguments.conversation_signature
    if not (token if token_expected else signature):
        raise errors.Unauthorized(service_message=_UNSIGNED)
    client_id = arguments.participant and arguments.participant.id
    if not client_id:
        raise errors.InvalidRequest(service_message="The request has no participant.")
    fits = client_id == conversation.client_id
    fits &= not token or signature_fits(conversation.token, token)
    fits &= not signature or signature_fits(conversation.signature, signature)
    if not fits:
        raise errors.Unauthorized(service_message=_WRONG)


def _check_order(conversation: Conversation, chat: frames.Chat, arguments: frames.ChatArguments) -> None:
    expected = conversation.next_invocation
    number = chat.invocation_id
    if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
        said = "The invocationId is not a number."
        raise errors.InvalidRequest(service_message=said)
    starts_again = expected is not None and arguments.is_start_of_session
    if starts_again or expected not in {None, int(number)}:
        # The service counts messages, two a turn (recording 04).
        said = f"Conversation '{conversation.id}' with {2 * len(conversation.turns)} messages already exists."
        raise errors.InvalidRequest(service_message=said)
