"""The synchronous twin of the client: the same calls without `async`, on the one background loop.

Usable inside a running loop too (Jupyter), which is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from bing_llm.client import BingClient
from bing_llm.conversation import Conversation
from bing_llm.errors import ConfigurationError
from bing_llm.events import Event, Quota
from bing_llm.images import ImageSource
from bing_llm.limits import Retries
from bing_llm.services import Service
from bing_llm.sync import Steps, run
from bing_llm.turn import TurnStream

P = ParamSpec("P")
A = TypeVar("A")
R = TypeVar("R")


class _Twin(Generic[A]):
    """An object whose calls are those of an asynchronous one."""

    def __init__(self, asynchronous: A) -> None:
        self._async = asynchronous

    def __repr__(self) -> str:
        asynchronous = vars(self).get("_async")  # not there while it is made
        return f"<{type(self).__name__}>" if asynchronous is None else f"Sync{asynchronous!r}"


def _blocking(method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[_Twin[A], P], R]:
    """The same method without `async`: it runs on the background loop. Arguments, docstring and types are the same."""

    @wraps(method)
    def call(self: _Twin[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run(method(self._async, *args, **kwargs))

    return call


class SyncTurnStream(_Twin[TurnStream]):
    """`TurnStream` without `async`: a context manager and an iterator of events."""

    reply = _blocking(TurnStream.reply)
    stop = _blocking(TurnStream.stop)

    def __init__(self, turn: TurnStream) -> None:
        super().__init__(turn)
        self._events = Steps(turn)

    def close(self) -> None:
        """Close the socket now. May be called twice."""
        run(self._async.aclose())

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
        return Steps(self._async.text)


class SyncConversation(_Twin[Conversation]):
    """`Conversation` without `async`."""

    ask = _blocking(Conversation.ask)
    delete = _blocking(Conversation.delete)

    @property
    def id(self) -> str:
        """The service's id of this conversation."""
        return self._async.id

    @property
    def quota(self) -> Quota | None:
        """Turns used and allowed, as the service last said; None before the first reply."""
        return self._async.quota

    @property
    def ended(self) -> bool:
        """Whether the service takes no further turn."""
        return self._async.ended

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> SyncTurnStream:
        """The next turn; see `Conversation.stream`."""
        return SyncTurnStream(self._async.stream(prompt, context=context, images=images))


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


class SyncBingClient(_Twin[BingClient]):
    """`BingClient` without `async`; the same arguments. Close it with `with` or `close()`."""

    ask = _blocking(BingClient.ask)
    agent_card = _blocking(BingClient.agent_card)
    list_conversations = _blocking(BingClient.list_conversations)
    delete_conversation = _blocking(BingClient.delete_conversation)
    close = _blocking(BingClient.aclose)

    @_arguments_of(BingClient)
    def __init__(self, *service: Any, **settings: Any) -> None:
        try:
            super().__init__(BingClient(*service, **settings))
        except ConfigurationError:
            settings.clear()  # as BingClient does
            raise

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._async.model

    @property
    def prompt_limit(self) -> int:
        """The longest prompt that the model takes, in characters; see `BingClient.prompt_limit`."""
        return self._async.prompt_limit

    def with_options(
        self, *, model: str | None = None, retries: Retries | None = None, timeout: float | None = None
    ) -> Self:
        """The same client with other options, over the same connections; see `BingClient.with_options`."""
        derived = type(self).__new__(type(self))
        derived._async = self._async.with_options(model=model, retries=retries, timeout=timeout)  # noqa: SLF001 - it is of this class
        return derived

    def with_service(self, service: Service) -> Self:
        """A client of another service with the same settings, to be closed too; see `BingClient.with_service`."""
        other = type(self).__new__(type(self))
        other._async = self._async.with_service(service)  # noqa: SLF001 - it is of this class
        return other

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> SyncTurnStream:
        """A turn in a conversation of its own; see `BingClient.stream`."""
        return SyncTurnStream(self._async.stream(prompt, context=context, images=images))

    def create_conversation(self) -> SyncConversation:
        """A conversation whose turns the service remembers; see `BingClient.create_conversation`."""
        return SyncConversation(run(self._async.create_conversation()))

    def __enter__(self) -> Self:
        run(self._async.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
