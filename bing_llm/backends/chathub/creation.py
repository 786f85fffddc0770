"""What the creation of a conversation was answered (docs/protocol/chathub.md, section a; recording 14).

There are three kinds of failure, looked at in this order: the HTTP status, the content, `result.value`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from bing_llm import errors
from bing_llm._secrets import SecretStruct
from bing_llm.backends.chathub.errors import SUCCESS, error_for, error_for_status
from bing_llm.backends.chathub.frames import Result
from bing_llm.backends.json_text import check_values
from bing_llm.backends.response import Response

_SIGNATURE = "x-sydney-conversationsignature"
_ENCRYPTED = "x-sydney-encryptedconversationsignature"
_NOT_FOUND = 404


class ChatHubConversation(SecretStruct, frozen=True):
    """A conversation as the service keeps it, for six hours.

    Attributes:
        id: The conversation id, `51D|BingProd...|<64 hex>`.
        client_id: The participant id.
        signature: Goes into each request, and as a bearer token to the REST calls. Secret. Until September 2023 it
            came in the body, later in a header.
        encrypted_signature: Goes, percent-encoded, into the socket URL. Secret. None where the service sent none.
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
    result: Result | None = None


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
    body = body_of(answer, what, _Body)
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
    """A signature as it can be sent on. It is base64: anything but printable ASCII is not the service's."""
    if signature and not (signature.isascii() and signature.isprintable()):
        raise errors.ProtocolError("The service sent a signature with bytes that no signature has.")
    return signature or None


def body_of(answer: Response, what: str, kind: type[Any]) -> Any:
    """The JSON body of an answer, as this type.

    Raises:
        BingError: The status is not 2xx, or the body is no such JSON: empty and HTML bodies with status 200 are known.
    """
    error = error_for_status(answer, what)
    if error is not None:
        raise error
    check_values(answer.body)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        seen = "an empty body" if not answer.body.strip() else "something that is not the JSON it should be"
        msg = f"The service answered {what} with HTTP {answer.status} and {seen}."
        raise errors.ServiceError(msg, value=str(answer.status)) from exc
