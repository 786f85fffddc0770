"""The workers of a Ray cluster, on a Ray that is played here; a real one is in test_cluster_live.py."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm.batch.cluster import ClientActor, RayWorkers
from bing_llm.batch.engine import Engine
from bing_llm.batch.rows import Row
from bing_llm.batch.runner import arun
from bing_llm.client import BingClient
from bing_llm.errors import BatchStopped, BingError, ConfigurationError, Metering, ServiceError, Throttled, Unauthorized
from bing_llm.limits import Retries
from tests.batch.helpers import Service, all_of, row, rows
from tests.fakes import Turn, answer, client_of


class RayError(Exception):
    """Ray's base error."""


class RayActorError(RayError):
    """Ray's error of an actor that died, or is being restarted."""


class RayTaskError(RayError):
    """Ray's error of a call that raised something."""


class FakeActor:
    """An actor in this process. What is sent there and back goes through pickle.

    Attributes:
        starts: How often it was started.
        calls: The names of its calls, in order.
    """

    def __init__(self, make: Callable[[], ClientActor]) -> None:
        self._make = make
        self._instance = make()
        self._open: dict[asyncio.Future[Any], asyncio.Task[Any]] = {}
        self._is_dead = False
        self.is_killed = False
        self.starts = 1
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> FakeMethod:
        if name not in {"start", "check", "ask"}:
            raise AttributeError(name)
        return FakeMethod(self, name)

    def die(self) -> None:
        """Its process is gone: open calls fail, and so do new ones until it is started again."""
        self._is_dead = True
        for call, task in self._open.items():
            task.cancel()
            call.set_exception(RayActorError("The actor died."))
        self._open.clear()

    def call(self, name: str, args: tuple[object, ...], retries: int) -> asyncio.Future[Any]:
        """Begin a call."""
        self.calls.append(name)
        call: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.is_killed or (self._is_dead and not retries):
            call.set_exception(RayActorError("The actor died."))
            return call
        if self._is_dead:
            self._instance, self._is_dead = self._make(), False
            self.starts += 1
        task = asyncio.ensure_future(self._run(name, pickle.dumps(args)))
        self._open[call] = task
        task.add_done_callback(lambda done: self._finish(call, done))
        return call

    async def _run(self, name: str, args: bytes) -> Any:
        try:
            return pickle.loads(pickle.dumps(await getattr(self._instance, name)(*pickle.loads(args))))  # noqa: S301 - our own bytes
        except Exception as exc:
            raise RayTaskError(repr(exc)) from exc

    def _finish(self, call: asyncio.Future[Any], done: asyncio.Task[Any]) -> None:
        self._open.pop(call, None)
        if call.done() or done.cancelled():
            return
        if (exc := done.exception()) is not None:
            call.set_exception(exc)
        else:
            call.set_result(done.result())


class FakeMethod:
    """One method of an actor."""

    def __init__(self, actor: FakeActor, name: str, retries: int = 0) -> None:
        self._actor = actor
        self._name = name
        self._retries = retries

    def options(self, *, max_task_retries: int) -> FakeMethod:
        """The same method with retries."""
        return FakeMethod(self._actor, self._name, max_task_retries)

    def remote(self, *args: object) -> asyncio.Future[Any]:
        """Call it."""
        return self._actor.call(self._name, args, self._retries)


class FakeRay(SimpleNamespace):
    """The module `ray`, as far as it is used.

    Attributes:
        actors: The actors that were made.
        options: With which options.
        settings: What `init` was called with; None while it was not.
        is_up: Whether this process is connected.
    """

    def __init__(self, processors: float = 2.0) -> None:
        super().__init__(
            exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, RayActorError=RayActorError),
            cloudpickle=SimpleNamespace(dumps=lambda _: b""),
        )
        self.processors = processors
        self.actors: list[FakeActor] = []
        self.options: dict[str, Any] = {}
        self.settings: dict[str, Any] | None = None
        self.is_up = False

    def is_initialized(self) -> bool:
        """Whether `init` was called, like Ray's."""
        return self.is_up

    def init(self, **settings: Any) -> None:
        """Connect, like Ray's."""
        self.settings = settings
        self.is_up = True

    def shutdown(self) -> None:
        """Disconnect, like Ray's."""
        self.is_up = False

    def cluster_resources(self) -> dict[str, float]:
        """The processors of the cluster, like Ray's."""
        return {"CPU": self.processors}

    def kill(self, actor: FakeActor) -> None:
        """End an actor, like Ray's."""
        actor.is_killed = True

    def remote(self, actor_class: type[ClientActor]) -> SimpleNamespace:
        """Make an actor of a class, like Ray's."""

        def make(make_client: Any) -> FakeActor:
            self.actors.append(FakeActor(lambda: actor_class(make_client)))
            return self.actors[-1]

        def options(**given: Any) -> SimpleNamespace:
            self.options = given
            return SimpleNamespace(remote=make)

        return SimpleNamespace(options=options)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """What is imported as Ray."""
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake.exceptions)
    monkeypatch.setitem(sys.modules, "ray.cloudpickle", fake.cloudpickle)
    return fake


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray cannot be imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


class Cluster:
    """A run on a cluster whose workers ask one service.

    Attributes:
        service: What answers.
        made: How many clients were made.
        engine: What asks; None before the run.
    """

    def __init__(self, say: Callable[[str], Turn] | None = None, *, attempts: int = 5) -> None:
        self.service = Service(seconds=0) if say is None else Service(say, seconds=0)
        self.attempts = attempts
        self.made = 0
        self.engine: Engine | None = None

    def client(self) -> BingClient:
        """One more client."""
        self.made += 1
        return client_of(self.service, attempts=self.attempts, first_wait=0.0)

    async def of(
        self, asked: AsyncGenerator[Row, None], *, workers: int | None = 2, concurrency: int = 4, address: str = "local"
    ) -> list[dict[str, Any]]:
        """What comes of these rows."""
        async with RayWorkers(address, self.client, workers=workers, concurrency=concurrency) as pool:
            self.engine = Engine(pool, concurrency=concurrency)
            return await all_of(self.engine, asked)


def texts(answered: list[dict[str, Any]]) -> dict[int, str]:
    """The text of each output row by its id."""
    assert len({each["id"] for each in answered}) == len(answered)
    return {each["id"]: each["text"] for each in answered}


# --- what is asked ----------------------------------------------------------------------------------------------------


async def test_each_row_is_asked_once_by_all_workers(ray: FakeRay) -> None:
    """Each worker has one client, both have about as much to do, and both together keep to the limit."""
    cluster = Cluster()
    answered = await cluster.of(rows(50), concurrency=4)
    assert texts(answered) == {number: f"Re: Question {number}" for number in range(1, 51)}
    assert Counter(cluster.service.texts) == Counter(f"Question {number}" for number in range(1, 51))
    assert (cluster.made, cluster.service.most) == (2, 4)
    assert [actor.calls.count("ask") for actor in ray.actors] == pytest.approx([25, 25], abs=5)


@pytest.mark.usefixtures("ray")
async def test_a_worker_that_is_busy_gets_no_more_than_its_share() -> None:
    """Turns go to the worker with the fewest open ones."""
    cluster = Cluster()
    begun = 0

    async def asked() -> AsyncGenerator[Row, None]:
        nonlocal begun
        async for each in rows(3):
            begun += 1
            yield each

    pool = RayWorkers("local", cluster.client, workers=3, concurrency=3)
    async with pool:
        await all_of(Engine(pool, concurrency=3), asked())
        assert [worker.actor.calls.count("ask") for worker in pool._workers] == [1, 1, 1]  # type: ignore[attr-defined]
    assert begun == 3


async def test_nothing_is_sent_but_what_is_asked(ray: FakeRay) -> None:
    """Other fields of a row stay here, and come out again."""

    class Unsendable:
        def __reduce__(self) -> str:
            raise AssertionError("It was sent.")

    async def one() -> AsyncGenerator[Row, None]:
        yield Row(number=1, id=1, fields={"prompt": "Hello", "tag": Unsendable()}, prompt="Hello")

    (answered,) = await Cluster().of(one())
    assert isinstance(answered["tag"], Unsendable)
    assert ray.actors


@pytest.mark.usefixtures("ray")
async def test_a_row_that_cannot_be_sent_fails_without_a_turn() -> None:
    """The worker that knows the models checks it, and nothing is counted."""
    cluster = Cluster()

    async def one() -> AsyncGenerator[Row, None]:
        yield row(1, "Hello", model="gpt-none")

    (answered,) = await cluster.of(one())
    assert (answered["error"]["type"], answered["attempts"]) == ("ConfigurationError", 0)
    assert cluster.engine is not None
    assert (cluster.engine.turns, cluster.service.texts) == (0, [])


@pytest.mark.usefixtures("ray")
async def test_a_row_has_the_attempts_of_its_client() -> None:
    """They are the client's own, and a row that has used them up has failed."""
    cluster = Cluster(lambda text: answer("Fine.") if text == "Question 1" else ServiceError("Down."), attempts=3)
    answered = {each["id"]: each for each in await cluster.of(rows(2))}
    assert answered[1]["text"] == "Fine."
    assert (answered[2]["error"]["message"], answered[2]["attempts"]) == ("Down.", 3)
    assert cluster.service.texts.count("Question 2") == 3


@pytest.mark.usefixtures("ray")
async def test_what_throttles_one_worker_slows_all() -> None:
    """The limits are those of the whole run: after a refusal no worker begins a turn."""
    cluster = Cluster(lambda _text: Throttled("Slow down.", retry_after=600.0))
    asked = asyncio.create_task(cluster.of(rows(50), concurrency=4))
    while cluster.engine is None or not cluster.engine.waiting:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    assert "throttles" in cluster.engine.waiting
    begun = cluster.engine.turns
    assert begun <= 4
    cluster.engine.stop()
    assert await asked == []
    assert cluster.engine.turns == begun


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ray")
async def test_to_stop_lets_open_turns_end() -> None:
    """They are answered; no other row is asked."""
    cluster = Cluster()

    def say(text: str) -> Turn:
        if text == "Question 2":
            assert cluster.engine is not None
            cluster.engine.stop()
        return answer(f"Re: {text}")

    cluster.service._say = say
    answered = await cluster.of(rows(100), concurrency=2)
    assert len(answered) == len(cluster.service.texts) <= 3
    assert 2 in texts(answered)


@pytest.mark.usefixtures("ray")
async def test_a_stop_ends_the_wait_for_another_attempt() -> None:
    """Nobody waits for an attempt that will not be made."""
    cluster = Cluster()

    def say(_text: str) -> Turn:
        assert cluster.engine is not None
        asyncio.get_running_loop().call_soon(cluster.engine.stop)
        return ServiceError("Down.", retry_after=600.0)

    cluster.service._say = say
    assert await cluster.of(rows(1)) == []


@pytest.mark.usefixtures("ray")
async def test_a_refused_caller_ends_the_run() -> None:
    """The row is left undone, and the engine says why."""
    cluster = Cluster(lambda _text: Unauthorized("Not you."))
    assert await cluster.of(rows(5), concurrency=1) == []
    assert cluster.engine is not None
    assert isinstance(cluster.engine.stopped, Unauthorized)


@pytest.mark.usefixtures("ray")
async def test_an_error_that_is_not_a_service_s_comes_out() -> None:
    """A fault of ours is not taken for a failed row."""

    def fails(_text: str) -> Turn:
        raise ZeroDivisionError

    with pytest.raises(RayTaskError, match="ZeroDivisionError"):
        await Cluster(fails).of(rows(1))


async def test_all_that_was_begun_is_ended(ray: FakeRay) -> None:
    """The actors, and the Ray that was started for them."""
    await Cluster().of(rows(3))
    assert [actor.is_killed for actor in ray.actors] == [True, True]
    assert not ray.is_up


# --- workers that die or cannot work ----------------------------------------------------------------------------------


async def test_a_worker_that_dies_loses_nothing(ray: FakeRay) -> None:
    """Its open turns are asked again, Ray restarts it, and each row has one answer."""
    cluster = Cluster(attempts=8)

    def say(text: str) -> Turn:
        if text == "Question 5" and ray.actors[0].starts == 1:
            ray.actors[0].die()
        return answer(f"Re: {text}")

    cluster.service._say = say
    answered = await cluster.of(rows(40), concurrency=4)
    assert texts(answered) == {number: f"Re: Question {number}" for number in range(1, 41)}
    assert [actor.starts for actor in ray.actors] == [2, 1]
    assert cluster.made == 3
    assert cluster.engine is not None
    assert sum(each["attempts"] for each in answered) == cluster.engine.turns > 40  # a turn that was lost counts


async def test_a_paid_turn_that_was_lost_with_its_worker_is_not_sent_again(ray: FakeRay) -> None:
    """The service may have answered it: the row has failed, as after a lost connection."""
    cluster = Cluster()
    cluster.service.metering = Metering(metered=True)

    def say(text: str) -> Turn:
        ray.actors[0].die()
        return answer(text)

    cluster.service._say = say
    (failed,) = await cluster.of(rows(1), workers=1)
    assert (failed["error"]["type"], failed["attempts"]) == ("ConnectionLost", 1)


async def test_a_worker_that_dies_while_it_checks_a_row_costs_no_attempt(ray: FakeRay) -> None:
    """Nothing was sent to the service."""
    cluster = Cluster()
    async with RayWorkers("local", cluster.client, workers=1, concurrency=1) as pool:
        await pool.open()
        ray.actors[0].die()
        turn = await pool.prepare(row(1))
        assert not isinstance(turn, BingError)
        assert (await turn.ask()).text == "Re: Question 1"
    assert ray.actors[0].starts == 2


async def test_a_cluster_that_is_gone_stops_the_run(ray: FakeRay, tmp_path: Path) -> None:
    """No worker comes back: the rows are left undone."""
    cluster = Cluster()

    def say(text: str) -> Turn:
        for actor in ray.actors:
            actor.is_killed = True
            actor.die()
        return answer(text)

    cluster.service._say = say
    output = tmp_path / "answers.jsonl"
    with pytest.raises(BatchStopped, match="The Ray cluster was lost") as caught:
        await arun(["Hello"] * 5, output, client=cluster.client, ray="local", workers=2)
    assert caught.value.summary.answered == caught.value.summary.failed == 0
    assert output.read_bytes() == b""


async def test_a_cluster_that_is_gone_is_the_reason_of_an_open_turn(ray: FakeRay) -> None:
    """It is an error that stops a batch, and no failure of the row."""
    async with RayWorkers("local", Cluster().client, workers=1, concurrency=1) as pool:
        await pool.open()
        turn = await pool.prepare(row(1))
        assert not isinstance(turn, BingError)
        ray.actors[0].is_killed = True
        with pytest.raises(BingError, match="has died"):
            await turn.ask()
        with pytest.raises(BatchStopped, match="The Ray cluster was lost"):
            await turn.ask()


@pytest.mark.usefixtures("ray")
async def test_a_client_that_cannot_be_made_ends_the_run() -> None:
    """The reason is what its making raised; nothing was asked."""

    def fails() -> BingClient:
        raise ConfigurationError("No cookies.", hint="Set them.")

    async with RayWorkers("local", fails, workers=2, concurrency=2) as pool:
        engine = Engine(pool, concurrency=2)
        with pytest.raises(BatchStopped, match=r"No cookies\. Set them\.") as caught:
            await all_of(engine, rows(5))
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert engine.turns == 0


@pytest.mark.usefixtures("ray")
async def test_one_worker_without_a_client_ends_the_run_too() -> None:
    """A machine without cookies is a mistake that somebody should hear of."""
    cluster = Cluster()

    def second_fails() -> BingClient:
        if cluster.made:
            raise ConfigurationError("No cookies.")
        return cluster.client()

    async with RayWorkers("local", second_fails, workers=2, concurrency=2) as pool:
        with pytest.raises(BatchStopped, match=r"No cookies"):
            await all_of(Engine(pool, concurrency=2), rows(5))


async def test_an_actor_without_a_client_returns_why() -> None:
    """Whatever it is called for."""

    def fails() -> BingClient:
        raise ConfigurationError("No cookies.")

    actor = ClientActor(fails)
    for found in (await actor.start(), await actor.check(row(1)), await actor.ask(row(1))):
        assert isinstance(found, ConfigurationError)


async def test_without_a_function_the_environment_makes_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine has its own settings; none are sent."""
    monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
    actor = ClientActor(None)
    assert isinstance(actor._client, BingClient)
    assert actor._client.backend_name == "chathub"
    assert await actor.start() == Retries()
    await actor._client.aclose()


# --- the beginning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processors", "concurrency", "expected"), [(3.0, 8, 3), (16.0, 4, 4), (0.5, 4, 1)])
async def test_there_is_a_worker_for_each_processor(
    ray: FakeRay, processors: float, concurrency: int, expected: int
) -> None:
    """Of the cluster, and no more than rows may be open; each may have all of them, if the others are gone."""
    ray.processors = processors
    await Cluster().of(rows(1), workers=None, concurrency=concurrency)
    assert len(ray.actors) == expected
    assert ray.options["max_concurrency"] > concurrency
    assert ray.options["scheduling_strategy"] == "SPREAD"


async def test_a_ray_of_this_process_is_used_and_stays(ray: FakeRay) -> None:
    """Whoever connected it ends it."""
    ray.is_up = True
    await Cluster().of(rows(3))
    assert ray.settings is None
    assert ray.is_up
    assert all(actor.is_killed for actor in ray.actors)


@pytest.mark.parametrize(("address", "is_own"), [("local", True), ("auto", False), ("10.0.0.1:6379", False)])
async def test_a_ray_is_started_or_connected_to(ray: FakeRay, address: str, *, is_own: bool) -> None:
    """One of this machine's own has as many processors as workers, and no dashboard."""
    await Cluster().of(rows(1), workers=3, address=address)
    assert ray.settings is not None
    assert ray.settings["address"] == address
    assert (ray.settings.get("num_cpus") == 3) == is_own


async def test_a_cluster_that_is_not_reached_is_reported(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was asked."""

    def fails(**_settings: Any) -> None:
        raise ConnectionError("Nobody there.")

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(ConfigurationError, match=r"no connection to a Ray cluster at 'auto': Nobody there"):
        await Cluster().of(rows(1), address="auto")


async def test_a_function_that_cannot_be_sent_is_refused(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a Ray is started."""

    def fails(_function: object) -> bytes:
        raise TypeError("cannot pickle a lock")

    monkeypatch.setattr(ray.cloudpickle, "dumps", fails)
    with pytest.raises(ConfigurationError, match="cannot be sent to other processes: cannot pickle a lock"):
        await Cluster().of(rows(1))
    assert ray.settings is None


async def test_without_rows_there_is_no_ray(ray: FakeRay) -> None:
    """A run that is complete already starts nothing."""
    assert await Cluster().of(rows(0)) == []
    assert ray.settings is None


@pytest.mark.usefixtures("no_ray")
async def test_without_ray_nothing_is_asked() -> None:
    """The error names the extra."""
    cluster = Cluster()
    with pytest.raises(ConfigurationError, match=r"bing-llm\[ray\]"):
        await cluster.of(rows(3))
    assert cluster.made == 0


def test_the_client_protocol_is_refused() -> None:
    """The error says what to do instead."""
    with pytest.raises(ConfigurationError, match="ray://") as caught:
        RayWorkers("ray://head:10001", concurrency=4)
    assert "auto" in caught.value.hint


# --- while rows are awaited -------------------------------------------------------------------------------------------


async def endless() -> AsyncGenerator[Row, None]:
    """A row, and then nothing for ever, as from a terminal."""
    yield row(1)
    await asyncio.Event().wait()


@pytest.mark.usefixtures("ray")
async def test_a_row_is_asked_before_the_next_one_is_there() -> None:
    """Rows are taken as they can begin; a stop does not wait for one that may never come."""
    cluster = Cluster()

    def say(text: str) -> Turn:
        assert cluster.engine is not None
        asyncio.get_running_loop().call_soon(cluster.engine.stop)
        return answer(f"Re: {text}")

    cluster.service._say = say
    assert texts(await cluster.of(endless())) == {1: "Re: Question 1"}
    assert cluster.engine is not None
    assert cluster.engine.stopped is None
    assert cluster.engine.waiting == ""


@pytest.mark.usefixtures("ray")
async def test_rows_that_cannot_be_read_end_it() -> None:
    """What the input raises comes out."""

    async def broken() -> AsyncGenerator[Row, None]:
        yield row(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Cluster().of(broken())


@pytest.mark.parametrize("steps", [1, 5, 50])
async def test_to_cancel_it_ends_all_that_was_begun(ray: FakeRay, steps: int, no_leaked_tasks: None) -> None:
    """Wherever it was: while Ray starts, or while a turn is open."""
    del no_leaked_tasks
    asked = asyncio.create_task(Cluster().of(endless()))
    for _ in range(steps):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert all(actor.is_killed for actor in ray.actors)
    assert not ray.is_up
