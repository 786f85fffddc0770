"""The synchronous twin of the client: the same calls without `async`, on the one background loop.

Usable inside a running loop too (Jupyter), which is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import Parameter, Signature, signature
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self

from bing_llm.client import BingClient
from bing_llm.conversation import Conversation
from bing_llm.events import Event, Quota, Reply
from bing_llm.images import ImageSource
from bing_llm.limits import Retries
from bing_llm.sync import Steps, run
from bing_llm.turn import TurnStream

if TYPE_CHECKING:
    from bing_llm.backends.base import ConversationInfo

__all__ = ["SyncBingClient", "SyncConversation", "SyncTurnStream"]


class SyncTurnStream:
    """`TurnStream` without `async`: a context manager and an iterator of events."""

    def __init__(self, turn: TurnStream) -> None:
        self._turn = turn
        self._events = Steps(turn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    @property
    def text(self) -> Iterator[str]:
        """The answer, piece by piece, never to be recalled; see `TurnStream.text`."""
        return Steps(self._turn.text)

    def reply(self) -> Reply:
        """The whole answer; takes what is left of the turn first. Raises as `TurnStream.reply`."""
        return run(self._turn.reply())

    def stop(self) -> None:
        """Ask the service to end the answer here; what came is kept. Raises as `TurnStream.stop`."""
        run(self._turn.stop())

    def close(self) -> None:
        """Close the socket now. May be called twice."""
        run(self._turn.aclose())


class SyncConversation:
    """`Conversation` without `async`."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    @property
    def id(self) -> str:
        """The service's id of this conversation."""
        return self._conversation.id

    @property
    def quota(self) -> Quota | None:
        """Turns used and allowed, as the service last said; None before the first reply."""
        return self._conversation.quota

    @property
    def ended(self) -> bool:
        """Whether the service takes no further turn."""
        return self._conversation.ended

    def __repr__(self) -> str:
        return f"Sync{self._conversation!r}"

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> SyncTurnStream:
        """The next turn; see `Conversation.stream`."""
        return SyncTurnStream(self._conversation.stream(prompt, context=context, images=images))

    def ask(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> Reply:
        """The next turn's whole answer; see `Conversation.ask`."""
        return run(self._conversation.ask(prompt, context=context, images=images))

    def delete(self) -> None:
        """Delete this conversation at the service; see `Conversation.delete`."""
        run(self._conversation.delete())


P = ParamSpec("P")


def _arguments_of(
    source: Callable[P, Any],
) -> Callable[[Callable[..., None]], Callable[Concatenate[SyncBingClient, P], None]]:
    """Gives an `__init__` the signature of another class, for type checkers and for `help`."""

    def mark(init: Callable[..., None]) -> Callable[Concatenate[SyncBingClient, P], None]:
        parameters = [
            Parameter("self", Parameter.POSITIONAL_OR_KEYWORD),
            *signature(source).parameters.values(),
        ]
        init.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return init

    return mark


class SyncBingClient:
    """`BingClient` without `async`; the same arguments. Close it with `with` or `close()`."""

    @_arguments_of(BingClient)
    def __init__(self, **settings: Any) -> None:
        self._client = BingClient(**settings)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._client.model

    @property
    def prompt_limit(self) -> int:
        """The longest prompt that the model takes, in characters; see `BingClient.prompt_limit`."""
        return self._client.prompt_limit

    def with_options(self, *, model: str | None = None, retries: Retries | None = None) -> Self:
        """The same client with other options, over the same connections; see `BingClient.with_options`."""
        derived = type(self).__new__(type(self))
        derived._client = self._client.with_options(model=model, retries=retries)  # noqa: SLF001 - it is of this class
        return derived

    def __repr__(self) -> str:
        return f"Sync{self._client!r}"

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> SyncTurnStream:
        """A turn in a conversation of its own; see `BingClient.stream`."""
        return SyncTurnStream(self._client.stream(prompt, context=context, images=images))

    def ask(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> Reply:
        """The whole answer to one prompt; see `BingClient.ask`."""
        return run(self._client.ask(prompt, context=context, images=images))

    def create_conversation(self) -> SyncConversation:
        """A conversation whose turns the service remembers; see `BingClient.create_conversation`."""
        return SyncConversation(run(self._client.create_conversation()))

    def list_conversations(self) -> list[ConversationInfo]:
        """The conversations that the service keeps for these cookies; see `BingClient.list_conversations`."""
        return run(self._client.list_conversations())

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation of that list; see `BingClient.delete_conversation`."""
        run(self._client.delete_conversation(conversation_id))

    def close(self) -> None:
        """Close every connection that this client opened. May be called twice."""
        run(self._client.aclose())

    def __enter__(self) -> Self:
        run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
