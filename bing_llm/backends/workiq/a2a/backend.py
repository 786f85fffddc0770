"""Work IQ's agents over real connections: cards, turns, and turns that go on after their connection broke."""

from __future__ import annotations

import asyncio
import copy
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

import msgspec

from bing_llm import events as ev
from bing_llm.backends.base import AgentCard, ConversationInfo
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.workiq.a2a.answer import AgentConversation, TaskReader
from bing_llm.backends.workiq.a2a.cards import WELL_KNOWN, agent_base, default_card, parse_card
from bing_llm.backends.workiq.a2a.wire import VERSION_HEADERS, Method, message_request, task_request
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.backends.workiq.calls import Calls
from bing_llm.backends.workiq.errors import error_for
from bing_llm.backends.workiq.options import resolve_a2a
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import (
    BingError,
    ConnectionLost,
    InvalidRequest,
    Metering,
    ServiceError,
    rule_for,
)
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import WorkIQ

_NOT_FOUND = 404

_WAITS: Final = (0.0, 0.5, 2.0)
"""Seconds before each attempt to take up a task again: a connection that broke is often back within seconds."""

_MOST_SUBSCRIPTIONS: Final = 20  # that brought something, of one turn: a service may break each connection


class WarmAgent:
    """Implements `bing_llm.backends.base.WarmConversation`: all that can be ready is the agent's card.

    Args:
        handle: The conversation, which the service does not know yet.
    """

    def __init__(self, handle: AgentConversation) -> None:
        self.handle = handle

    def alive(self) -> bool:
        """There is nothing that could end."""
        return True

    async def keep_alive(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to close."""


class A2ABackend:
    """Speaks to one agent of Work IQ, or to Copilot itself.

    Args:
        service: Where it is, which agent, how to reach it, and how it answers.
        timeouts: The time limits of each step.
        limits: How much is taken of what the service sends.
        clock: The time, in seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        ConfigurationError: The endpoint is not allowed, or the token cannot be one for it.
    """

    metering = Metering(metered=True, throttling_passes=True)

    def __init__(
        self,
        service: WorkIQ,
        *,
        timeouts: Timeouts,
        limits: Limits,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = resolve_a2a(service.endpoint, allow_insecure=service.allow_insecure)
        self._service = service
        self._timeouts = timeouts
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._http = Http(proxy=service.proxy, trust_env=service.trust_env, ssl_context=service.ssl_context)
        tokens = TokenSource(service.token, host=self._endpoint.host)
        self._calls = Calls(self._http, tokens, timeouts)
        self._card = _CardKeeper(self._fetch_card)

    @property
    def prompt_limit(self) -> int:
        """The longest prompt, in characters."""
        return self._service.longest_prompt

    @property
    def keeps_context(self) -> bool:
        """True: the context is a part of the message, and an agent remembers its messages."""
        return True

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
            raise InvalidRequest(msg, hint="Leave them out.")

    async def agent_card(self, deadline: Deadline) -> AgentCard:
        """What the agent says of itself; asked for once, and kept.

        Raises:
            InvalidRequest: There is no such agent.
            ProtocolError: Its card cannot be used.
            BingError: The service refused, or could not be reached.
        """
        return await self._card.get(deadline)

    async def _fetch_card(self, deadline: Deadline) -> AgentCard:
        agent, base = self._service.agent, self._endpoint.base
        what = "the agent card" if agent is None else f"the card of the agent {agent!r}"
        url = f"{agent_base(base, agent)}{WELL_KNOWN}"
        answer = await self._calls.request("GET", url, deadline, what=what, headers=VERSION_HEADERS)
        with self._calls.redact.errors():
            if answer.status == _NOT_FOUND:
                if agent is None:
                    return default_card(base)
                msg = f"The service knows no agent {agent!r} (HTTP {answer.status})."
                raise InvalidRequest(msg, hint="Check the id: `bing-llm agents` says where it is found.", value="404")
            if (error := error_for(answer, what)) is not None:
                raise error
            return parse_card(answer.body, base)

    async def create_conversation(self, deadline: Deadline) -> AgentConversation:
        """A new conversation. The service names it in its first answer; before, only the agent's card is asked for.

        Raises:
            BingError: As `agent_card`.
        """
        await self._card.get(deadline)
        return AgentConversation()

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> AgentConversation:  # noqa: ARG002 - nothing is asked
        """Take up a conversation by its id. Nothing is sent: only a turn can show whether the service has it."""
        return AgentConversation(conversation_id)

    async def open_turn(
        self, handle: AgentConversation, prompt: Prompt, number: int, deadline: Deadline
    ) -> TaskChannel:
        """Send the turn. What the service answers is the channel's: from then on, the turn may have taken place.

        Raises:
            BingError: Nothing was sent.
        """
        card = await self._card.get(deadline)
        reader = TaskReader(
            handle,
            entity_tags=self._service.entity_tags,
            citation_markers=self._service.citation_markers,
            limits=self._limits,
        )
        streaming = card.streaming and self._service.over_stream
        request = message_request(
            prompt,
            streaming=streaming,
            context_id=handle.id,
            task_id=handle.task_id,
            time_zone=self._service.time_zone,
            now=self._clock(),
        )
        used = number > 0 or bool(handle.id)
        channel = TaskChannel(self._calls, card.url, reader, self._limits, deadline, used=used, sleep=self._sleep)
        await channel.open(request, streaming=streaming)
        return channel

    async def warm_up(self, deadline: Deadline) -> WarmAgent:
        """Ask for the agent's card, which is all that goes before a turn."""
        return WarmAgent(await self.create_conversation(deadline))

    async def open_warm(self, warm: WarmAgent, prompt: Prompt, deadline: Deadline) -> TaskChannel:
        """Send the turn."""
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:  # noqa: ARG002 - of all backends
        """Refused: the service has no such call."""
        _refuse("tell which conversations it keeps")

    async def delete_conversation(self, handle: AgentConversation, deadline: Deadline) -> None:  # noqa: ARG002 - as above
        """Refused: the service has no such call."""
        _refuse("delete a conversation")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class TaskChannel:
    """One turn of an agent. Implements `bing_llm.backends.base.TurnChannel`.

    Each connection of it is a `Channel`. If one breaks after the service named the task, the next one goes on with the
    task, which costs nothing: the message is sent once.

    Args:
        calls: The calls of the client.
        url: Where the agent is asked.
        reader: What reads all responses.
        limits: How much is taken of what the service sends.
        deadline: The end of the whole turn.
        used: Whether the conversation was used before, and may be gone.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        calls: Calls,
        url: str,
        reader: TaskReader,
        limits: Limits,
        deadline: Deadline,
        *,
        used: bool,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._calls = calls
        self._url = url
        self._reader = reader
        self._turn = Turn(reader, limits)
        self._deadline = deadline
        self._used = used
        self._sleep = sleep
        self._channel: Channel | None = None
        self._closed = False
        self._stop_asked = False
        self._lost: BingError | None = None  # how the first connection ended, once it did
        self._method: Method = "SubscribeToTask"
        self._attempts = 0  # at this method, since something came
        self._subscriptions = 0
        self._results = 0  # that had come when the last connection was opened

    async def open(self, request: dict[str, object], *, streaming: bool) -> None:
        """Send a request whose response goes on with the turn.

        Raises:
            BingError: Nothing was sent.
        """
        accept = "text/event-stream" if streaming else "application/json"

        async def ask(sent: Callable[[], None]) -> ByteStream:
            what = "the turn"
            answered = await self._calls.stream(
                self._url, self._deadline, what=what, accept=accept, json=request, sent=sent, headers=VERSION_HEADERS
            )
            if isinstance(answered, ByteStream):
                return answered
            error = error_for(answered, what, reused=self._used)
            if error is None:
                error = ServiceError(f"The service answered {what} with HTTP {answered.status}.")
            with self._calls.redact.errors():
                raise error

        opened = await self._calls.open_channel(self._turn, ask, self._deadline, send=self._cancel)
        if self._closed:  # by another task, during the wait
            opened.close()
        self._channel = opened

    async def next_event(self) -> ev.Event:
        """The next event; `TurnCompleted` is the last.

        Raises:
            BingError: The turn failed.
        """
        while True:
            assert self._channel is not None  # noqa: S101 - `open` was called
            try:
                return await self._channel.next_event()
            except BingError as exc:
                failure = exc
            await self._go_on(failure)

    def ready_event(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None; an error is left for `next_event`."""
        return None if self._channel is None else self._channel.ready_event()

    async def stop(self) -> None:
        """Have the service cancel the task. The events go on to `TurnCompleted`, which keeps what came."""
        self._stop_asked = True
        if self._channel is not None:
            await self._channel.stop()

    def close(self) -> None:
        """Close the connection now, without waiting for anything. May be called twice."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    async def _cancel(self, request: bytes) -> None:
        """Send the request that cancels the task. If that fails, the channel ends the answer by its own limit."""
        with suppress(BingError):
            await self._calls.request(
                "POST",
                self._url,
                self._deadline,
                what="the end of a task",
                json=msgspec.json.decode(request),
                headers=VERSION_HEADERS,
            )

    async def _go_on(self, failure: BingError) -> None:
        """Take up the task on another connection.

        Raises:
            BingError: The failure, which no other connection would mend; or, after all attempts, the loss of the first.
        """
        while True:
            self._choose_method(failure)
            await self._sleep(_WAITS[self._attempts])
            self._attempts += 1
            assert self._channel is not None  # noqa: S101 - it has failed
            self._channel.close()
            self._turn.resume()
            self._results = self._reader.results
            try:
                request = task_request(self._method, self._reader.task_id)
                await self.open(request, streaming=self._method == "SubscribeToTask")
            except BingError as exc:
                failure = exc
                continue
            if self._stop_asked:
                await self._channel.stop()
            return

    def _choose_method(self, failure: BingError) -> None:
        """Choose how to go on: subscribe to the task, or else ask for it as it is.

        Raises:
            BingError: There is no way.
        """
        reader = self._reader
        is_lost = isinstance(failure, ConnectionLost)
        if self._lost is None:
            if not is_lost or not reader.task_id or reader.ended:
                raise failure
            self._lost = failure
        elif reader.ended or self._closed:
            raise failure
        elif reader.results > self._results:  # the task went on
            self._subscriptions += 1
            if not is_lost:
                raise failure
            if self._method == "GetTask" or self._subscriptions >= _MOST_SUBSCRIPTIONS:
                self._give_up(failure)
            self._attempts = 0
        elif self._method == "SubscribeToTask" and not (rule_for(failure).transient and self._attempts < len(_WAITS)):
            self._method, self._attempts = "GetTask", 0
        elif self._method == "GetTask" and self._attempts:
            self._give_up(failure)
        if self._deadline.remaining() <= _WAITS[self._attempts]:
            self._give_up(failure)

    def _give_up(self, failure: BingError) -> NoReturn:
        lost = self._lost or failure
        lost.partial_text = self._reader.text
        raise lost from None if failure is lost else failure


class _CardKeeper:
    """Asks for a card once, however many turns begin at the same time. It may be used on several event loops."""

    def __init__(self, fetch: Callable[[Deadline], Awaitable[AgentCard]]) -> None:
        self._fetch = fetch
        self._card: AgentCard | None = None
        # A lock belongs to one loop.
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    async def get(self, deadline: Deadline) -> AgentCard:
        """The card.

        Raises:
            BingError: It could not be had; it is asked for again the next time.
        """
        if self._card is None:
            async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                if self._card is None:
                    self._card = await self._fetch(deadline)
        return self._card


def _refuse(what: str) -> NoReturn:
    msg = f"Work IQ offers no call to {what}."
    raise InvalidRequest(msg, hint="The user finds the conversations in Microsoft 365 Copilot's own history.")
