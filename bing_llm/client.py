"""The client: `BingClient`, asynchronous. `bing_llm.sync_client` has its synchronous twin."""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

import msgspec

from bing_llm._checks import check_text, check_types
from bing_llm._lazy_backend import LazyBackend
from bing_llm._options import Options, chathub_options, refuse_foreign, workiq_options
from bing_llm._retry import retried
from bing_llm._secrets import refuse_to_pickle
from bing_llm._semaphore import Semaphore
from bing_llm.backends.chathub.endpoints import resolve
from bing_llm.backends.chathub.options import Compose, Location
from bing_llm.backends.workiq.access import access
from bing_llm.backends.workiq.auth import Token
from bing_llm.backends.workiq.options import DEFAULT_MODEL as WORKIQ_MODEL
from bing_llm.config import (
    ConnectionSettings,
    Cookies,
    Endpoint,
    check_address,
    check_proxy,
    cookie_header,
    pick_backend,
)
from bing_llm.conversation import Conversation, SingleTurn, make_prompt
from bing_llm.errors import ConfigurationError
from bing_llm.events import Reply
from bing_llm.images import ImageSource
from bing_llm.limits import Deadline, Limits, Retries, Timeouts
from bing_llm.pool import Continuations, WarmPool
from bing_llm.turn import TurnStream, new_deadline

if TYPE_CHECKING:
    from bing_llm.backends.base import Backend, ConversationInfo, WarmConversation

__all__ = ["BingClient"]

T = TypeVar("T")


class BingClient:
    """One client of one chat service.

    It may be used from any event loop, and from several. Close it with `async with` or `aclose()`.

    Args:
        backend: `chathub`, `workiq` or `emulator`; None takes `BING_LLM_BACKEND`, else `workiq` where a token or its
            model is given, else `chathub` where an endpoint or cookies are, else `workiq` where `WORKIQ_TOKEN` is set.
            The emulator is never chosen in silence.
        model: Of a ChatHub `bing-creative`, `bing-balanced` (the default, as in the service's own client) or
            `bing-precise`; of Work IQ `copilot`.
        search: Whether the service may search the web.
        cookies: ChatHub: a Cookie header or a mapping; None takes `BING_COOKIES`. Never logged or shown.
        token: Work IQ: an access token, a function that gives one (a coroutine function too), or a credential of
            azure-identity; None takes `WORKIQ_TOKEN`, else what `bing-llm login` has kept. Never logged or shown.
        endpoint: One base URL, from which all others follow; of a ChatHub also the pair (creation URL, socket URL).
            None takes `BING_LLM_ENDPOINT`, else the public hosts; those of ChatHub are retired.

        location: Where the user is, for local searches; None leaves it out.
        prompt_limit: The longest prompt in characters; None takes the model's (balanced 4,000, the other two of a
            ChatHub 8,000, Work IQ 16,000).
        locale: ChatHub: language and market, such as `en-US` (the default).
        persona: ChatHub: `travel`, `cooking`, `fitness` or `designer`; None for the plain assistant.
        compose: ChatHub: write a text instead of chatting; None to chat.
        option_sets: ChatHub: the service's own option names, instead of those that follow from the arguments above.
        time_zone: Work IQ: the user's, by its IANA name such as `Europe/Zurich`; None takes this machine's.
        files: Work IQ: https URLs on SharePoint or OneDrive that each answer shall draw on.
        entity_tags: Work IQ: whether the tags around names of people, files and events stay in the text: `keep` (the
            default) or `strip`.
        over_stream: Work IQ: whether answers come while they are written (the default), or each at once when it is
            whole, for networks that let no stream through.

        ip_address: ChatHub: sent as `x-forwarded-for`; None (the default) sends none.
        proxy: URL of an HTTP proxy, as in aiohttp.
        trust_env: Whether to take proxies from the environment, as in aiohttp; False.
        ssl_context: How to verify TLS; None verifies with certifi's certificates.
        allow_insecure: Whether plain http to another machine is allowed; False.

        timeouts: The time limits, in seconds.
        retries: How often a turn is opened again while it has given no text.
        limits: How much is taken of what the service sends.
        continue_conversations: Whether a history that an adapter sends goes on in the conversation that holds it
            already, so that only its last message is sent; True. What `ask` and `stream` send, and conversations of
            your own, are not concerned.
        max_concurrency: How many turns of this client, and of those that its `with_options` gives, may be open at once.
            Further ones wait in the order in which they were first read; their time limits begin after the wait. A turn
            is open until its end or until it is closed, and counts also while its reader is busy: one that is opened in
            the loop over another needs a second slot, and with 1 would wait for ever. None (the default): no limit, as
            the service has its own.
        warm: How many conversations to keep ready for single turns, from 0 (the default) to 32, on each event loop on
            which the client is used, from `async with` or the first turn on. The first text of such a turn comes one
            round trip after its prompt instead of three. Each costs the service a conversation, created anew when one
            is taken and after five hours, and of a ChatHub an open socket with a ping each 15 s; so leave it at 0
            where turns are rare or an account is short of them.

    Raises:
        ConfigurationError: A value is not allowed, or no backend is chosen; nothing was sent.
    """

    def __init__(
        self,
        *,
        backend: str | None = None,
        model: str | None = None,
        search: bool = True,
        cookies: Cookies | None = None,
        token: Token | None = None,
        endpoint: Endpoint | None = None,
        # how the service shall answer
        location: Location | None = None,
        prompt_limit: int | None = None,
        locale: str = "en-US",
        persona: str | None = None,
        compose: Compose | None = None,
        option_sets: Sequence[str] | None = None,
        time_zone: str | None = None,
        files: Sequence[str] = (),
        entity_tags: Literal["keep", "strip"] = "keep",
        over_stream: bool = True,
        # how to reach it
        ip_address: str | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure: bool = False,
        # limits
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        limits: Limits | None = None,
        continue_conversations: bool = True,
        max_concurrency: int | None = None,
        warm: int = 0,
    ) -> None:
        given = dict(locals())  # by name: each backend takes its own
        if cookies == os.environ.get("BING_COOKIES"):
            given["cookies"] = None  # a framework passes on what it has read there
        known = endpoint or os.environ.get("BING_LLM_ENDPOINT") or None
        header = None if backend == "workiq" else cookie_header(cookies)
        self.backend_name = pick_backend(
            backend,
            has_endpoint=bool(endpoint),
            configured=bool(known or header),
            for_workiq=token is not None or model == WORKIQ_MODEL,
        )
        refuse_foreign(self.backend_name, given, _DEFAULTS)
        self.timeouts = _of(Timeouts, timeouts, "timeouts")
        self.retries = _of(Retries, retries, "retries")
        limits = _of(Limits, limits, "limits")
        for part in (self.timeouts, self.retries, limits):
            part.check()
        self.semaphore = _semaphore(max_concurrency)
        is_workiq = self.backend_name == "workiq"
        self.options: Options = (
            workiq_options(given) if is_workiq else chathub_options(given, signed_in=header is not None)
        )
        check_address(ip_address)
        connection = ConnectionSettings(
            endpoint=known,
            cookies=None if is_workiq else header,
            ip_address=ip_address,
            proxy=proxy,
            trust_env=trust_env,
            ssl_context=ssl_context,
            allow_insecure=allow_insecure,
            timeouts=self.timeouts,
            limits=limits,
        )
        # The endpoint has a check of its own, which says more.
        check_types(msgspec.structs.replace(connection, endpoint=None), "The client's settings")
        if self.backend_name != "emulator":  # whose connections are its own
            check_proxy(connection.proxy)
        if self.backend_name == "chathub":
            resolve(connection.endpoint, allow_insecure=allow_insecure)
        elif is_workiq:
            allowed = access(token, known, allow_insecure=allow_insecure)
            connection = msgspec.structs.replace(connection, token=allowed)
        self._lazy = LazyBackend(self.backend_name, connection, self.options)
        self.continuations = Continuations() if continue_conversations else None
        self._owns_connections = True
        self.pool = WarmPool(
            warm,
            partial(_warm_up, self._lazy, self.model),  # not a method: the pool must not hold its client
            seconds=self.timeouts.turn,
            clock=self.retries.clock,
        )

    @property
    def backend(self) -> Backend:
        """The service behind this client; for adapters and tests. Made when it is first asked for.

        Raises:
            ConfigurationError: The client was closed; so a running turn is not opened again on it.
        """
        return self._lazy.of(self.options.model)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.options.model

    @property
    def prompt_limit(self) -> int:
        """The longest prompt that the model takes, in characters; the context does not count.

        Raises:
            ConfigurationError: The client was closed.
        """
        return self.backend.prompt_limit

    def with_options(self, *, model: str | None = None, retries: Retries | None = None) -> Self:
        """The same client with other options, over the same connections. It costs next to nothing, and sends nothing.

        To close it has no effect; to close the client that was made with `BingClient(...)` closes it too.

        Args:
            model: A name that `BingClient(model=...)` takes; None for the same.
            retries: As in `BingClient(retries=...)`; None for the same.

        Raises:
            ConfigurationError: The model is not known, or the retries cannot work.
        """
        options = self.options if model is None else self.options.with_model(model)
        retries = self.retries if retries is None else _of(Retries, retries, "retries")
        retries.check()
        derived = type(self).__new__(type(self))  # not by __init__, which would read the environment again
        derived.__dict__.update(self.__dict__, options=options, retries=retries, _owns_connections=False)
        return derived

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.backend_name!r}, model={self.model!r})"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> TurnStream:
        """A turn in a conversation of its own. Nothing is sent until its first event is asked for.

        Args:
            prompt: The user's message.
            context: Earlier turns or other text that the service shall know, as `convert` writes it.
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
        """Delete a conversation of that list at the service.

        Raises:
            BingError: The service refused, or could not be reached in all attempts.
        """
        check_text(conversation_id, "The conversation id")
        deadline = new_deadline(self)
        handle = await self._retried(lambda: self.backend.open_conversation(conversation_id, deadline), deadline)
        await Conversation(self, handle).delete()

    async def _retried(self, operation: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        return await retried(operation, self.retries, deadline, self.backend.metering)

    async def aclose(self) -> None:
        """Close every connection that this client opened; it takes no further call. May be called twice."""
        if self._owns_connections:
            await self.pool.aclose()
            await self._lazy.aclose()

    async def __aenter__(self) -> Self:
        await self.pool.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(BingClient).parameters.items()}


_MOST_OPEN = 1_000_000  # far above what one process can hold open; a larger number only means that no limit is wanted


def _semaphore(limit: Any) -> Semaphore | None:
    if limit is None:
        return None
    if not (isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= _MOST_OPEN):
        msg = f"max_concurrency is {limit!r}; it must be a whole number from 1 to {_MOST_OPEN:,}, or None for no limit."
        raise ConfigurationError(msg)
    return Semaphore(limit)


async def _warm_up(lazy: LazyBackend, model: str, deadline: Deadline) -> WarmConversation:
    return await lazy.of(model).warm_up(deadline)


def _of(kind: type[T], value: Any, name: str) -> T:
    """The value, or the defaults where it is None.

    Raises:
        ConfigurationError: It is something else.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} is a {type(value).__name__}; it must be a {kind.__name__}, or None.")
    return value
