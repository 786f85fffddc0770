"""The workers of a batch on a Ray cluster: one actor each, with a client of its own.

Rows, limits and retries stay with the process that runs the batch. It sends one turn at a time to an actor, and gets
the reply back. Ray places the actors, restarts those that die, and ends them when this process ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Protocol, Self, TypeAlias, TypeVar

import msgspec

from bing_llm.batch.engine import Turn, prepare_turn
from bing_llm.batch.rows import Row
from bing_llm.client import BingClient
from bing_llm.errors import BatchStopped, BingError, ConfigurationError, ConnectionLost, Metering
from bing_llm.events import Reply
from bing_llm.limits import Retries

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MakeClient: TypeAlias = Callable[[], BingClient]


class ClientActor:
    """The actor: asks rows over one client. Errors are returned, because Ray would wrap what is raised.

    Args:
        make_client: Makes the client; None for a `BingClient()` of this machine's environment.
    """

    def __init__(self, make_client: MakeClient | None) -> None:
        self._client: BingClient | BingError
        try:
            self._client = BingClient() if make_client is None else make_client()
        except BingError as exc:
            self._client = exc

    async def start(self) -> Retries | BingError:
        """The retries of the client, without its functions; or the error that kept the client from being made."""
        if isinstance(self._client, BingError):
            return self._client
        return msgspec.structs.replace(self._client.retries, sleep=None, clock=None, jitter=None)

    async def check(self, row: Row) -> Metering | BingError:
        """The metering of the service that a row asks; or the error with which the row fails without a turn."""
        turn = self._prepare(row)
        return turn if isinstance(turn, BingError) else turn.metering

    async def ask(self, row: Row) -> Reply | BingError:
        """One turn of a row."""
        turn = self._prepare(row)
        if isinstance(turn, BingError):
            return turn
        try:
            return await turn.ask()
        except BingError as exc:
            return exc

    def _prepare(self, row: Row) -> Turn | BingError:
        return self._client if isinstance(self._client, BingError) else prepare_turn(self._client, row)


class Method(Protocol[T_co]):
    """A method of an actor, as Ray gives it."""

    def remote(self, *args: object) -> Awaitable[T_co]:
        """Call it."""

    def options(self, *, max_task_retries: int) -> Method[T_co]:
        """The same method, which Ray calls again if the actor dies; -1: as often as needed."""


class Actor(Protocol):
    """The handle of a `ClientActor`, as Ray gives it."""

    @property
    def start(self) -> Method[Retries | BingError]:
        """`ClientActor.start`."""

    @property
    def check(self) -> Method[Metering | BingError]:
        """`ClientActor.check`."""

    @property
    def ask(self) -> Method[Reply | BingError]:
        """`ClientActor.ask`."""


class _Worker:
    """An actor, and how busy it is."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.open = 0
        self.begun = 0
        self.restart()

    def restart(self) -> None:
        """Ray is starting the actor, for the first time or again after its death."""
        start = self.actor.start.options(max_task_retries=-1)
        self.started: asyncio.Future[Retries | BingError] = asyncio.ensure_future(start.remote())
        self.started.add_done_callback(_retrieve_exception)

    @property
    def load(self) -> tuple[bool, int, int]:
        """The worker with the smallest load gets the next turn."""
        return (not self.started.done(), self.open, self.begun)


class RayWorkers:
    """Asks rows on the machines of a Ray cluster, as `Worker` says. An async context manager.

    Args:
        address: `local` starts a Ray on this machine, and ends it; otherwise as for `ray.init`: `auto`, or
            `host:port`. If this process is connected to a Ray already, that one is used, and stays.
        make_client: Makes the client of each worker, and is pickled for that; None for a `BingClient()` of the worker's
            environment.
        workers: How many processes ask; None for one a processor, at most `concurrency`.
        concurrency: How many rows may be open at once.

    Raises:
        ConfigurationError: The address is one of Ray's client protocol.
    """

    def __init__(
        self, address: str, make_client: MakeClient | None = None, *, workers: int | None = None, concurrency: int
    ) -> None:
        if address.startswith("ray://"):
            msg = "A batch does not work over Ray's client protocol (ray://)."
            raise ConfigurationError(msg, hint="Run it on a machine of the cluster, with `auto` as the address.")
        self._address = address
        self._make_client = make_client
        self._count = workers
        self._concurrency = concurrency
        self._ray: ModuleType  # from `open` on
        self._workers: list[_Worker] = []
        # Ray blocks, so it is started and ended on a thread. One thread: a Ray of our own ends with the thread that
        # started it.
        self._thread = ThreadPoolExecutor(1, "bing-llm-ray")
        self._connection = ExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for worker in self._workers:
            worker.started.cancel()
        await asyncio.gather(*(worker.started for worker in self._workers), return_exceptions=True)
        await asyncio.shield(self._in_thread(self._connection.close))
        self._thread.shutdown()

    async def open(self) -> Retries:
        """Start the actors, and wait for the first that has made its client.

        Raises:
            ConfigurationError: Ray is not installed or not reached, or the client's function cannot be pickled.
            BatchStopped: A worker cannot make its client, or no worker can be started.
        """
        actors = await self._in_thread(self._start_actors)
        self._workers = [_Worker(actor) for actor in actors]
        await asyncio.wait([worker.started for worker in self._workers], return_when=asyncio.FIRST_COMPLETED)
        return await self._started(min(self._workers, key=lambda worker: worker.load))

    async def prepare(self, row: Row) -> Turn | BingError:
        """Let a worker check the row. Its turn asks whichever worker has the fewest open calls."""
        row = msgspec.structs.replace(row, fields={})  # nothing is sent but what is asked
        while True:
            with suppress(ConnectionLost):  # nothing was asked: another worker can check it
                found = await self._call(lambda actor: actor.check, row)
                return found if isinstance(found, BingError) else Turn(partial(self._ask, row), found)

    async def _ask(self, row: Row) -> Reply:
        reply = await self._call(lambda actor: actor.ask, row)
        if isinstance(reply, BingError):
            raise reply
        return reply

    async def _call(self, method: Callable[[Actor], Method[T]], row: Row) -> T:
        """Call the actor with the fewest open calls.

        Raises:
            ConnectionLost: The actor died during the call; Ray restarts it.
            BatchStopped: A worker cannot make its client, or the cluster is gone.
        """
        errors = self._ray.exceptions
        worker = min(self._workers, key=lambda worker: worker.load)
        worker.open += 1
        worker.begun += 1
        try:
            await self._started(worker)
            return await method(worker.actor).remote(row)
        except errors.RayTaskError:
            raise  # a fault of ours
        except errors.RayError as exc:
            if worker.started.done():
                worker.restart()
            lost = ConnectionLost("The worker process that asked has died.")
            lost.sent = True  # for all we know
            raise lost from exc
        finally:
            worker.open -= 1

    async def _started(self, worker: _Worker) -> Retries:
        """The retries of a worker's client, as soon as the worker is there."""
        try:
            started = await asyncio.shield(worker.started)
        except self._ray.exceptions.RayError as exc:
            raise BatchStopped(f"The Ray cluster was lost: {exc}", hint="Look at the cluster's logs.") from exc
        if isinstance(started, BingError):
            hint = f"{started.hint} {BatchStopped.default_hint}".strip()
            raise BatchStopped(f"A worker cannot make its client: {started.message}", hint=hint) from started
        return started

    def _start_actors(self) -> list[Actor]:
        ray = self._ray = _import_ray()
        _check_sendable(ray, self._make_client)
        here = self._count or self._default_count(os.cpu_count())
        self._connection.enter_context(_connected(ray, self._address, processors=here))
        count = self._count or self._default_count(ray.cluster_resources().get("CPU"))
        actor_class = ray.remote(ClientActor).options(
            num_cpus=0,  # it only waits; other work of the cluster needs the processor
            max_concurrency=self._concurrency + 1,  # every row may be open in the last worker alive; and its start
            max_restarts=-1,
            scheduling_strategy="SPREAD",
        )
        actors = [actor_class.remote(self._make_client) for _ in range(count)]
        for actor in actors:
            self._connection.callback(_kill, ray, actor)
        return actors

    def _default_count(self, processors: float | None) -> int:
        return min(self._concurrency, max(1, int(processors or 1)))

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)


def _retrieve_exception(started: asyncio.Future[Retries | BingError]) -> None:
    if not started.cancelled():
        started.exception()  # asyncio logs one that nobody asked for; here the next call meets it


def _import_ray() -> ModuleType:
    try:
        for part in ("cloudpickle", "exceptions"):
            import_module(f"ray.{part}")
    except ImportError as exc:
        raise ConfigurationError("Ray is not installed.", hint='Run `pip install "bing-llm[ray]"`.') from exc
    return import_module("ray")


def _check_sendable(ray: ModuleType, make_client: MakeClient | None) -> None:
    try:
        ray.cloudpickle.dumps(make_client)
    except Exception as exc:  # whatever the pickling of what it holds raises
        msg = f"The function that makes a client cannot be sent to other processes: {exc}"
        raise ConfigurationError(msg, hint="Make all that it needs inside of it.") from exc


def _kill(ray: ModuleType, actor: Actor) -> None:
    with suppress(Exception):  # Ray is gone itself
        ray.kill(actor)


@contextmanager
def _connected(ray: ModuleType, address: str, *, processors: int) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    settings: dict[str, object] = {"log_to_driver": False, "configure_logging": False}
    if address == "local":
        settings.update(num_cpus=processors, include_dashboard=False)
    with _errors_only("ray"):
        try:
            ray.init(address=address, **settings)
        except Exception as exc:  # of many kinds, all undocumented
            msg = f"There is no connection to a Ray cluster at {address!r}: {exc}"
            raise ConfigurationError(msg, hint="Start Ray on this machine (`ray start`), or use `local`.") from exc
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _errors_only(name: str) -> Iterator[None]:
    """Log only errors: otherwise Ray writes to the terminal what it does, and where its own log is."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
