"""The emulator's HTTP calls: conversations and pictures (docs/protocol/chathub.md, sections a, g and i)."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import msgspec
from aiohttp import web

from bing_llm.emulator import http_faults
from bing_llm.emulator.chathub.shapes import creation_response
from bing_llm.emulator.conversations import Conversation, signature_fits
from bing_llm.emulator.faults import WIRE_FAULTS
from bing_llm.emulator.received import received_of
from bing_llm.emulator.state import State
from bing_llm.emulator.wire import timestamp
from bing_llm.errors import BingError

_SUCCESS = {"value": "Success", "message": None}
_PLAIN = "X-Sydney-ConversationSignature"
_ENCRYPTED = "X-Sydney-EncryptedConversationSignature"
_SIGNED_IN = "_U"  # the cookie of an account


class Rest:
    """The handlers.

    Args:
        state: The emulator's.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is. The creation has been at two paths, on several hosts."""
        return [
            web.get("/turing/conversation/create", self.create),
            web.get("/edgesvc/turing/conversation/create", self.create),
            web.get("/turing/conversation/chats", self.list),
            web.post("/sydney/DeleteSingleConversation", self.delete),
            web.post("/images/kblob", self.upload),
            web.get("/images/blob", self.blob),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new conversation, or new signatures for the one that `conversationId` names."""
        wanted = request.query.get("conversationId", "")
        received = self._state.receive(request, "creation", conversation_id=wanted)
        what = self._state.plan.fault_at("chathub", "creation", received.hit)
        if isinstance(what, BingError):
            return creation_response(what)
        if isinstance(what, WIRE_FAULTS):
            return await http_faults.play(what, self._state, request, lambda: self._create(request, wanted))
        return self._create(request, wanted)

    def _create(self, request: web.Request, wanted: str) -> web.Response:
        if not wanted:
            made = self._state.conversations.create(signed_in=_SIGNED_IN in request.cookies)
            received_of(request).conversation_id = made.id
            return self._created(made)
        found = self._state.conversations.find(wanted)
        if found is None:
            return _refused(request, "InvalidSession", self._state.conversations.expired_text(wanted))
        found.sign()
        return self._created(found)

    async def list(self, request: web.Request) -> web.Response:
        """The conversations that had a turn."""
        self._state.receive(request, "list")
        chats = [_entry(conversation) for conversation in self._state.conversations if conversation.turns]
        client_id = self._state.conversations.client_id(signed_in=_SIGNED_IN in request.cookies)
        return _json({"chats": chats, "result": _SUCCESS, "clientId": client_id})

    async def delete(self, request: web.Request) -> web.Response:
        """Forget one conversation. The plain signature comes as a bearer token; older clients put it into the body."""
        body = _decoded(await request.read())
        conversation_id = _text(body, "conversationId")
        self._state.receive(request, "deletion", body=body, conversation_id=conversation_id)
        found = self._state.conversations.find(conversation_id)
        if found is None:
            return _refused(request, "InvalidSession", self._state.conversations.expired_text(conversation_id))
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else _text(body, "conversationSignature")
        if not signature_fits(found.signature, given):
            return _refused(request, "UnauthorizedRequest", "Cannot retrieve user status.")
        self._state.conversations.delete(found)
        return _json({"conversationId": found.id, "clientId": found.client_id, "result": _SUCCESS})

    async def upload(self, request: web.Request) -> web.Response:
        """Keep a picture. Anything else is answered with status 200 and two empty ids, as the service does."""
        fields = form_fields(request.headers.get("Content-Type", ""), await request.read())
        knowledge = _decoded(fields.get("knowledgeRequest", b""))
        self._state.receive(request, "upload", body=knowledge)
        picture, info = fields.get("imageBase64"), knowledge.get("imageInfo")
        if picture is not None:
            ids = self._state.blobs.add_base64(picture.decode("ascii", "replace"))
        else:
            ids = self._state.blobs.add_url(_text(info, "url") if isinstance(info, dict) else "")
        return _json({"blobId": ids[0], "processedBlobId": ids[1]})

    async def blob(self, request: web.Request) -> web.Response:
        """A picture that was uploaded."""
        image = self._state.blobs.get(request.query.get("bcid", ""))
        if image is None:
            raise web.HTTPNotFound
        if image.url:
            raise web.HTTPFound(image.url)
        return web.Response(body=image.data, content_type="application/octet-stream")

    def _created(self, conversation: Conversation) -> web.Response:
        body = {"conversationId": conversation.id, "clientId": conversation.client_id}
        if self._state.signed_in_body:
            return _json({**body, "conversationSignature": conversation.signature, "result": _SUCCESS})
        headers = {_PLAIN: conversation.signature, _ENCRYPTED: conversation.token}
        return _json({**body, "result": _SUCCESS}, headers=headers)


def _entry(conversation: Conversation) -> dict[str, object]:
    return {
        "conversationId": conversation.id,
        "chatName": conversation.name,
        "tone": conversation.tone,
        "createTimeUtc": timestamp(conversation.created_at, "Z"),
        "updateTimeUtc": timestamp(conversation.updated_at, "Z"),
        "plugins": [],
    }


def _refused(request: web.Request, value: str, message: str) -> web.Response:
    received_of(request).fail(f"{value}: {message}")
    return _json({"result": {"value": value, "message": message}})


def _json(value: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)


def _decoded(body: bytes) -> dict[str, object]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields by name; empty for a body that is not a form.

    Public clients send a fixed `multipart/form-data` without a boundary (sydney-py 0.23.1, re-edge-gpt 0.0.46); the
    first line of the body has it, and is always taken from there.

    Args:
        content_type: The header.
        body: The whole body.
    """
    delimiter = body.split(b"\r\n", 1)[0]
    if not content_type.lower().startswith("multipart/form-data") or not delimiter.startswith(b"--"):
        return {}
    head = b'Content-Type: multipart/form-data; boundary="' + delimiter[2:] + b'"\r\n\r\n'
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    return {name: content for part in message.iter_parts() if (name := _name(part)) and (content := _content(part))}


def _name(part: MIMEPart[Any, Any]) -> str:
    name = part.get_param("name", "", header="Content-Disposition")
    return name if isinstance(name, str) else ""


def _content(part: MIMEPart[Any, Any]) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
