"""Work IQ's agents over real connections: their cards, and their turns."""

from __future__ import annotations

import asyncio
import copy
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, Self

from bing_llm._secrets import Redactor
from bing_llm.backends.base import AgentCard, ConversationHandle, ConversationInfo
from bing_llm.backends.http import Http
from bing_llm.backends.workiq.a2a.answer import AgentConversation, TaskReader
from bing_llm.backends.workiq.a2a.cards import WELL_KNOWN, agent_base, default_card, parse_card
from bing_llm.backends.workiq.a2a.channel import TaskChannel
from bing_llm.backends.workiq.a2a.wire import PLACE_HINT, VERSION_HEADERS, message_request
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.backends.workiq.calls import Calls, WarmHandle
from bing_llm.backends.workiq.errors import error_for
from bing_llm.backends.workiq.options import resolve_a2a
from bing_llm.errors import InvalidRequest, Metering
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import WorkIQ

_NOT_FOUND = 404


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
            if (error := error_for(answer, what, carries_row=False, place_hint=PLACE_HINT)) is not None:
                raise error
            return parse_card(answer.body, url)

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
        channel = TaskChannel(
            self._calls,
            card.url,
            reader,
            self._limits,
            deadline,
            used=used,
            timeouts=self._timeouts,
            sleep=self._sleep,
        )
        await channel.open(request, streaming=streaming)
        return channel

    async def warm_up(self, deadline: Deadline) -> WarmHandle[AgentConversation]:
        """Ask for the agent's card, which is all that goes before a turn."""
        return WarmHandle(await self.create_conversation(deadline))

    async def open_warm(self, warm: WarmHandle[AgentConversation], prompt: Prompt, deadline: Deadline) -> TaskChannel:
        """Send the turn."""
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    def redactor(self, handle: ConversationHandle | None) -> Redactor:  # noqa: ARG002 - a conversation has no secrets
        """Takes out tokens, cookies that the service set, and passwords of proxies."""
        return self._calls.redact

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:  # noqa: ARG002 - of all backends
        """Refused: the service has no such call."""
        _refuse("tell which conversations it keeps")

    async def delete_conversation(self, handle: AgentConversation, deadline: Deadline) -> None:  # noqa: ARG002 - as above
        """Refused: the service has no such call."""
        _refuse("delete a conversation")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


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
