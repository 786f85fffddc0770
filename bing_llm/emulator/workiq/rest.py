"""The emulator's Work IQ: conversations and turns over HTTP (docs/protocol/workiq.md, sections 1 to 7)."""

from __future__ import annotations

import uuid
from functools import partial

import msgspec
from aiohttp import web

from bing_llm import errors
from bing_llm.emulator import http_faults
from bing_llm.emulator.conversations import Conversation, signature_fits
from bing_llm.emulator.faults import WIRE_FAULTS, Late
from bing_llm.emulator.received import Received, received_of
from bing_llm.emulator.request_log import log_frame
from bing_llm.emulator.state import State
from bing_llm.emulator.workiq import shapes
from bing_llm.emulator.workiq.requests import ChatBody, read_chat
from bing_llm.emulator.workiq.transport import Play, RunningTurn, answer_in_events, answer_whole
from bing_llm.emulator.workiq.turn import answer_turn, begin

_BASES = ("/rest", "/rest/beta", "/beta/copilot")
_ONLY_CREATES = "/rest/beta/copilot"  # it creates, and has no chat (docs/protocol/workiq.md, section 1)


class WorkIQ:
    """The handlers.

    Args:
        state: The emulator's.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: dict[str, RunningTurn] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is. Microsoft's SDK qualifies the names of the actions, its documents do not."""
        routes = [web.post(f"{base}/conversations", self.create) for base in (*_BASES, _ONLY_CREATES)]
        for base in _BASES:
            for namespace in ("", "microsoft.graph.copilot."):
                action = f"{base}/conversations/{{id}}/{namespace}"
                routes.append(web.post(f"{action}chat", self.chat))
                routes.append(web.post(f"{action}chatOverStream", self.chat_over_stream))
        return routes

    def abort(self) -> None:
        """Break the connections of all running turns now."""
        for turn in self._running.values():
            turn.abort()

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new conversation."""
        body = await request.read()
        decoded = _decoded(body)
        received = self._state.receive(request, "creation", body=decoded)
        log_frame(self._state, received, "received", body)
        try:
            self._authorize(request)
            what = self._state.plan.fault_at("workiq", "creation", received.hit)
            if isinstance(what, errors.BingError):
                raise what
            if not isinstance(decoded, dict):
                raise errors.InvalidRequest
        except errors.ProtocolError:
            return shapes.json_response(shapes.TORN.encode())
        except errors.BingError as refusal:
            return self._refused(request, refusal)
        if isinstance(what, WIRE_FAULTS):
            return await http_faults.play(what, self._state, request, partial(self._create, received))
        return self._create(received)

    def _create(self, received: Received) -> web.Response:
        made = self._state.workiq_conversations.add(str(uuid.uuid4()))
        received.conversation_id = made.id
        shown = shapes.conversation(made.id, name="", turns=0, messages=None, created=made.created_at)
        return shapes.json_response(shown, status=201)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One turn, answered whole."""
        return await self._take_turn(request, answer_whole)

    async def chat_over_stream(self, request: web.Request) -> web.StreamResponse:
        """One turn, answered as server-sent events."""
        return await self._take_turn(request, answer_in_events)

    async def _take_turn(self, request: web.Request, play: Play) -> web.StreamResponse:
        raw = await request.read()
        try:
            received, chat = self._read(request, raw)
            what = self._state.plan.fault_at("workiq", "request", received.hit)
            if isinstance(what, Late):
                await http_faults.wait(self._state, request, what.seconds)
            elif isinstance(what, WIRE_FAULTS):
                return await http_faults.play(what, self._state, request, web.Response)
            conversation, body = await self._admit(received.conversation_id, chat)
        except errors.BingError as refusal:
            return self._refused(request, refusal)
        received.turn = len(conversation.turns) + (not conversation.ended)
        answer = answer_turn(self._state, conversation, body, received)
        outgoing = play(request, answer, partial(self._refused, request), self._state)
        turn = RunningTurn(request, outgoing)
        self._running[conversation.id] = turn
        try:
            return await turn.run()
        finally:
            if self._running.get(conversation.id) is turn:  # else the next one runs, or ran, already
                del self._running[conversation.id]

    def _read(self, request: web.Request, raw: bytes) -> tuple[Received, ChatBody | errors.InvalidRequest]:
        """The request as it is noted, and what is asked, if that can be read."""
        chat = _read(raw)
        received = self._state.receive(
            request,
            "chat",
            body=_decoded(raw),
            conversation_id=request.match_info["id"],
            chat_body=None if isinstance(chat, errors.BingError) else chat,
        )
        log_frame(self._state, received, "received", raw)
        self._authorize(request)
        return received, chat

    async def _admit(
        self, conversation_id: str, chat: ChatBody | errors.InvalidRequest
    ) -> tuple[Conversation, ChatBody]:
        """Begin the turn that is asked for, or refuse it."""
        conversation = self._state.workiq_conversations.find(conversation_id)
        if conversation is None:
            raise errors.SessionExpired(service_message=self._state.workiq_conversations.expired_text(conversation_id))
        if isinstance(chat, errors.BingError):
            raise chat
        if conversation_id in self._running:
            await self._running[conversation_id].end_if_left()
        if conversation.running and conversation_id in self._running:
            raise errors.ConversationBusy
        begin(conversation, chat, context_limit=self._state.context_limit)
        return conversation, chat

    def _authorize(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not signature_fits(self._state.token, token):
            raise errors.Unauthorized

    def _refused(self, request: web.Request, error: errors.BingError) -> web.Response:
        received_of(request).fail(error)
        conversation_id = request.match_info.get("id", "")
        return shapes.error_response(error, request, self._state.clock, conversation_id=conversation_id)


def _read(body: bytes) -> ChatBody | errors.InvalidRequest:
    try:
        return read_chat(body)
    except errors.InvalidRequest as exc:
        return exc


def _decoded(body: bytes) -> object:
    """The JSON of a body; None if it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
