"""What a backend must offer: conversations, and turns that give events. Everything above it only folds events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

import msgspec

from bing_llm.errors import Metering
from bing_llm.events import Event
from bing_llm.limits import Deadline
from bing_llm.messages import Prompt


class ConversationHandle(Protocol):
    """A conversation as the backend knows it; what else it holds is the backend's own, and secret."""

    @property
    def id(self) -> str:
        """The service's id of the conversation."""


class ConversationInfo(msgspec.Struct, frozen=True):
    """One entry of the service's list of conversations. `raw` is what the service sent for it."""

    id: str
    name: str
    raw: dict[str, Any]


class AgentSkill(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an agent can do, in its own words."""

    id: str = ""
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


class AgentCard(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself. All texts are the agent's, and as trustworthy as the agent.

    Attributes:
        name: Its name.
        description: What it is for.
        version: Its own version.
        streaming: Whether it answers in pieces; else each answer comes when it is complete.
        skills: What it can do.
        url: Where it is asked: on the origin of the endpoint.
        raw: The whole card, as parsed JSON.
    """

    name: str = ""
    description: str = ""
    version: str = ""
    streaming: bool = False
    skills: tuple[AgentSkill, ...] = ()
    url: str = ""
    raw: dict[str, Any] = msgspec.field(default_factory=dict)


@runtime_checkable
class AgentBackend(Protocol):
    """A backend that speaks to an agent."""

    async def agent_card(self, deadline: Deadline) -> AgentCard:
        """What the agent says of itself.

        Raises:
            BingError: There is no such agent, the service refused, or it could not be reached.
        """


@runtime_checkable
class RedactingBackend(Protocol):
    """A backend that knows which texts are secret, for whoever keeps what it sent and received."""

    def redactor(self, handle: ConversationHandle | None) -> Callable[[str], str]:
        """Takes out of texts what is secret now: credentials, and what the service set.

        Args:
            handle: The conversation, whose secrets are taken out too; None for none.
        """


class TurnChannel(Protocol):
    """One attempt at one turn. Whoever opened it calls `close` in the end; no other method cleans up."""

    async def next_event(self) -> Event:
        """The next event; `TurnCompleted` is the last.

        Raises:
            BingError: The turn failed. Text that had come before is in `partial_text`.
        """

    def ready_event(self) -> Event | None:
        """The next event if it is there without waiting, else None. Not while `next_event` waits in another task.

        It raises nothing: an error is left for `next_event`. None does not say that `next_event` would wait.
        """

    async def stop(self) -> None:
        """Ask the service to end the answer here. The events go on to `TurnCompleted`, which keeps what came."""

    def close(self) -> None:
        """Close the socket now, without waiting for anything. May be called twice."""


class WarmConversation(Protocol):
    """A conversation that is ready for its first turn, and belongs to the loop on which it was made."""

    @property
    def handle(self) -> ConversationHandle:
        """The conversation."""

    def alive(self) -> bool:
        """Whether it still takes a turn, as far as is known. Looks at what has come, without waiting."""

    async def keep_alive(self) -> None:
        """Tell the service that it is still wanted.

        Raises:
            BingError: The connection is lost.
        """

    def close(self) -> None:
        """Close its connection now, without waiting for anything. May be called twice."""


H = TypeVar("H", bound=ConversationHandle)
W = TypeVar("W", bound=WarmConversation)


class Backend(Protocol[H, W]):
    """One service. Each method is one attempt; retries are the client's.

    It takes only conversations of its own: those that it has opened (`H`), and those that it has made ready (`W`).
    """

    @property
    def prompt_limit(self) -> int:
        """The longest `Prompt.text` that `check_prompt` takes, in characters."""

    @property
    def keeps_context(self) -> bool:
        """Whether a conversation remembers the context of its earlier turns; else each turn must send it again."""

    @property
    def metering(self) -> Metering:
        """What the service says about its turns, for the retry policy."""

    def with_model(self, model: str) -> Self:
        """The same service for another model, over the same connections; to close one is to close both.

        Raises:
            ConfigurationError: The model is not known.
        """

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse a prompt before anything is sent.

        Raises:
            InvalidRequest: The service would not take it.
            PromptTooLong: It is longer than the limit, which the text names.
        """

    async def create_conversation(self, deadline: Deadline) -> H:
        """Open a conversation.

        Raises:
            BingError: The service refused, or could not be reached.
        """

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> H:
        """Take up a conversation that the service keeps.

        Raises:
            BingError: The service refused, or could not be reached.
        """

    async def open_turn(self, handle: H, prompt: Prompt, number: int, deadline: Deadline) -> TurnChannel:
        """Send turn `number` (0 for the first) of a conversation that this backend made.

        Raises:
            ConnectionFailed: Nothing was sent; the same turn may be opened again.
            BingError: The service refused, or the connection was lost.
        """

    async def warm_up(self, deadline: Deadline) -> W:
        """Open a conversation, and all that its first turn needs. Whoever asked for it calls `close`, or `open_warm`.

        Raises:
            BingError: The service refused, or could not be reached.
        """

    async def open_warm(self, warm: W, prompt: Prompt, deadline: Deadline) -> TurnChannel:
        """Send the first turn of a conversation that `warm_up` gave, which is closed where that fails.

        Raises:
            BingError: The service refused, or the connection was lost.
        """

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """The conversations that the service keeps for this account."""

    async def delete_conversation(self, handle: H, deadline: Deadline) -> None:
        """Delete one conversation at the service."""

    async def aclose(self) -> None:
        """Close everything that this backend opened."""


AnyBackend: TypeAlias = Backend[Any, Any]
"""A backend as its client sees it, which hands back what that backend gave and looks at no more than its `id`."""
