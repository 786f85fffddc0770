"""What both protocols of Work IQ share: calls with a token, and the channel that reads the response to a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from bing_llm._secrets import Redactor, Wrapped
from bing_llm._version import __version__
from bing_llm.backends.base import ConversationHandle
from bing_llm.backends.channel import Channel, TurnProtocol
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.response import Response
from bing_llm.backends.transport import Opening, Transport
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.backends.workiq.challenge import Challenge, find_challenge
from bing_llm.limits import Deadline, Timeouts

_OK = 200
_UNAUTHENTICATED = 401

T = TypeVar("T")
C = TypeVar("C", bound=ConversationHandle)


class WarmHandle(Generic[C]):
    """Implements `bing_llm.backends.base.WarmConversation`: it holds no connection, so nothing needs to be kept alive.

    Args:
        handle: The conversation.
    """

    def __init__(self, handle: C) -> None:
        self.handle = handle

    def alive(self) -> bool:
        """Nothing is known of its end."""
        return True

    async def keep_alive(self) -> None:
        """The service has no call for that."""

    def close(self) -> None:
        """Nothing to close; the service has no call to delete a conversation."""


class ResponseProtocol(TurnProtocol, Protocol):
    """A turn whose response may be a stream of events, or one text of JSON."""

    def expect_json(self) -> None:
        """The response is not a stream, but one text of JSON."""


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

Send = Callable[[bytes], Awaitable[None]]
"""Sends a request about the running turn."""


async def _send_nothing(_data: bytes) -> None:
    """Never called for a turn that has no request to send: it has no ping, and an empty `stop`."""
    raise NotImplementedError


Ask = Callable[[Callable[[], None]], Awaitable[ByteStream]]
"""Sends the request of a turn; calls its argument when the request goes out."""


class Calls:
    """Authorized calls of one client.

    Args:
        http: Its connections.
        tokens: Gives the token of each call.
        timeouts: The time limits of each step.
    """

    def __init__(self, http: Http, tokens: TokenSource, timeouts: Timeouts) -> None:
        self._http = http
        self._tokens = tokens
        self._timeouts = timeouts

    @property
    def redact(self) -> Redactor:
        """Takes out of texts what is secret now: tokens, cookies that the service set, passwords of proxies."""
        return Redactor(*self._tokens.secrets, *self._http.secrets)

    async def request(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        *,
        what: str,
        json: object = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Response:
        """One call that is answered at once, with status and body.

        Args:
            method: The HTTP method.
            url: Where to.
            deadline: The end of the operation that it belongs to.
            what: What is asked for, for messages.
            json: What to send as JSON, None for nothing.
            headers: More headers.

        Raises:
            BingError: There is no token, or there was no answer.
        """

        async def call(token: Wrapped[str]) -> Response:
            with deadline.within(self._timeouts.connect) as seconds:
                return await self._http.request(
                    method,
                    url,
                    what=what,
                    seconds=seconds,
                    headers=Wrapped({**_headers(token, "application/json"), **headers}),
                    json=json,
                )

        return await self._authorized(call, deadline)

    async def stream(
        self,
        url: str,
        deadline: Deadline,
        *,
        what: str,
        accept: str,
        json: object,
        sent: Callable[[], None],
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> ByteStream | Response:
        """One POST whose response is read as it comes; with another status than 200, status and body.

        Args:
            url: Where to.
            deadline: The end of the turn.
            what: What is asked for, for messages.
            accept: The media type to ask for.
            json: What to send.
            sent: Called when the request goes out.
            headers: More headers.

        Raises:
            BingError: There is no token, or there was no answer.
        """

        async def call(token: Wrapped[str]) -> ByteStream | Response:
            with deadline.within(self._timeouts.connect) as seconds:
                stream = await self._http.stream(
                    "POST",
                    url,
                    what=what,
                    seconds=seconds,
                    sent=sent,
                    # Not kept for another turn: a loop that is closed without `shutdown_asyncgens` would leave it open.
                    headers=Wrapped({**_headers(token, accept), "Connection": "close", **headers}),
                    json=json,
                )
            return stream if stream.head.status == _OK else await stream.response(self._timeouts.connect)

        return await self._authorized(call, deadline)

    async def open_channel(
        self, turn: ResponseProtocol, ask: Ask, deadline: Deadline, *, send: Send = _send_nothing
    ) -> Channel:
        """Send a turn. What the service answers is the channel's: from then on, the turn may have taken place.

        Args:
            turn: What reads the response.
            ask: Sends the request.
            deadline: The end of the turn.
            send: Sends a request about the running turn.

        Raises:
            BingError: Nothing was sent.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def opened() -> ByteStream:
            stream = await ask(lambda: _settle(sent))
            if "json" in stream.head.headers.get("content-type", ""):
                turn.expect_json()
            return stream

        # The service takes 10 to 60 seconds to its first byte, and it is not known whether the head of the response
        # comes before that. So both are waited for together, by the channel.
        response = Opening(opened, send)
        channel = Channel(Transport(response), turn, self._timeouts, deadline, redact=lambda: self.redact)
        try:
            either: set[asyncio.Future[Any]] = {response.task, sent}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                response.check()
        except BaseException:
            channel.close()
            raise
        return channel

    async def _authorized(self, send: Callable[[Wrapped[str]], Awaitable[T]], deadline: Deadline) -> T:
        """What is answered to a token, or to a fresh one where the first was refused."""
        token = await self._bearer(deadline)
        answered = await send(token)
        if isinstance(answered, Response) and answered.status == _UNAUTHENTICATED:
            self._tokens.forget(token.unwrap())
            fresh = await self._bearer(deadline, find_challenge(answered.headers))
            if fresh != token:
                return await send(fresh)
        return answered

    async def _bearer(self, deadline: Deadline, challenge: Challenge | None = None) -> Wrapped[str]:
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())):  # a credential may wait for its user
                return Wrapped(await self._tokens.bearer(challenge))
        except TimeoutError:
            raise deadline.timed_out() from None


def _headers(token: Wrapped[str], accept: str) -> dict[str, str]:
    return {"Accept": accept, "Authorization": f"Bearer {token.unwrap()}", "User-Agent": f"bing-llm/{__version__}"}


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
