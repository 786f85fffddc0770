"""The rows of a batch, asked by the machines of a Ray cluster: `RayEngine`.

    rows -> files -> read_json -> map_batches(Asker) -> rows

Claiming, skipping and keeping rows stay with the process that runs the batch. A row may be asked again where a process
dies, and comes out once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bing_llm.batch.cluster_gate import SharedGate, State
from bing_llm.batch.cluster_rows import answers_of, working_folder, write_rows
from bing_llm.batch.cluster_worker import Asker, MakeClient
from bing_llm.batch.rows import Row
from bing_llm.errors import BingError, ConfigurationError, ConnectionLost

__all__ = ["RayEngine"]

_LOOKS_EVERY: Final = 1.0
"""Seconds from one look at the gate to the next: a person is shown what it waits for."""

_TABLES_A_TURN: Final = 8
"""Ray Data hands out some 16 tables a second, and an answer takes half a second at least; so a table has an eighth of
the rows that may be open, and what a killed run has to ask again is not much more than what was open."""

_MORE_CALLS: Final = 1000
"""Calls that the gate takes at once, besides those of all workers: our own, and what dead workers have left there."""

_NOTHING_YET: Final = State(None, "", 0, None)


class RayEngine:
    """Asks the rows of one run on the machines of a Ray cluster, as `Engine` says. All rows are taken at the beginning.

    The limits are those of the whole run: every turn goes through one gate, which a named actor holds.

    Args:
        address: `local` starts a Ray of this machine's own, and ends it; else as `ray.init` takes it: `auto`, or
            `host:port`. Where this process is connected to a Ray already, that one is used, and stays.
        make_client: Makes the client of each worker, and is pickled for that; None for a `BingClient()` of the worker's
            environment.
        workers: How many processes ask; None for as many as there are processors, at most `concurrency`.
        concurrency: How many turns may be open at once.
        rate: How many turns a minute may begin; None for no limit.
        patience: How long to wait for a service that takes no turn, in seconds from its last answer on.
        folder: Where the rows are while they are asked: a path that each machine sees, and where nothing is. None for a
            temporary one, which the machines of others do not see.

    Raises:
        ConfigurationError: The address is of Ray's client protocol, which Ray Data does not work over.
    """

    def __init__(
        self,
        address: str,
        make_client: MakeClient | None = None,
        *,
        workers: int | None = None,
        concurrency: int,
        rate: float | None = None,
        patience: float = 3600.0,
        folder: Path | None = None,
    ) -> None:
        if address.startswith("ray://"):
            msg = "Ray Data does not work over Ray's client protocol (ray://)."
            raise ConfigurationError(msg, hint="Run it on a machine of the cluster, with `auto` as the address.")
        self._address = address
        self._make_client = make_client
        self._workers = workers
        self._concurrency = concurrency
        self._rate = rate
        self._patience = patience
        self._folder = folder
        self._gate: Any = None
        self._state = _NOTHING_YET
        self._lost: BingError | None = None
        self._taken: Counter[str] = Counter()
        self._is_stopping = False
        self._writing: asyncio.Task[int] | None = None

    @property
    def stopped(self) -> BingError | None:
        """As in `Engine`."""
        return self._state.stopped or self._lost

    @property
    def turns(self) -> int:
        """As in `Engine`, at most a second old."""
        return self._state.turns

    @property
    def waiting(self) -> str:
        """As in `Engine`, at most a second old."""
        return self._state.waiting

    def stop(self) -> None:
        """As in `Engine`."""
        self._is_stopping = True
        if self._writing is not None:
            self._writing.cancel()  # it may wait for a row for ever
        if self._gate is not None:
            self._gate.close.remote()

    async def answers(self, rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        """As in `Engine`; only once.

        Args:
            rows: What to ask; it stays open.

        Raises:
            ConfigurationError: Ray is not installed or not reached, the client's function cannot be pickled, or the
                working folder cannot be made or is not seen by all machines.
            BatchStopped: The rows cannot be written to it.
        """
        with working_folder(self._folder) as folder:
            count = await self._written(rows, folder)
            if not count or self._is_stopping:
                return
            async with aclosing(self._asked(folder, count)) as answers:
                async for row in answers:
                    yield row

    async def _written(self, rows: AsyncIterator[Row], folder: Path) -> int:
        self._writing = asyncio.create_task(write_rows(rows, folder))
        try:
            await asyncio.wait([self._writing])
        finally:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        return 0 if self._writing.cancelled() else self._writing.result()

    async def _asked(self, folder: Path, count: int) -> AsyncGenerator[dict[str, Any], None]:
        # All of Ray that blocks happens on one thread, which stays until Ray is ended: a Ray of our own ends with it.
        thread = ThreadPoolExecutor(1, "bing-llm-ray")
        steps = self._steps(folder, count)
        looking: asyncio.Task[None] | None = None

        async def step() -> list[tuple[str, dict[str, Any]]] | None:
            return await asyncio.get_running_loop().run_in_executor(thread, next, steps)

        try:
            await step()  # until there is a gate
            looking = asyncio.create_task(self._keep_looking())
            while not self._has_ended() and (found := await step()) is not None:
                for worker, row in found:
                    self._taken[worker] += 1
                    yield row
            await self._look()
        finally:
            if looking is not None:
                looking.cancel()
            self._end()
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(thread, steps.close))
            thread.shutdown()

    def _steps(self, folder: Path, count: int) -> Generator[list[tuple[str, dict[str, Any]]] | None, None, None]:
        """The work of Ray's thread: first nothing, when there is a gate, then answers as they come, then None.

        What it has begun it ends when it is closed, as the gate is asked once more before that.
        """
        ray = _imported()
        _check_sendable(ray, self._make_client)
        with _connected(ray, self._address, self._workers or min(self._concurrency, os.cpu_count() or 1)):
            workers = self._workers or min(self._concurrency, max(1, int(ray.cluster_resources().get("CPU", 1))))
            rows = math.ceil(self._concurrency / _TABLES_A_TURN)
            workers = min(workers, math.ceil(count / rows))  # Ray would warn of one that has nothing to do
            # Each worker has its share of what is open, and as much again that waits: none is idle while a table ends.
            tables = math.ceil(2 * self._concurrency / workers / rows) + 1
            self._gate = gate = self._new_gate(ray, calls=workers * (tables * rows + 4))
            if self._is_stopping:
                gate.close.remote()
            yield []
            pool = ray.data.ActorPoolStrategy(size=workers, max_concurrent_calls_per_actor=tables)
            dataset = self._dataset(ray, folder, rows, pool)
            try:
                # Not iter_batches: it leaves a thread behind, and holds each table back until the next one is there.
                for bundle in dataset.iter_internal_ref_bundles():
                    for table in ray.get(bundle.block_refs):
                        yield answers_of(table)
            except ray.exceptions.RayTaskError as exc:
                if not isinstance(exc.cause, OSError):
                    raise  # a fault of ours
                msg = f"A machine of the cluster cannot read {str(folder)!r}: {exc.cause}"
                raise ConfigurationError(msg, hint="Put the output where all of its machines see it.") from exc
            except ray.exceptions.RayError as exc:
                self._lost = _lost(exc)
            yield None

    def _new_gate(self, ray: Any, calls: int) -> Any:
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        options = {"num_cpus": 0, "max_concurrency": calls + _MORE_CALLS, "scheduling_strategy": here}
        actor = ray.remote(SharedGate).options(name=f"bing-llm-gate-{uuid.uuid4().hex}", **options)
        return actor.remote(self._concurrency, rate=self._rate, patience=self._patience)

    def _dataset(self, ray: Any, folder: Path, rows: int, pool: Any) -> Any:
        dataset = (
            ray.data.read_json(str(folder.absolute()), num_cpus=0)
            .repartition(target_num_rows_per_block=rows)
            .map_batches(
                Asker,
                fn_constructor_args=(self._make_client, self._gate),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=0,  # it waits; a processor that it held would be missing for what reads
                compute=pool,
            )
        )
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
        dataset.context.execution_no_progress_timeout_s = -1  # the gate knows how long to be patient
        return dataset

    async def _keep_looking(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_LOOKS_EVERY)

    async def _look(self) -> None:
        try:
            self._state = await self._gate.state.remote()
        except Exception as exc:  # noqa: BLE001 - of Ray: the gate is gone, and with it the run
            self._lost = self._lost or _lost(exc)

    def _has_ended(self) -> bool:
        """Whether nothing comes any more, though Ray would go on to hand out rows that are not asked."""
        ended = self._state.ended
        return self._lost is not None or (
            ended is not None and all(self._taken[worker] >= count for worker, count in ended.items())
        )

    def _end(self) -> None:
        """End the gate, and with it all that is open: workers stop when they lose it."""
        if self._gate is not None:
            with suppress(Exception):  # Ray is gone itself
                _imported().kill(self._gate)


def _imported() -> Any:
    try:
        for part in ("cloudpickle", "data", "exceptions", "util.scheduling_strategies"):
            import_module(f"ray.{part}")
    except ImportError as exc:
        msg = "Ray is not installed, or not the parts of it that handle data."
        raise ConfigurationError(msg, hint='Run `pip install "bing-llm[ray]"`.') from exc
    return import_module("ray")


def _check_sendable(ray: Any, make_client: MakeClient | None) -> None:
    try:
        ray.cloudpickle.dumps(make_client)
    except Exception as exc:  # whatever the pickling of what it holds raises
        msg = f"The function that makes a client cannot be sent to other processes: {exc}"
        raise ConfigurationError(msg, hint="Make all that it needs inside of it.") from exc


@contextmanager
def _connected(ray: Any, address: str, processors: int) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == "local":
        settings.update(num_cpus=processors, include_dashboard=False)
    with _quiet("ray"), _quiet("ray.data"):
        try:
            ray.init(address=address, **settings)
        except Exception as exc:  # of many kinds, none of them documented
            msg = f"There is no connection to a Ray cluster at {address!r}: {exc}"
            raise ConfigurationError(msg, hint="Start Ray on this machine (`ray start`), or use `local`.") from exc
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Errors alone: Ray says on the terminal what it does, and where its own log is."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _lost(exc: Exception) -> ConnectionLost:
    return ConnectionLost(f"The Ray cluster was lost: {exc}", hint="Look at the cluster's logs.")
