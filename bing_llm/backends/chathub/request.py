"""The chat request of one turn (docs/protocol/chathub.md, section d)."""

from __future__ import annotations

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.creation import ChatHubConversation
from bing_llm.backends.chathub.options import ALLOWED_MESSAGE_TYPES, ChatHubOptions
from bing_llm.messages import Prompt

__all__ = ["Stamp", "chat_request"]

# The message id that the web client gave to page context, and every client read kept.
_CONTEXT_MESSAGE_ID = "discover-web--page-ping-mriduna-----"
_HISTORY_OPTION_SETS = ["autosave", "savemem", "uprofupd", "uprofgen"]


class Stamp(msgspec.Struct, frozen=True):
    """What makes a request this one: 32 hex digits, a UUID, and the local time in ISO form with its offset."""

    trace_id: str
    request_id: str
    timestamp: str


def chat_request(
    conversation: ChatHubConversation,
    prompt: Prompt,
    options: ChatHubOptions,
    number: int,
    *,
    stamp: Stamp,
    image_url: str | None = None,
) -> frames.Chat:
    """The frame that asks for turn `number` of a conversation (0 for the first)."""
    arguments = frames.ChatArguments(
        source="cib" if options.compose is None else "edge_coauthor_prod",
        options_sets=options.resolved_option_sets(),
        is_start_of_session=number == 0,
        conversation_id=conversation.id,
        conversation_signature=conversation.signature,
        participant=frames.Participant(id=conversation.client_id),
        message=_user_message(prompt, options, stamp, image_url),
        allowed_message_types=list(ALLOWED_MESSAGE_TYPES),
        slice_ids=[],
        verbosity="verbose",
        scenario="SERP" if options.compose is None else "",
        trace_id=stamp.trace_id,
        request_id=stamp.request_id,
        tone=options.style.tone,
        spoken_text_mode="None",
        previous_messages=_context(prompt),
        conversation_history_options_sets=list(_HISTORY_OPTION_SETS) if options.signed_in else None,
        gpt_id=options.persona or "copilot",
        extra_extension_parameters=None if options.compose is None else options.compose.parameters(),
    )
    return frames.Chat([arguments], str(number))


def _user_message(prompt: Prompt, options: ChatHubOptions, stamp: Stamp, image_url: str | None) -> frames.UserMessage:
    location = options.location
    return frames.UserMessage(
        author="user",
        text=prompt.text,
        message_type="Chat",
        input_method="Keyboard",
        request_id=stamp.request_id,
        message_id=stamp.request_id,
        locale=options.locale,
        market=options.locale,
        region=options.region,
        location=None if location is None else str(location),
        location_hints=None if location is None else list(location.hints) or None,
        timestamp=stamp.timestamp,
        image_url=image_url,
        original_image_url=image_url,
    )


def _context(prompt: Prompt) -> list[frames.PreviousMessage] | None:
    if not prompt.context:
        return None
    return [
        frames.PreviousMessage(
            author="user",
            description=prompt.context,
            context_type="WebPage",
            message_type="Context",
            message_id=_CONTEXT_MESSAGE_ID,
        )
    ]
