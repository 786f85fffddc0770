"""A batch that is killed again and again, and a service that fails now and then: nothing lost, nothing twice."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Cut, Emulator, FaultPoint, HttpAnswer, Question
from bing_llm.emulator.fault_plan import FaultKind
from tests.batch.helpers import quick_loop
from tests.batch.process import answer_to, check_all_answered, ended, read_rows, start, write_rows

FAULTY = 0.02
"""Of each of these five steps; so one turn in ten meets one. None asks to wait: the batch would, in earnest."""

FAULTS: dict[str, tuple[FaultKind, ...]] = {
    "creation": (HttpAnswer(503), HttpAnswer(500), errors.ServiceError()),
    "upgrade": (HttpAnswer(502), HttpAnswer(503)),
    "first": (Cut(), Cut("type 7"), errors.ServiceError(), errors.ConversationBusy(), errors.ContentFiltered()),
    "mid": (Cut(), Cut("close 1001"), errors.ServiceError(), errors.ProtocolError()),
    "last": (Cut(), Cut("close 1000"), Cut("type 3")),
}
FEWEST_FAULTS = {2000: 100, 120: 2}
"""That so many rows must meet: half of what is expected, or less where chance could go below that."""

MOMENTS = 6
"""Of a turn without a fault: those five and the handshake."""


class Service:
    """A brain and a plan of faults that also kill whoever asks, by chance and by a seed.

    Attributes:
        asked: The prompts that were asked since `kill_after`.
        hits: How many faults there were.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - runs must be repeatable
        self.asked: set[str] = set()
        self.hits = 0
        self._victim: subprocess.Popen[bytes] | None = None
        self._left = 0

    def kill_after(self, moments: int, victim: subprocess.Popen[bytes]) -> None:
        """Kill the process at that moment from now on."""
        self._left, self._victim = moments, victim

    async def answer(self, question: Question) -> AsyncIterator[ev.Event]:
        """One piece of text."""
        self.asked.add(question.text)
        yield ev.TextDelta(answer_to(question.text))

    def __call__(self, moment: FaultPoint) -> FaultKind | None:
        """What goes wrong at a moment."""
        self._left -= 1
        if self._left == 0 and self._victim is not None:
            self._victim.kill()
        if self.random.random() >= FAULTY or moment.step not in FAULTS:
            return None
        self.hits += 1
        return self.random.choice(FAULTS[moment.step])


@pytest.fixture
def service() -> Service:
    """The same troubles each time."""
    return Service(seed=8)


@pytest.fixture
def endpoint(service: Service) -> Iterator[str]:
    """Where it is."""
    with Emulator(service, faults=service) as emulator, quick_loop():
        yield emulator.url


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("jsonl", 120),
        pytest.param("jsonl", 2000, marks=pytest.mark.system),
        pytest.param("csv", 120, marks=pytest.mark.system),
        pytest.param("parquet", 120, marks=pytest.mark.system),
    ],
)
def test_each_row_is_there_once_however_often_the_run_is_killed(
    service: Service, endpoint: str, tmp_path: Path, kind: str, count: int
) -> None:
    """Three runs end by SIGKILL, two of them with a torn last line; the next ones complete the output."""
    source, target = tmp_path / f"prompts.{kind}", tmp_path / f"answers.{kind}"
    journal = target if kind == "jsonl" else tmp_path / f"answers.{kind}.journal.jsonl"
    write_rows(source, count)
    command = (source, target, "--concurrency", "8", "--retry-failed")
    for torn in (True, False, True):
        kept = {row["prompt"] for row in read_rows(journal) if "error" not in row}
        service.asked.clear()
        process = start(endpoint, *command)
        service.kill_after(service.random.randint(count // 5, count // 4) * MOMENTS, process)
        code, _ = ended(process)
        assert code == -signal.SIGKILL
        assert not kept & service.asked
        rows = read_rows(journal)
        assert len({row["id"] for row in rows}) == len(rows) > len(kept)
        if torn:
            tear(journal, service.random)
    for _ in range(5):
        code, err = ended(start(endpoint, *command))
        if code == 0:
            break
    assert code == 0, err
    assert service.hits > FEWEST_FAULTS[count]
    assert {*tmp_path.iterdir()} == {source, target}
    check_all_answered(read_rows(target), count)


def tear(journal: Path, random: Random) -> None:
    """Leave some bytes of the last line, as if the kill had come in the middle of its writing."""
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1][: random.randrange(1, len(lines[-1]))]
    journal.write_bytes(b"".join(lines))
