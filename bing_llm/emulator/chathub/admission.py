"""Which chat requests the emulator takes, as strict as the service (docs/protocol/chathub.md, sections b, d and f)."""

from __future__ import annotations

from bing_llm import errors
from bing_llm.backends.chathub.frames import Chat, ChatArguments
from bing_llm.emulator.conversations import Conversation, Conversations, signature_fits

_UNSIGNED = (
    "The conversationSignature is not set and is required to ensure that you have permission to use our APIs. "
    "IsAuthenticated=False. App ID="
)
_WRONG = "Cannot retrieve user status."
_MAX_DIGITS = 9


def admit(
    conversations: Conversations,
    chat: Chat,
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


def _find(conversations: Conversations, arguments: ChatArguments) -> Conversation:
    conversation_id = arguments.conversation_id
    if not conversation_id:
        raise errors.InvalidRequest(service_message="The request has no conversationId.")
    found = conversations.find(conversation_id)
    if found is None:
        raise errors.SessionExpired(service_message=conversations.expired_text(conversation_id))
    return found


def _authorize(
    conversation: Conversation, arguments: ChatArguments, token: str | None, *, token_expected: bool
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


def _check_order(conversation: Conversation, chat: Chat, arguments: ChatArguments) -> None:
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
