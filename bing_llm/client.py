"""The client: `BingClient`, asynchronous. `bing_llm.sync_client` has its synchronous twin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar, Unpack

import msgspec

from bing_llm._checks import check_text
from bing_llm._loops import check_asyncio
from bing_llm._retry import retried
from bing_llm._secrets import forget_frames, refuse_to_pickle
from bing_llm._semaphore import Semaphore
from bing_llm.backends.base import AgentBackend
from bing_llm.conversation import Conversation, SingleTurn, make_prompt
from bing_llm.errors import ConfigurationError
from bing_llm.events import Reply
from bing_llm.images import ImageSource
from bing_llm.limits import Deadline, Limits, Retries, Timeouts
from bing_llm.pool import Continuations, WarmPool
from bing_llm.services import Service, ServiceSettings, make_service
from bing_llm.turn import TurnStream, new_deadline

if TYPE_CHECKING:
    from bing_llm.backends.base import AgentCard, AnyBackend, ConversationInfo, WarmConversation

T = TypeVar("T")


class BingClient:
    """One client of one chat service.

    It works on any event loop, and on several at once. Close it with `async with` or `aclose()`.

    Give the service as a value, as in `BingClient(WorkIQ(token=...))`, or by keywords, which means the same:
    `BingClient(backend="workiq", token=...)`. `help(bing_llm.services)` says how keywords choose a service.

    Args:
        service: `ChatHub(...)`, `WorkIQ(...)`, `Emulated(...)`, or a service of your own. None: the keywords
            choose it.
        backend: `chathub`, `workiq` or `emulator`; None reads `BING_LLM_BACKEND`. If that is not set either, a
            token, an agent or the model `copilot` chooses `workiq`, cookies or an endpoint choose `chathub`, and
            without these arguments the environment decides by the same rule. The emulator is used only if you ask for
            it.
        timeouts: The time limits, in seconds. A limit that you do not give is the service's own.
        retries: How often a turn that has no text yet is tried again. A turn that the service may charge for is not,
            unless you say so (`Retries.resend_metered`).
        limits: How much data is accepted from the service.
        continue_conversations: Whether an adapter continues a live conversation that already holds the beginning of
            its history, so that only the new messages are sent; True, the default. It has no effect on `ask`, `stream`
            and conversations that you create.
        max_concurrency: How many turns may be open at once, of this client and of all that `with_options` makes of it.
            Further turns wait in the order in which they were first read; their time limits begin after the wait. A
            turn is open until its end or until it is closed, also while its reader is busy. So a turn that is opened
            inside the loop over another one needs a second place; with 1 it would wait forever. None (the default)
            sets no limit, because the service has its own.
        warm: How many conversations to keep ready for single turns, from 0 (the default) to 32. Each event loop that
            uses the client keeps as many, from `async with` or the first turn on. The first text of such a turn comes
            one round trip after its prompt instead of three. Each one costs a conversation at the service; it is
            replaced when a turn takes it, and after five hours. With ChatHub it also holds an open socket, with a ping
            every 15 s. So keep 0 if turns are rare, or if the account may create few conversations.
        **settings: The settings of the service. `help(bing_llm.ChatHub)`, `help(bing_llm.WorkIQ)` and
            `help(bing_llm.Emulated)` say what they mean. All three have `model`, `search`, `location` and
            `prompt_limit`; ChatHub and Work IQ have `endpoint`, `proxy`, `trust_env`, `ssl_context` and
            `allow_insecure`; ChatHub and the emulator have `cookies`, `locale` and `option_sets`; only ChatHub has
            `ip_address`; only Work IQ has `token`, `agent`, `protocol`, `time_zone`, `files`, `entity_tags`,
            `citation_markers` and `over_stream`. A setting that the chosen service does not have is refused.

    Raises:
        ConfigurationError: A value is not allowed, or no backend is chosen; nothing was sent.
    """

    def __init__(
        self,
        service: Service | None = None,
        *,
        backend: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        limits: Limits | None = None,
        continue_conversations: bool = True,
        max_concurrency: int | None = None,
        warm: int = 0,
        **settings: Unpack[ServiceSettings],
    ) -> None:
        if service is None:
            try:
                service = make_service(backend, settings)
            except ConfigurationError as exc:
                settings = {}  # tools that print local variables would show the cookies and the token
                forget_frames(exc)
                raise exc from exc.__cause__
        else:
            beside = [*(["backend"] if backend else []), *(name for name in settings if settings[name] is not None)]  # type: ignore[literal-required]
            settings = {}  # tools that print local variables would show the cookies and the token
            _check_service(service, beside=beside)
        self.service = service
        self.backend_name = service.name
        self.timeouts = _of(Timeouts, timeouts, "timeouts").of_service(getattr(service, "time_limits", {}))
        self.retries = _of(Retries, retries, "retries")
        limits = _of(Limits, limits, "limits")
        for part in (self.timeouts, self.retries, limits):
            part.check()
        self.semaphore = _semaphore(max_concurrency)
        self._backends = _Backends(service, self.timeouts, limits)
        self.continuations = Continuations() if continue_conversations else None
        self._owns_connections = True
        self.pool = WarmPool(
            warm,
            partial(_warm_up, self._backends, self.model),  # not a method: the pool must not hold its client
            seconds=self.timeouts.turn,
            clock=self.retries.clock,
        )

    @property
    def backend(self) -> AnyBackend:
        """The backend that speaks to the service; for adapters and tests. It is opened on first use.

        Raises:
            ConfigurationError: The client was closed; so a running turn is not opened again on it.
        """
        return self._backends.of(self.service.model)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.service.model

    @property
    def prompt_limit(self) -> int:
        """The longest prompt that the model takes, in characters; the context does not count.

        Raises:
            ConfigurationError: The client was closed.
        """
        return self.backend.prompt_limit

    def with_options(
        self, *, model: str | None = None, retries: Retries | None = None, timeout: float | None = None
    ) -> Self:
        """The same client with other options, over the same connections. It is cheap, and sends nothing.

        Closing it has no effect. Closing the client that `BingClient(...)` made closes both.

        Args:
            model: A name that `BingClient(model=...)` takes; None keeps the current one.
            retries: As in `BingClient(retries=...)`; None keeps the current ones.
            timeout: The time for a whole turn, in seconds, retries included; None keeps the current one.

        Raises:
            ConfigurationError: The model is not known, or the retries or the time cannot work.
        """
        service = self.service if model is None else self.service.with_model(model)
        retries = self.retries if retries is None else _of(Retries, retries, "retries")
        retries.check()
        derived = type(self).__new__(type(self))  # not by __init__, which would read the environment again
        derived.__dict__.update(self.__dict__, service=service, retries=retries, _owns_connections=False)
        if timeout is not None:
            derived.timeouts = msgspec.structs.replace(self.timeouts, turn=timeout)
            derived.timeouts.check()
        return derived

    def with_service(self, service: Service) -> Self:
        """A client of another service with the same settings. It has connections of its own, so close it, too.

        `max_concurrency` is one number for both. No conversations are kept ready for it.

        Raises:
            ConfigurationError: It is not a service.
        """
        _check_service(service, beside=())
        other = type(self).__new__(type(self))
        other.__dict__.update(
            self.__dict__,
            service=service,
            backend_name=service.name,
            _backends=_Backends(service, self.timeouts, self._backends.limits),
            _owns_connections=True,
            continuations=None if self.continuations is None else Continuations(),
            pool=WarmPool(0, partial(_warm_up, self._backends, service.model), seconds=self.timeouts.turn),
        )
        return other

    def __repr__(self) -> str:
        if "service" not in vars(self):  # it is not made yet
            return f"<{type(self).__name__}>"
        return f"{type(self).__name__}(backend={self.backend_name!r}, model={self.model!r})"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> TurnStream:
        """A turn in a conversation of its own. Nothing is sent until its first event is asked for.

        Args:
            prompt: The user's message.
            context: Earlier turns or other text that the service should know, in the form that `convert` writes.
            images: PNG, JPEG, GIF or WebP bytes, paths, `data:` or http(s) URLs; ChatHub takes one a turn.

        Raises:
            InvalidRequest: The prompt is empty or over the model's limit, or an image cannot be read.
        """
        return TurnStream(SingleTurn(self, make_prompt(self.backend, prompt, context, images)))

    async def ask(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> Reply:
        """The whole answer to one prompt, in a conversation of its own. Arguments as in `stream`.

        Raises:
            BingError: The prompt was refused, the service failed, or it could not be reached.
        """
        async with self.stream(prompt, context=context, images=images) as turn:
            return await turn.reply()

    async def create_conversation(self) -> Conversation:
        """A conversation whose turns the service remembers.

        Raises:
            BingError: The service refused, or could not be reached in all attempts.
        """
        deadline = new_deadline(self)
        handle = await self._retried(lambda: self.backend.create_conversation(deadline), deadline)
        return Conversation(self, handle)

    async def list_conversations(self) -> list[ConversationInfo]:
        """The conversations that the service keeps for these cookies.

        Raises:
            BingError: The service refused, or could not be reached in all attempts.
        """
        deadline = new_deadline(self)
        return await self._retried(lambda: self.backend.list_conversations(deadline), deadline)

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation, by an id from `list_conversations`, at the service.

        Raises:
            BingError: The service refused, or could not be reached in all attempts.
        """
        check_text(conversation_id, "The conversation id")
        deadline = new_deadline(self)
        handle = await self._retried(lambda: self.backend.open_conversation(conversation_id, deadline), deadline)
        await Conversation(self, handle).delete()

    async def agent_card(self) -> AgentCard:
        """What the agent of Work IQ that this client asks says of itself; asked for once, and kept.

        Raises:
            ConfigurationError: The client does not speak A2A.
            InvalidRequest: There is no such agent.
            BingError: The service refused, or could not be reached in all attempts.
        """
        backend = self.backend
        if not isinstance(backend, AgentBackend):
            msg = f"The backend {self.backend_name} has no agent card: only agents over A2A have one."
            raise ConfigurationError(msg, hint="Pass agent=, or protocol='a2a' for Copilot itself.")
        deadline = new_deadline(self)
        return await self._retried(lambda: backend.agent_card(deadline), deadline)

    async def _retried(self, operation: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        check_asyncio()
        return await retried(operation, self.retries, deadline, self.backend.metering)

    async def aclose(self) -> None:
        """Close every connection that this client opened. After that, every call is refused. May be called twice."""
        if self._owns_connections:
            await self.pool.aclose()
            await self._backends.aclose()

    async def __aenter__(self) -> Self:
        check_asyncio()
        await self.pool.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Backends:
    """The backend of a client, and the same for other models, over the same connections: opened once, when first used.

    It may be used from several threads. It has no lock, which a fork could copy while it is held: if two threads open a
    backend at once, one of both is kept, and the other has opened nothing yet.
    """

    def __init__(self, service: Service, timeouts: Timeouts, limits: Limits) -> None:
        self._service = service
        self._timeouts = timeouts
        self.limits = limits
        self._closed = False
        self.opened: dict[str, AnyBackend] = {}
        """By the name of the model."""

    def of(self, model: str) -> AnyBackend:
        """The backend for this model, which must be a known one.

        Raises:
            ConfigurationError: The client was closed; so a running turn is not opened again on it.
        """
        if self._closed:
            raise ConfigurationError("This client was closed.", hint="Make a new one.")
        return self.opened.get(model) or self._open(model)

    def _open(self, model: str) -> AnyBackend:
        own = self._service.model
        origin = self.opened.get(own)
        if origin is None:
            origin = self.opened.setdefault(own, self._service.open(timeouts=self._timeouts, limits=self.limits))
        return origin if model == own else self.opened.setdefault(model, origin.with_model(model))

    async def aclose(self) -> None:
        """Close every connection; `of` raises from now on. May be called twice."""
        self._closed = True
        origin = self.opened.get(self._service.model)
        if origin is not None:
            await origin.aclose()


_MOST_OPEN = 1_000_000  # far above what one process can hold open; a larger number only means that no limit is wanted


def _semaphore(limit: object) -> Semaphore | None:
    if limit is None:
        return None
    if not (isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= _MOST_OPEN):
        msg = f"max_concurrency is {limit!r}; it must be a whole number from 1 to {_MOST_OPEN:,}, or None for no limit."
        raise ConfigurationError(msg)
    return Semaphore(limit)


async def _warm_up(backends: _Backends, model: str, deadline: Deadline) -> WarmConversation:
    warm: WarmConversation = await backends.of(model).warm_up(deadline)
    return warm


def _check_service(service: object, *, beside: Sequence[str]) -> None:
    """Refuse what is not a service, and settings beside a service, which would be ignored.

    Raises:
        ConfigurationError: It is not one, or there are such settings.
    """
    if not isinstance(service, Service):
        msg = f"service is a {type(service).__name__}; it must be a ChatHub, a WorkIQ, an Emulated or another service."
        raise ConfigurationError(msg)
    for name in beside:
        msg = f"A service is given, and so is {name}, which is the service's."
        raise ConfigurationError(msg, hint=f"Give {name} to the service: {type(service).__name__}({name}=...).")


def _of(kind: type[T], value: T | None, name: str) -> T:
    """The value, or the defaults where it is None.

    Raises:
        ConfigurationError: It is something else.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} is a {type(value).__name__}; it must be a {kind.__name__}, or None.")
    return value
