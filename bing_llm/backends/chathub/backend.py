"""The ChatHub over real connections: creation, turns, uploads, the list of conversations."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Coroutine, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import msgspec

from bing_llm._secrets import Redactor, Wrapped
from bing_llm._version import __version__
from bing_llm.backends.base import ConversationHandle, ConversationInfo
from bing_llm.backends.channel import Channel
from bing_llm.backends.chathub.connection import State
from bing_llm.backends.chathub.errors import SUCCESS, error_for, error_for_status
from bing_llm.backends.chathub.frames import Chat, Result
from bing_llm.backends.chathub.options import PUBLIC_CREATE, WITH_COOKIES, resolve
from bing_llm.backends.chathub.request import (
    ChatHubConversation,
    Stamp,
    body_of,
    chat_request,
    image_form,
    parse_creation,
    uploaded_url,
)
from bing_llm.backends.chathub.turn import Turn
from bing_llm.backends.http import Http, UpgradeRefused
from bing_llm.backends.transport import Transport
from bing_llm.errors import UNMETERED, BingError, InvalidRequest, Unauthorized
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import ChatHub

_OK = 200


class _Chats(msgspec.Struct):
    chats: list[dict[str, Any]] | None = None
    result: Result | None = None


class _Deleted(msgspec.Struct):
    result: Result | None = None


class WarmSocket:
    """A conversation whose socket is open and whose handshake is done, before there is a prompt.

    Implements `bing_llm.backends.base.WarmConversation`.

    Args:
        handle: The conversation.
        turn: Its first turn.
        channel: The socket of that turn.
    """

    def __init__(self, handle: ChatHubConversation, turn: Turn, channel: Channel) -> None:
        self.handle = handle
        self.turn = turn
        self.channel = channel

    def alive(self) -> bool:
        """Whether its socket is open, and the service was heard of within `timeouts.silence`."""
        return self.channel.look() and self.turn.state is State.READY

    async def keep_alive(self) -> None:
        """Send a ping."""
        await self.channel.send(self.turn.ping())

    def close(self) -> None:
        """Drop the socket."""
        self.channel.close()


class ChatHubBackend:
    """Speaks to one ChatHub.

    Args:
        service: Where it is, how to reach it, and how it answers.
        timeouts: The time limits of each step.
        limits: How much is taken of what the service sends.

    Raises:
        ConfigurationError: The endpoint is not allowed.
    """

    metering = UNMETERED

    def __init__(self, service: ChatHub, *, timeouts: Timeouts, limits: Limits) -> None:
        self._endpoints = resolve(service.endpoint, allow_insecure=service.allow_insecure)
        self._service = service
        self._timeouts = timeouts
        self._limits = limits
        self._secrets = _cookie_values(service.cookie_header)
        self._headers = _headers(service)
        self._http = Http(proxy=service.proxy, trust_env=service.trust_env, ssl_context=service.ssl_context)

    @property
    def prompt_limit(self) -> int:
        """The longest prompt, in characters."""
        return self._service.longest_prompt

    @property
    def keeps_context(self) -> bool:
        """True: `previousMessages` are messages of the conversation."""
        return True

    def with_model(self, model: str) -> Self:
        """The same service for another model, over the same connections."""
        other = copy.copy(self)
        other._service = self._service.with_model(model)  # noqa: SLF001 - it is of this class
        return other

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse an empty or over-long prompt, and more than the one picture that a message can hold."""
        self._service.check_prompt(prompt.text)
        if len(prompt.images) > self._service.images_per_turn:
            msg = f"The prompt has {len(prompt.images)} images; a ChatHub message takes one."
            raise InvalidRequest(msg, hint="Send one image a turn.")

    def create_conversation(self, deadline: Deadline) -> Coroutine[Any, Any, ChatHubConversation]:
        """Create a conversation: one GET, answered with ids and signatures."""
        return self._create("", deadline)

    def open_conversation(self, conversation_id: str, deadline: Deadline) -> Coroutine[Any, Any, ChatHubConversation]:
        """Fresh signatures for a conversation that exists."""
        return self._create(f"&conversationId={quote(conversation_id, safe='')}", deadline)

    async def _create(self, url_suffix: str, deadline: Deadline) -> ChatHubConversation:
        url = self._endpoints.create + url_suffix
        what = "the creation of a conversation"
        try:
            with deadline.within(self._timeouts.connect) as seconds:
                answer = await self._http.request("GET", url, what=what, seconds=seconds, headers=self._headers)
            with self._redact().errors():
                return parse_creation(answer)
        except BingError as exc:
            if self._endpoints.create.startswith(PUBLIC_CREATE):
                exc.hint = f"Bing's public host was retired by March 2025: name an endpoint. {exc.hint}"
            raise

    async def open_turn(self, handle: ChatHubConversation, prompt: Prompt, number: int, deadline: Deadline) -> Channel:
        """Upload the picture where there is one, connect, and send handshake and request together."""
        image_url = await self._upload(handle, prompt, deadline)
        turn = Turn(self._limits)
        channel = await self._connect(handle, turn, deadline)
        with _ClosedOnFailure(channel):
            await channel.send(turn.ask(self._chat(handle, prompt, number, image_url)))
        return channel

    async def warm_up(self, deadline: Deadline) -> WarmSocket:
        """Create a conversation, connect, send the handshake alone and wait for its answer."""
        handle = await self.create_conversation(deadline)
        turn = Turn(self._limits)
        channel = await self._connect(handle, turn, deadline)
        with _ClosedOnFailure(channel):
            await channel.handshake(turn.handshake())
        # As long as it waits for a prompt, there is no limit.
        channel.begin(Deadline(math.inf, deadline.clock, deadline.label))
        return WarmSocket(handle, turn, channel)

    async def open_warm(self, warm: WarmSocket, prompt: Prompt, deadline: Deadline) -> Channel:
        """Upload the picture where there is one, and send the request alone."""
        with _ClosedOnFailure(warm):
            image_url = await self._upload(warm.handle, prompt, deadline)
            warm.channel.begin(deadline)
            await warm.channel.send(warm.turn.ask(self._chat(warm.handle, prompt, 0, image_url)))
        return warm.channel

    async def _connect(self, handle: ChatHubConversation, turn: Turn, deadline: Deadline) -> Channel:
        try:
            with deadline.within(self._timeouts.connect) as seconds:
                socket = await self._http.connect(
                    Wrapped(self._endpoints.socket_for(handle.encrypted_signature)),
                    what="the chat socket",
                    seconds=seconds,
                    headers=self._headers,
                    limits=self._limits,
                )
        except UpgradeRefused as exc:
            raise _refused(exc) from exc
        redact = self._redact(*handle.secrets)
        return Channel(Transport(socket), turn, self._timeouts, deadline, redact=lambda: redact)

    def redactor(self, handle: ConversationHandle | None) -> Redactor:
        """Takes out cookies, whoever set them, passwords of proxies, and the signatures of this conversation."""
        return self._redact(*(handle.secrets if isinstance(handle, ChatHubConversation) else ()))

    def _redact(self, *more: str) -> Redactor:
        """Takes out of texts what is secret now: cookies, whoever set them, passwords of proxies, and these."""
        return Redactor(*more, *self._secrets, *self._http.secrets)

    def _chat(self, handle: ChatHubConversation, prompt: Prompt, number: int, image_url: str | None) -> Chat:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        stamp = Stamp(os.urandom(16).hex(), _random_uuid(), now)
        return chat_request(handle, prompt, self._service, number, stamp=stamp, image_url=image_url)

    async def _upload(self, handle: ChatHubConversation, prompt: Prompt, deadline: Deadline) -> str | None:
        if not prompt.images:
            return None
        with deadline.within(self._timeouts.silence) as seconds:
            answer = await self._http.request(
                "POST",
                self._endpoints.upload,
                what="the upload of an image",
                seconds=seconds,
                limit="silence",
                headers=self._headers,
                form=image_form(prompt.images[0], handle, self._service.model),
            )
        with self._redact(*handle.secrets).errors():
            return uploaded_url(answer, self._endpoints.blob)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """The conversations that the service keeps for these cookies."""
        what = "the list of conversations"
        with deadline.within(self._timeouts.connect) as seconds:
            answer = await self._http.request(
                "GET", self._endpoints.chats, what=what, seconds=seconds, headers=self._headers
            )
        with self._redact().errors():
            body = body_of(answer, what, _Chats)
            _check(body.result, what)
        return [_info(chat) for chat in body.chats or []]

    async def delete_conversation(self, handle: ChatHubConversation, deadline: Deadline) -> None:
        """Delete one conversation; its signature is the bearer token."""
        what = "the deletion of a conversation"
        with deadline.within(self._timeouts.connect) as seconds:
            answer = await self._http.request(
                "POST",
                self._endpoints.delete,
                what=what,
                seconds=seconds,
                headers=Wrapped({**self._headers.unwrap(), "Authorization": f"Bearer {handle.signature or ''}"}),
                json={
                    "conversationId": handle.id,
                    "participant": {"id": handle.client_id},
                    "source": "cib",
                    "optionsSets": [WITH_COOKIES],
                },
            )
        with self._redact(*handle.secrets).errors():
            body = body_of(answer, what, _Deleted)
            _check(body.result, what)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _random_uuid() -> str:
    """A random UUID, in a third of the time that `str(uuid.uuid4())` takes."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class _ClosedOnFailure:
    """A block whose failure closes what was opened."""

    def __init__(self, opened: Channel | WarmSocket) -> None:
        self._opened = opened

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._opened.close()


def _cookie_values(header: str | None) -> list[str]:
    """A Cookie header, and each value in it."""
    pairs = header.split(";") if header else []
    return [*([header] if header else []), *(pair.partition("=")[2].strip() for pair in pairs)]


def _headers(service: ChatHub) -> Wrapped[Mapping[str, str]]:
    """What goes with every request. We say who we are: a browser's name would be a lie, and no proof that it helps."""
    agent = f"bing-llm/{__version__}"
    headers = {"Accept": "application/json", "Accept-Language": service.locale, "User-Agent": agent}
    if service.cookie_header:
        headers["Cookie"] = service.cookie_header
    if service.ip_address:
        headers["x-forwarded-for"] = service.ip_address
    return Wrapped(headers)


def _refused(exc: UpgradeRefused) -> BingError:
    answer = exc.response
    if answer.status == _OK:
        # Seen from data-centre addresses and without cookies (docs/protocol/chathub.md, section b).
        msg = (
            "The service answered the chat socket with HTTP 200 instead of opening it, as it does to hosts it refuses."
        )
        return Unauthorized(msg, value="200")
    error = error_for_status(answer, "the chat socket", carries_row=False)
    if error is None:
        error = Unauthorized(f"The chat socket was not opened (HTTP {answer.status}).", value=str(answer.status))
    return error


def _check(result: Result | None, what: str) -> None:
    if result is not None and result.value not in {SUCCESS, None}:
        raise error_for(result, what=what)


def _info(chat: dict[str, Any]) -> ConversationInfo:
    return ConversationInfo(str(chat.get("conversationId") or ""), str(chat.get("chatName") or ""), chat)
