"""The Work IQ Chat API over real connections: creation and turns."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar

import msgspec

from bing_llm._secrets import SecretStruct
from bing_llm._version import __version__
from bing_llm.backends.base import ConversationInfo
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.response import Response
from bing_llm.backends.transport import End, Transport
from bing_llm.backends.workiq.answer import AnswerReader
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.backends.workiq.errors import error_for, parse_creation
from bing_llm.backends.workiq.options import resolve
from bing_llm.backends.workiq.request import chat_body, create_body
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import UNMETERED, InvalidRequest, ServiceError
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import WorkIQ

_OK = 200
_UNAUTHENTICATED = 401

T = TypeVar("T")


class WorkIQConversation(SecretStruct, frozen=True):
    """A conversation. Its id is of no use without a token.

    Attributes:
        id: The service's id.
        taken_up: Whether it was not made just now, and so may have expired before its first turn here.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ("id", "taken_up")

    id: str
    taken_up: bool = False


class WarmWorkIQ:
    """Implements `bing_llm.backends.base.WarmConversation`: it holds no connection, and nothing needs to be kept alive.

    Args:
        handle: The conversation.
    """

    def __init__(self, handle: WorkIQConversation) -> None:
        self.handle = handle

    def alive(self) -> bool:
        """Nothing is known of its end."""
        return True

    async def keep_alive(self) -> None:
        """The service has no call for that."""

    def close(self) -> None:
        """Nothing to close; the service has no call to delete it."""


class _Response:
    """The response to one turn, as a connection. Implements `bing_llm.backends.transport.Connection`.

    The service takes 10 to 60 seconds to its first byte, and it is not known whether the head of the response comes
    before that. So the request is sent when the first piece is asked for, and both are waited for together.

    Args:
        ask: Sends the request; the response is the connection's.
        turn: What reads it, and must know whether it is a stream.
    """

    def __init__(self, ask: Callable[[], Awaitable[ByteStream]], turn: Turn) -> None:
        self._ask = ask
        self._turn = turn
        self._stream: ByteStream | None = None
        self._left = False

    async def read(self) -> bytes | End:
        """Wait for the response, and then for what has come of it since."""
        if self._stream is None:
            self._stream = await self._ask()
            if self._left:  # what gives the token may not let itself be cancelled
                self._stream.abort()
            if "json" in self._stream.head.headers.get("content-type", ""):
                self._turn.expect_json()
        return await self._stream.read()

    async def send(self, data: bytes) -> None:
        """Nothing is sent after the request: `Turn` has no ping, and an empty `stop`. So this is never called."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the connection now, unless the response is at its end. May be called twice."""
        self._left = True
        if self._stream is not None:
            self._stream.abort()

    hang_up = abort


class WorkIQBackend:
    """Speaks to one Work IQ service, or to its preview on Microsoft Graph.

    Args:
        service: Where it is, how to reach it, and how it answers.
        timeouts: The time limits of each step.
        limits: How much is taken of what the service sends.

    Raises:
        ConfigurationError: The endpoint is not allowed, or the token cannot be one for it.
    """

    metering = UNMETERED

    def __init__(self, service: WorkIQ, *, timeouts: Timeouts, limits: Limits) -> None:
        self._endpoints = resolve(service.endpoint, allow_insecure=service.allow_insecure)
        self._service = service
        self._timeouts = timeouts
        self._limits = limits
        self._tokens = TokenSource(service.token, host=self._endpoints.host)
        self._http = Http(proxy=service.proxy, trust_env=service.trust_env, ssl_context=service.ssl_context)

    @property
    def prompt_limit(self) -> int:
        """The longest prompt, in characters."""
        return self._service.longest_prompt

    @property
    def keeps_context(self) -> bool:
        """False: `additionalContext` is documented as grounding for a message (docs/protocol/workiq.md, section 4)."""
        return False

    def with_model(self, model: str) -> Self:
        """The same service for another model, over the same connections."""
        other = copy.copy(self)
        other._service = self._service.with_model(model)  # noqa: SLF001 - it is of this class
        return other

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse an empty or over-long prompt, and any picture."""
        self._service.check_prompt(prompt.text)
        if prompt.images:
            msg = f"The prompt has images ({len(prompt.images)}); Work IQ takes text alone."
            raise InvalidRequest(
                msg, hint="Leave them out; in Python, name files on SharePoint or OneDrive with files=."
            )

    async def create_conversation(self, deadline: Deadline) -> WorkIQConversation:
        """Create a conversation: one POST, answered with its id."""

        async def create(token: str) -> Response:
            with deadline.within(self._timeouts.connect) as seconds:
                return await self._http.request(
                    "POST",
                    self._endpoints.create,
                    what="the creation of a conversation",
                    seconds=seconds,
                    headers=_headers(token, "application/json"),
                    json=create_body(),
                )

        answer = await self._authorized(create, deadline)
        with self._tokens.redact.errors():
            return WorkIQConversation(parse_creation(answer))

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> WorkIQConversation:  # noqa: ARG002 - nothing is asked
        """Take up a conversation by its id. Nothing is sent: only a turn can show whether the service has it."""
        return WorkIQConversation(conversation_id, taken_up=True)

    async def open_turn(self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline) -> Channel:
        """Send the turn. What the service answers is the channel's: from then on, the turn may have taken place.

        Raises:
            BingError: Nothing was sent.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reader = AnswerReader(
            asked=prompt.text,
            conversation_id=handle.id,
            entity_tags=self._service.entity_tags,
            citation_markers=self._service.citation_markers,
            limits=self._limits,
        )
        turn = Turn(reader, self._limits)
        ask = partial(self._ask, handle, prompt, number, deadline, lambda: _settle(sent))
        transport = Transport(_Response(ask, turn))
        channel = Channel(transport, turn, self._timeouts, deadline, redact=lambda: self._tokens.redact)
        try:
            either: set[asyncio.Future[Any]] = {transport.reader, sent}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                transport.ready()  # raises
        except BaseException:
            channel.close()
            raise
        return channel

    async def warm_up(self, deadline: Deadline) -> WarmWorkIQ:
        """Create a conversation, which is all that goes before a turn."""
        created = await self.create_conversation(deadline)
        return WarmWorkIQ(msgspec.structs.replace(created, taken_up=True))

    async def open_warm(self, warm: WarmWorkIQ, prompt: Prompt, deadline: Deadline) -> Channel:
        """Send the turn."""
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    async def _ask(
        self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline, sent: Callable[[], None]
    ) -> ByteStream:
        """The answer to a turn; it is its owner's to abort."""
        what = "the turn"
        over_stream = self._service.over_stream
        accept = "text/event-stream" if over_stream else "application/json"

        async def ask(token: str) -> ByteStream | Response:
            with deadline.within(self._timeouts.connect) as seconds:
                stream = await self._http.stream(
                    "POST",
                    self._endpoints.turn(handle.id, over_stream=over_stream),
                    what=what,
                    seconds=seconds,
                    sent=sent,
                    # Not kept for another turn: a loop that is closed without `shutdown_asyncgens` would leave it open.
                    headers={**_headers(token, accept), "Connection": "close"},
                    json=chat_body(prompt, self._service),
                )
            return stream if stream.head.status == _OK else await stream.response(self._timeouts.connect)

        answered = await self._authorized(ask, deadline)
        if isinstance(answered, ByteStream):
            return answered
        error = error_for(answered, what, reused=handle.taken_up or number > 0)
        if error is None:
            error = ServiceError(f"The service answered {what} with HTTP {answered.status}, which does not answer it.")
        with self._tokens.redact.errors():
            raise error

    async def _authorized(self, send: Callable[[str], Awaitable[T]], deadline: Deadline) -> T:
        """What is answered to a token, or to a fresh one where the first was refused."""
        token = await self._bearer(deadline)
        answered = await send(token)
        if isinstance(answered, Response) and answered.status == _UNAUTHENTICATED:
            self._tokens.forget(token)
            fresh = await self._bearer(deadline)
            if fresh != token:
                return await send(fresh)
        return answered

    async def _bearer(self, deadline: Deadline) -> str:
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())):  # a credential may wait for its user
                return await self._tokens.bearer()
        except TimeoutError:
            raise deadline.timed_out() from None

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:  # noqa: ARG002 - of all backends
        """Refused: the service has no such call."""
        _refuse("tell which conversations it keeps")

    async def delete_conversation(self, handle: WorkIQConversation, deadline: Deadline) -> None:  # noqa: ARG002 - as above
        """Refused: the service has no such call."""
        _refuse("delete a conversation")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _headers(token: str, accept: str) -> dict[str, str]:
    return {"Accept": accept, "Authorization": f"Bearer {token}", "User-Agent": f"bing-llm/{__version__}"}


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _refuse(what: str) -> NoReturn:
    msg = f"Work IQ offers no call to {what}."
    raise InvalidRequest(msg, hint="The user finds the conversations in Microsoft 365 Copilot's own history.")
