"""The Work IQ Chat API over real connections: creation and turns."""

from __future__ import annotations

import asyncio
import copy
from asyncio import timeout
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import msgspec

from bing_llm._secrets import SecretStruct
from bing_llm._version import __version__
from bing_llm.backends.answer import Answer
from bing_llm.backends.base import ConversationInfo
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.workiq.auth import Token, TokenSource
from bing_llm.backends.workiq.channel import WorkIQChannel
from bing_llm.backends.workiq.endpoints import resolve
from bing_llm.backends.workiq.options import WorkIQOptions
from bing_llm.backends.workiq.request import chat_body, create_body
from bing_llm.backends.workiq.results import error_for, parse_creation
from bing_llm.backends.workiq.turn import WorkIQTurn
from bing_llm.config import ConnectionSettings
from bing_llm.errors import UNMETERED, InvalidRequest, ServiceError
from bing_llm.limits import Deadline
from bing_llm.messages import Prompt

__all__ = ["WorkIQBackend", "WorkIQConversation"]

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


class WorkIQBackend:
    """Speaks to one Work IQ service, or to its preview on Microsoft Graph.

    Args:
        connection: Where it is, and how to reach it; cookies and `ip_address` are ChatHub's.
        options: How it shall answer.
        token: The access token, or what gives it.

    Raises:
        ConfigurationError: The endpoint is not allowed, or the token cannot be one for it.
    """

    metering = UNMETERED

    def __init__(self, connection: ConnectionSettings, options: WorkIQOptions, *, token: Token) -> None:
        self._endpoints = resolve(connection.endpoint, allow_insecure=connection.allow_insecure)
        self._options = options
        self._timeouts = connection.timeouts
        self._limits = connection.limits
        self._tokens = TokenSource(token, host=self._endpoints.host)
        self._http = Http(proxy=connection.proxy, trust_env=connection.trust_env, ssl_context=connection.ssl_context)

    @property
    def prompt_limit(self) -> int:
        """The longest prompt, in characters."""
        return self._options.longest_prompt

    @property
    def keeps_context(self) -> bool:
        """False: `additionalContext` is documented as grounding for a message (docs/protocol/workiq.md, section 4)."""
        return False

    def with_model(self, model: str) -> Self:
        """The same service for another model, over the same connections."""
        other = copy.copy(self)
        other._options = self._options.with_model(model)  # noqa: SLF001 - it is of this class
        return other

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse an empty or over-long prompt, and any picture."""
        self._options.check_prompt(prompt.text)
        if prompt.images:
            msg = f"The prompt has images ({len(prompt.images)}); Work IQ takes text alone."
            raise InvalidRequest(msg, hint="Leave them out, or name files on SharePoint or OneDrive with files=.")

    async def create_conversation(self, deadline: Deadline) -> WorkIQConversation:
        """Create a conversation: one POST, answered with its id."""

        async def create(token: str) -> Answer:
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

    async def open_turn(
        self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline
    ) -> WorkIQChannel:
        """Send the turn. What the service answers is the channel's: from then on, the turn may have taken place.

        Raises:
            BingError: Nothing was sent.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        opening = asyncio.create_task(self._ask(handle, prompt, number, deadline, lambda: _settle(sent)))
        turn = WorkIQTurn(
            asked=prompt.text,
            conversation_id=handle.id,
            entity_tags=self._options.entity_tags,
            limits=self._limits,
        )
        channel = WorkIQChannel(opening, turn, self._timeouts, deadline, redact=lambda: self._tokens.redact)
        try:
            either: set[asyncio.Future[Any]] = {opening, sent}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                opening.result()  # raises
        except BaseException:
            channel.close()
            raise
        return channel

    async def warm_up(self, deadline: Deadline) -> WarmWorkIQ:
        """Create a conversation, which is all that goes before a turn."""
        created = await self.create_conversation(deadline)
        return WarmWorkIQ(msgspec.structs.replace(created, taken_up=True))

    async def open_warm(self, warm: WarmWorkIQ, prompt: Prompt, deadline: Deadline) -> WorkIQChannel:
        """Send the turn."""
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    async def _ask(
        self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline, sent: Callable[[], None]
    ) -> ByteStream:
        """The answer to a turn; it is its owner's to abort."""
        what = "the turn"
        over_stream = self._options.over_stream
        accept = "text/event-stream" if over_stream else "application/json"

        async def ask(token: str) -> ByteStream | Answer:
            with deadline.within(self._timeouts.connect) as seconds:
                stream = await self._http.stream(
                    "POST",
                    self._endpoints.turn(handle.id, over_stream=over_stream),
                    what=what,
                    seconds=seconds,
                    sent=sent,
                    # Not kept for another turn: a loop that is closed without `shutdown_asyncgens` would leave it open.
                    headers={**_headers(token, accept), "Connection": "close"},
                    json=chat_body(prompt, self._options),
                )
            return stream if stream.head.status == _OK else await stream.answer(self._timeouts.connect)

        answered = await self._authorized(ask, deadline)
        if isinstance(answered, ByteStream):
            return answered
        error = error_for(answered, what, reused=handle.taken_up or number > 0)
        if error is None:
            error = ServiceError(f"The service answered {what} with HTTP {answered.status}, which is no answer to it.")
        with self._tokens.redact.errors():
            raise error

    async def _authorized(self, send: Callable[[str], Awaitable[T]], deadline: Deadline) -> T:
        """What is answered to a token, or to a fresh one where the first was refused."""
        token = await self._bearer(deadline)
        answered = await send(token)
        if isinstance(answered, Answer) and answered.status == _UNAUTHENTICATED:
            self._tokens.forget(token)
            fresh = await self._bearer(deadline)
            if fresh != token:
                return await send(fresh)
        return answered

    async def _bearer(self, deadline: Deadline) -> str:
        try:
            async with timeout(max(0.0, deadline.remaining())):  # a credential may wait for its user
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
