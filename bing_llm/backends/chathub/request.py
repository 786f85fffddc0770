"""The requests to a ChatHub, and the parsers of their responses, without I/O.

The creation of a conversation (docs/protocol/chathub.md, section a; recording 14), the upload of a picture (section g)
and the chat request of a turn (section d). A creation can fail in three ways, which are checked in this order: the
HTTP status, the content, `result.value`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import quote

import msgspec

from bing_llm import errors
from bing_llm._secrets import SecretStruct
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.errors import SUCCESS, error_for, error_for_status
from bing_llm.backends.chathub.options import ALLOWED_MESSAGE_TYPES, MODELS, resolved_option_sets
from bing_llm.backends.json_text import check_values
from bing_llm.backends.response import FormField, Response
from bing_llm.images import Image
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import ChatHub

T = TypeVar("T")

_SIGNATURE = "x-sydney-conversationsignature"
_ENCRYPTED = "x-sydney-encryptedconversationsignature"
_NOT_FOUND = 404

_UPLOAD = "the upload of an image"

# The message id that the web client used for page context. All other clients use it too.
_CONTEXT_MESSAGE_ID = "discover-web--page-ping-mriduna-----"
_HISTORY_OPTION_SETS = ["autosave", "savemem", "uprofupd", "uprofgen"]


class ChatHubConversation(SecretStruct, frozen=True):
    """A conversation as the service keeps it, for six hours.

    Attributes:
        id: The conversation id, `51D|BingProd...|<64 hex>`.
        client_id: The participant id.
        signature: Goes into each request, and as a bearer token to the REST calls. Secret. Until September 2023 it
            came in the body, later in a header.
        encrypted_signature: Goes, percent-encoded, into the socket URL. Secret. None if the service sent none.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ("id", "client_id")

    id: str
    client_id: str
    signature: str | None = None
    encrypted_signature: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be logged."""
        return tuple(secret for secret in (self.signature, self.encrypted_signature) if secret)


class _Body(msgspec.Struct, rename="camel"):
    conversation_id: str | None = None
    client_id: str | None = None
    conversation_signature: str | None = None
    result: frames.Result | None = None


def parse_creation(answer: Response) -> ChatHubConversation:
    """The conversation that was created.

    Raises:
        BingError: By status, content or `result.value`.
    """
    what = "the creation of a conversation"
    if answer.status == _NOT_FOUND:
        # Seen as an answer to too many requests, and from regions where the service is not offered.
        msg = f"The service answered {what} with HTTP 404, as it does after too many requests."
        hint = "Send fewer requests; if this is your own endpoint, check its URL."
        raise errors.Throttled(msg, hint=hint, value="404", retry_after=answer.retry_after)
    body = body_of(answer, what, _Body, carries_row=False)
    if body.result is not None and body.result.value not in {SUCCESS, None}:
        raise error_for(body.result, what=what)
    if not body.conversation_id:
        msg = f"The service answered {what} without a conversation id."
        raise errors.ServiceError(msg, value=None if body.result is None else body.result.value)
    return ChatHubConversation(
        id=body.conversation_id,
        client_id=body.client_id or "",
        signature=_printable(answer.headers.get(_SIGNATURE) or body.conversation_signature),
        encrypted_signature=_printable(answer.headers.get(_ENCRYPTED)),
    )


def _printable(signature: str | None) -> str | None:
    """Check that a signature can be sent in a header. It is base64, so the service only sends printable ASCII."""
    if signature and not (signature.isascii() and signature.isprintable()):
        raise errors.ProtocolError("The service sent a signature with bytes that no signature has.")
    return signature or None


def body_of(answer: Response, what: str, kind: type[T], *, carries_row: bool = True) -> T:
    """The JSON body of an answer, as this type. See `error_for_status` for the other arguments.

    Raises:
        BingError: The status is not 2xx, or the body is not such JSON: empty and HTML bodies with status 200 are known.
    """
    error = error_for_status(answer, what, carries_row=carries_row)
    if error is not None:
        raise error
    check_values(answer.body)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        seen = "an empty body" if not answer.body.strip() else "something that is not the JSON it should be"
        msg = f"The service answered {what} with HTTP {answer.status} and {seen}."
        raise errors.ServiceError(msg, value=str(answer.status)) from exc


# --- pictures ---------------------------------------------------------------------------------------------------------


class _Blob(msgspec.Struct, rename="camel"):
    blob_id: str | None = None
    processed_blob_id: str | None = None


def image_form(image: Image, conversation: ChatHubConversation, model: str) -> list[FormField]:
    """The multipart body of an upload: what to do with the picture, and its bytes in base64 unless it has a URL."""
    request: dict[str, object] = {
        "imageInfo": {"url": image.url} if image.url else {},
        "knowledgeRequest": {
            "invokedSkills": ["ImageById"],
            "subscriptionId": "Bing.Chat.Multimodal",
            "invokedSkillsRequestData": {"enableFaceBlur": True},
            "convoData": {"convoid": conversation.id, "convotone": MODELS[model].tone},
        },
    }
    form = [FormField("knowledgeRequest", msgspec.json.encode(request).decode(), "application/json")]
    if not image.url:
        form.append(FormField("imageBase64", base64.b64encode(image.data).decode()))
    return form


def uploaded_url(answer: Response, blob_endpoint: str) -> str:
    """The URL by which a chat request refers to the picture.

    Raises:
        UploadFailed: The service refused: a 4xx status, or 200 with both ids empty.
        BingError: By another status or content.
    """
    try:
        blob = body_of(answer, _UPLOAD, _Blob)
    except errors.InvalidRequest as exc:
        raise errors.UploadFailed(exc.message, value=exc.value) from exc
    blob_id = blob.blob_id or blob.processed_blob_id
    if not blob_id:
        msg = f"The service answered {_UPLOAD} without an id, which is how it refuses a picture."
        raise errors.UploadFailed(msg, value=str(answer.status))
    return f"{blob_endpoint}?bcid={quote(blob_id, safe='')}"


# --- turns ------------------------------------------------------------------------------------------------------------


class Stamp(msgspec.Struct, frozen=True):
    """Identifies a request: 32 hex digits, a UUID, and the local time in ISO form with its offset."""

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
