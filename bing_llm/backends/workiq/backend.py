"""The Work IQ Chat API over real connections: creation and turns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

import msgspec

from bing_llm._secrets import Redactor, SecretStruct
from bing_llm.backends.base import ConversationHandle, ConversationInfo
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.workiq.answer import AnswerReader
from bing_llm.backends.workiq.auth import TokenSource, is_graph
from bing_llm.backends.workiq.calls import Calls, WarmHandle
from bing_llm.backends.workiq.errors import error_for, parse_creation
from bing_llm.backends.workiq.options import resolve
from bing_llm.backends.workiq.request import chat_body, create_body
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import InvalidRequest, Metering, ServiceError
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import WorkIQ


class WorkIQConversation(SecretStruct, frozen=True):
    """A conversation. Its id is of no use without a token.

    Attributes:
        id: The service's id.
        taken_up: Whether it was not made just now, and so may have expired before its first turn here.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ("id", "taken_up")

    id: str
    taken_up: bool = False


class WorkIQBackend:
    """Speaks to one Work IQ service, or to its preview on Microsoft Graph.

    Args:
        service: Where it is, how to reach it, and how it answers.
        timeouts: The time limits of each step.
        limits: How much is taken of what the service sends.

    Raises:
        ConfigurationError: The endpoint is not allowed, or the token cannot be one for it.
    """

    def __init__(self, service: WorkIQ, *, timeouts: Timeouts, limits: Limits) -> None:
        self._endpoints = resolve(service.endpoint, allow_insecure=service.allow_insecure)
        self._service = service
        self._limits = limits
        self._http = Http(proxy=service.proxy, trust_env=service.trust_env, ssl_context=service.ssl_context)
        tokens = TokenSource(service.token, host=self._endpoints.host)
        self._calls = Calls(self._http, tokens, timeouts)

    @property
    def prompt_limit(self) -> int:
        """The longest prompt, in characters."""
        return self._service.longest_prompt

    @property
    def keeps_context(self) -> bool:
        """False: `additionalContext` is documented as grounding for a message (docs/protocol/workiq.md, section 4)."""
        return False

    @property
    def metering(self) -> Metering:
        """Work IQ charges for each turn, Microsoft Graph for none (docs/protocol/workiq.md, section 3).

        Limits of either end within seconds or minutes (section 12).
        """
        return Metering(metered=not is_graph(self._endpoints.host), throttling_passes=True)

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
        answer = await self._calls.request(
            "POST", self._endpoints.create, deadline, what="the creation of a conversation", json=create_body()
        )
        with self._calls.redact.errors():
            return WorkIQConversation(parse_creation(answer))

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> WorkIQConversation:  # noqa: ARG002 - nothing is asked
        """Take up a conversation by its id. Nothing is sent: only a turn can show whether the service has it."""
        return WorkIQConversation(conversation_id, taken_up=True)

    async def open_turn(self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline) -> Channel:
        """Send the turn. What the service answers is the channel's: from then on, the turn may have taken place.

        Raises:
            BingError: Nothing was sent.
        """
        reader = AnswerReader(
            asked=prompt.text,
            conversation_id=handle.id,
            entity_tags=self._service.entity_tags,
            citation_markers=self._service.citation_markers,
            limits=self._limits,
        )
        turn = Turn(reader, self._limits)
        return await self._calls.open_channel(turn, partial(self._ask, handle, prompt, number, deadline), deadline)

    async def warm_up(self, deadline: Deadline) -> WarmHandle[WorkIQConversation]:
        """Create a conversation, which is all that goes before a turn."""
        created = await self.create_conversation(deadline)
        return WarmHandle(msgspec.structs.replace(created, taken_up=True))

    async def open_warm(self, warm: WarmHandle[WorkIQConversation], prompt: Prompt, deadline: Deadline) -> Channel:
        """Send the turn."""
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    async def _ask(
        self, handle: WorkIQConversation, prompt: Prompt, number: int, deadline: Deadline, sent: Callable[[], None]
    ) -> ByteStream:
        """The answer to a turn; it is its owner's to abort."""
        what = "the turn"
        over_stream = self._service.over_stream
        accept = "text/event-stream" if over_stream else "application/json"
        answered = await self._calls.stream(
            self._endpoints.turn(handle.id, over_stream=over_stream),
            deadline,
            what=what,
            accept=accept,
            json=chat_body(prompt, self._service),
            sent=sent,
        )
        if isinstance(answered, ByteStream):
            return answered
        error = error_for(answered, what, reused=handle.taken_up or number > 0)
        if error is None:
            error = ServiceError(f"The service answered {what} with HTTP {answered.status}, which does not answer it.")
        with self._calls.redact.errors():
            raise error

    def redactor(self, handle: ConversationHandle | None) -> Redactor:  # noqa: ARG002 - a conversation has no secrets
        """Takes out tokens, cookies that the service set, and passwords of proxies."""
        return self._calls.redact

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:  # noqa: ARG002 - of all backends
        """Refused: the service has no such call."""
        _refuse("tell which conversations it keeps")

    async def delete_conversation(self, handle: WorkIQConversation, deadline: Deadline) -> None:  # noqa: ARG002 - as above
        """Refused: the service has no such call."""
        _refuse("delete a conversation")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _refuse(what: str) -> NoReturn:
    msg = f"Work IQ offers no call to {what}."
    raise InvalidRequest(msg, hint="The user finds the conversations in Microsoft 365 Copilot's own history.")
