"""A Ray of this machine with two workers: the same rows as from one machine, each once, whatever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.batch.runner import Batch, arun
from bing_llm.client import BingClient
from bing_llm.emulator import Cut, Emulator, FaultPoint, Question
from bing_llm.emulator.fault_plan import FaultKind
from bing_llm.errors import BatchStopped, ConfigurationError
from bing_llm.limits import Retries
from tests.batch.helpers import quick_loop
from tests.batch.process import answer_to, check_all_answered, ended, read_rows, start, write_rows

pytestmark = pytest.mark.cluster

SETTINGS = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` it would copy the checkout, and build it again
    "RAY_USAGE_STATS_ENABLED": "0",
}

TIMEOUT_S = 250.0
"""Far beyond what a process needs, mostly to start Ray: some ten seconds, or a minute on a busy machine."""

TWO: dict[str, Any] = {"ray": "local", "workers": 2}


class Service:
    """What answers, and counts.

    Attributes:
        asked: The prompts that were asked, each as often as it was answered.
        open: How many turns are open.
        most: How many were, at most.
        when: What to do when so many turns have begun.
        begun: When each turn began, in seconds of its loop.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.open = 0
        self.most = 0
        self.when: dict[int, Callable[[], object]] = {}
        self.begun: list[float] = []

    async def answer(self, question: Question) -> AsyncIterator[ev.Event]:
        """One piece of text, after the turns of others had their chance to begin."""
        self.begun.append(asyncio.get_running_loop().time())
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self.when.pop(len(self.begun), lambda: None)()
            await asyncio.sleep(0.02)
            self.asked[question.text] += 1
            yield ev.TextDelta(answer_to(question.text))
        finally:
            self.open -= 1


def names_in(folder: Path) -> set[str]:
    """What is there."""
    return {file.name for file in folder.iterdir()}


def one_in_ten(moment: FaultPoint) -> FaultKind | None:
    """Breaks every tenth answer in its middle."""
    return Cut() if moment.step == "mid" and moment.turn % 10 == 0 else None


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """A Ray that all tests here use, but for those that start a process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.delenv("PYTHONASYNCIODEBUG", raising=False)  # the workers would have it, and be slow
        import ray  # noqa: PLC0415 - of the group `cluster` alone

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def service() -> Service:
    """What answers."""
    return Service()


class Clients:
    """Makes clients of an emulator, and notes in which process: each leaves a file there."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.url = emulator.url
        self.folder = folder
        folder.mkdir()

    def __call__(self) -> BingClient:
        """One more."""
        (self.folder / f"{os.getpid()}-{uuid.uuid4()}").touch()
        patient = Retries(attempts=8, first_wait=0.01)  # no row of 2,000 meets so many faults
        return BingClient(backend="chathub", endpoint=self.url, retries=patient)

    @property
    def processes(self) -> list[int]:
        """The process of each client that was made."""
        return sorted(int(file.name.partition("-")[0]) for file in self.folder.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Where the input is."""
    return tmp_path / "prompts.jsonl"


def on_this_loop(call: Callable[[], object]) -> Callable[[], object]:
    """A call that runs on this loop, for the service, which has another."""
    loop = asyncio.get_running_loop()
    return lambda: loop.call_soon_threadsafe(call)


def without_measures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Output rows by their ids, without what differs from run to run."""
    kept = [{name: value for name, value in row.items() if name not in ("attempts", "seconds")} for row in rows]
    return sorted(kept, key=lambda row: str(row["id"]))


async def test_two_workers_give_what_one_process_gives(service: Service, source: Path, tmp_path: Path) -> None:
    """2,000 prompts with a fault in each tenth turn: each id once, from one client a worker, at one pace."""
    target, other = tmp_path / "answers.jsonl", tmp_path / "other.jsonl"
    write_rows(source, 2000)
    with Emulator(service, faults=one_in_ten) as emulator, quick_loop():
        clients = Clients(emulator, tmp_path / "clients")
        summary = await arun(source, target, client=clients, concurrency=64, **TWO)
        made = clients.processes
        assert service.most <= 64  # each worker alone holds more rows than that
        await arun(source, other, client=clients, concurrency=64)
    assert (summary.complete, summary.answered, summary.failed) == (True, 2000, 0)
    assert summary.turns > 2200
    assert len({*made}) == len(made) == 2
    rows = read_rows(target)
    check_all_answered(rows, 2000)
    assert without_measures(rows) == without_measures(read_rows(other))
    assert names_in(tmp_path) == {"prompts.jsonl", "answers.jsonl", "other.jsonl", "clients"}


async def test_the_rate_is_that_of_both_workers(service: Service, source: Path, tmp_path: Path) -> None:
    """One turn a second is one of the whole run: were each worker to count by itself, half the time would do."""
    write_rows(source, 8)
    with Emulator(service) as emulator:
        clients = Clients(emulator, tmp_path / "clients")
        summary = await arun(source, tmp_path / "answers.jsonl", client=clients, concurrency=8, rate=60, **TWO)
    assert (summary.complete, summary.turns, len(clients.processes)) == (True, 8, 2)
    assert service.begun[-1] - service.begun[0] > 5  # of 7 s: the first turn may take long to get there


async def test_a_worker_that_is_killed_loses_nothing(service: Service, source: Path, tmp_path: Path) -> None:
    """Its rows are asked again, its open turns are free again, and each id is there once."""
    target = tmp_path / "answers.jsonl"
    write_rows(source, 120)
    with Emulator(service) as emulator:
        clients = Clients(emulator, tmp_path / "clients")
        killed: list[int] = []

        def kill() -> None:
            killed.append(clients.processes[0])
            os.kill(killed[0], signal.SIGKILL)

        service.when[40] = kill
        summary = await arun(source, target, client=clients, concurrency=4, **TWO)
    assert len(killed) == 1
    assert (summary.complete, summary.answered) == (True, 120)
    assert service.most <= 8  # what the dead one had open is not closed at once
    check_all_answered(read_rows(target), 120)


async def test_a_run_that_is_stopped_keeps_what_was_open(service: Service, source: Path, tmp_path: Path) -> None:
    """No answer of the service is lost, no further row is asked, and the next run asks the rest alone."""
    target = tmp_path / "answers.jsonl"
    write_rows(source, 300)
    with Emulator(service) as emulator:
        clients = Clients(emulator, tmp_path / "clients")
        batch = Batch(source, target, client=clients, concurrency=4, **TWO)
        service.when[20] = on_this_loop(batch.stop)
        summary = await batch.run()
        assert not summary.complete
        assert 20 <= summary.answered == sum(service.asked.values()) < 300
        assert {row["prompt"] for row in read_rows(target)} == {*service.asked}
        again = await arun(source, target, client=clients, concurrency=32, **TWO)
    assert (again.complete, again.earlier, again.answered) == (True, summary.answered, 300 - summary.answered)
    assert {*service.asked.values()} == {1}
    check_all_answered(read_rows(target), 300)


async def test_a_run_that_is_cancelled_stops_at_once(service: Service, source: Path, tmp_path: Path) -> None:
    """Nothing continues after it, and what was written is whole."""
    target = tmp_path / "answers.jsonl"
    write_rows(source, 300)
    with Emulator(service) as emulator:
        run = asyncio.ensure_future(
            arun(source, target, client=Clients(emulator, tmp_path / "clients"), concurrency=4, **TWO)
        )
        service.when[20] = on_this_loop(run.cancel)
        with pytest.raises(asyncio.CancelledError):
            await run
        begun = sum(service.asked.values())
    assert begun < 300
    assert {row["prompt"] for row in read_rows(target)} <= {*service.asked}


async def test_a_worker_that_cannot_make_its_client_ends_the_run(source: Path, tmp_path: Path) -> None:
    """The reason crosses the cluster; nothing is asked."""
    write_rows(source, 100)

    def fails() -> BingClient:
        raise ConfigurationError("This machine has no cookies.")

    with pytest.raises(BatchStopped, match="This machine has no cookies") as caught:
        await arun(source, tmp_path / "answers.jsonl", client=fails, concurrency=4, **TWO)
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert caught.value.summary.turns == 0


async def test_a_function_that_cannot_be_sent_is_refused(source: Path, tmp_path: Path) -> None:
    """A client that it holds stays here, with its secrets."""
    write_rows(source, 1)
    client = BingClient(backend="chathub", endpoint="https://bing.example", cookies="_U=secret")
    with pytest.raises(ConfigurationError, match="cannot be sent") as caught:
        await arun(source, tmp_path / "answers.jsonl", client=lambda: client, **TWO)
    assert "secret" not in str(caught.value)
    await client.aclose()


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL for the process that runs the batch ends its Ray too; the next run asks what is not kept."""
    service = Service()
    source, target = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    write_rows(source, 200)
    first = "".join(f"import os; os.environ[{name!r}] = {value!r}; " for name, value in SETTINGS.items())
    first += "import warnings; warnings.filterwarnings('ignore', category=DeprecationWarning, module=r'ray\\.')"
    command = (source, target, "--ray", "local", "--workers", "2", "--concurrency", "8")
    with Emulator(service) as emulator:
        process = start(emulator.url, *command, first=first)
        service.when[80] = process.kill
        code, err = ended(process, TIMEOUT_S)
        assert code == -signal.SIGKILL, err
        kept = read_rows(target)
        assert 0 < len(kept) < 200
        service.asked.clear()
        code, err = ended(start(emulator.url, *command, first=first), TIMEOUT_S)
    assert code == 0, err
    assert not {row["prompt"] for row in kept} & {*service.asked}
    check_all_answered(read_rows(target), 200)
    assert {*tmp_path.iterdir()} == {source, target}
