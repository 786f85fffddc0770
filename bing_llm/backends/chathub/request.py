"""The chat request of one turn (docs/protocol/chathub.md, section d)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.creation import ChatHubConversation
from bing_llm.backends.chathub.options import ALLOWED_MESSAGE_TYPES, MODELS, resolved_option_sets
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import ChatHub

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
    service: ChatHub,
    number: int,
    *,
    stamp: Stamp,
    image_url: str | None = None,
) -> frames.Chat:
    """The frame that asks for turn `number` of a conversation (0 for the first)."""
    arguments = frames.ChatArguments(
        source="cib",
        options_sets=resolved_option_sets(service),
        is_start_of_session=number == 0,
        conversation_id=conversation.id,
        conversation_signature=conversation.signature,
        participant=frames.Participant(id=conversation.client_id),
        message=_user_message(prompt, service, stamp, image_url),
        allowed_message_types=list(ALLOWED_MESSAGE_TYPES),
        slice_ids=[],
        verbosity="verbose",
        scenario="SERP",
        trace_id=stamp.trace_id,
        request_id=stamp.request_id,
        tone=MODELS[service.model].tone,
        spoken_text_mode="None",
        previous_messages=_context(prompt),
        conversation_history_options_sets=list(_HISTORY_OPTION_SETS) if service.cookies else None,
        gpt_id="copilot",
    )
    return frames.Chat([arguments], str(number))


def _user_message(prompt: Prompt, service: ChatHub, stamp: Stamp, image_url: str | None) -> frames.UserMessage:
    location = service.location
    return frames.UserMessage(
        author="user",
        text=prompt.text,
        message_type="Chat",
        input_method="Keyboard",
        request_id=stamp.request_id,
        message_id=stamp.request_id,
        locale=service.locale,
        market=service.locale,
        region=service.locale.partition("-")[2].upper(),
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
