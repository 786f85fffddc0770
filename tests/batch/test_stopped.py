"""A batch that is stopped: by Ctrl-C, a lost service, or a full disk. What is done is kept, and gone on with."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bing_llm import BingClient, batch, errors, sync
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question
from tests.batch.process import TIMEOUT_S, answer_to, check_all_answered, ended, read_rows, start, write_rows
from tests.children import read_line

COUNT = 40
FREE = 20
OPEN = 4
"""So many rows; of them, so many that are answered at once; and so many that are open at once, as --concurrency is."""


class Holding:
    """A brain that answers some questions at once, and the others when it is released.

    Attributes:
        asked: How often each prompt was asked.
        held: Set when as many turns wait as may be open.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.held = threading.Event()
        self._gate = asyncio.Event()

    async def answer(self, question: Question) -> AsyncIterator[ev.Event | errors.BingError]:
        """One piece of text, or nothing for now."""
        self.asked[question.text] += 1
        if self.asked.total() == FREE + OPEN:
            self.held.set()
        if self.asked.total() > FREE:
            await self._gate.wait()
        yield ev.TextDelta(answer_to(question.text))

    def release(self) -> None:
        """Answer what waits, and all that comes."""

        async def open_gate() -> None:
            self._gate.set()

        sync.run(open_gate())


@pytest.fixture
def brain() -> Holding:
    """What the service says."""
    return Holding()


@pytest.fixture
def emulator(brain: Holding) -> Iterator[Emulator]:
    """The service."""
    with Emulator(brain) as emulator:
        yield emulator


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The input."""
    source = tmp_path / "prompts.jsonl"
    write_rows(source, COUNT)
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The output."""
    return tmp_path / "answers.jsonl"


def press(process: subprocess.Popen[bytes]) -> str:
    """Press Ctrl-C; what it says to that."""
    process.send_signal(signal.SIGINT)
    return read_line(process)


def go_on(emulator: Emulator, brain: Holding, source: Path, target: Path) -> None:
    """A further run asks what is not done, once, and completes the output."""
    done = {row["prompt"] for row in read_rows(target)}
    brain.asked.clear()
    summary = batch.run(source, target, client=lambda: BingClient(endpoint=emulator.url))
    assert (summary.complete, summary.earlier, summary.answered) == (True, len(done), COUNT - len(done))
    check_all_answered(read_rows(target), COUNT)
    assert brain.asked == Counter({f"Question {number}" for number in range(COUNT)} - done)


def test_ctrl_c_ends_the_open_turns_first(emulator: Emulator, brain: Holding, source: Path, target: Path) -> None:
    """It says so and begins no other; their answers are kept, the exit code is 130, and nothing is asked twice."""
    process = start(emulator.url, source, target, "--concurrency", str(OPEN))
    assert brain.held.wait(TIMEOUT_S)
    assert press(process).startswith("bing-llm: No further row is begun")
    brain.release()
    code, err = ended(process)
    assert code == 130
    assert err.startswith(f"answered          {FREE + OPEN}\n")
    assert "Traceback" not in err
    assert len(read_rows(target)) == FREE + OPEN
    go_on(emulator, brain, source, target)


@pytest.mark.system
def test_a_second_ctrl_c_stops_at_once(emulator: Emulator, brain: Holding, source: Path, target: Path) -> None:
    """The open turns are left, what was done is kept, and the exit code is 130."""
    process = start(emulator.url, source, target, "--concurrency", str(OPEN))
    assert brain.held.wait(TIMEOUT_S)
    press(process)
    process.send_signal(signal.SIGINT)
    code, err = ended(process)
    assert code == 130
    assert "the same command goes on with it" in err
    assert "Traceback" not in err
    assert 0 < len(read_rows(target)) <= FREE
    brain.release()
    go_on(emulator, brain, source, target)


@pytest.mark.system
def test_a_lost_service_stops_it(emulator: Emulator, brain: Holding, source: Path, target: Path) -> None:
    """When the patience is over, no row is blamed for it; another service completes the output."""
    process = start(emulator.url, source, target, "--concurrency", str(OPEN), "--patience", "0.001")
    assert brain.held.wait(TIMEOUT_S)
    sync.run(emulator.aclose())
    code, err = ended(process)
    assert code == 1
    assert "bing-llm: The batch stopped: " in err.splitlines()[-1]
    assert "Traceback" not in err
    rows = read_rows(target)
    assert 0 < len(rows) <= FREE
    assert not [row for row in rows if "error" in row]
    sync.run(emulator.start())
    brain.release()
    go_on(emulator, brain, source, target)


@pytest.mark.system
@pytest.mark.parametrize("refusal", [errors.Unauthorized(), errors.CaptchaRequired()], ids=lambda it: type(it).__name__)
def test_a_refused_caller_stops_it(emulator: Emulator, source: Path, target: Path, refusal: errors.BingError) -> None:
    """Each further row would meet the same, so none is asked and none is blamed."""

    class Refusing(Holding):
        async def answer(self, question: Question) -> AsyncIterator[ev.Event | errors.BingError]:
            self.asked[question.text] += 1
            yield ev.TextDelta(answer_to(question.text)) if self.asked.total() <= FREE else refusal

    emulator.brain = Refusing()
    code, err = ended(start(emulator.url, source, target))
    assert code == 1
    assert refusal.default_hint.partition(",")[0] in err.splitlines()[-1]  # the rest is in the words of the command
    assert 0 < len(read_rows(target)) <= FREE
    brain = Holding()
    brain.release()
    emulator.brain = brain
    go_on(emulator, brain, source, target)


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
"""No file grows beyond that, as on a full disk. Python ignores the signal that says so."""


@pytest.mark.system
def test_a_full_disk_stops_it(emulator: Emulator, brain: Holding, source: Path, target: Path) -> None:
    """The output ends with a whole line, and the reason is shown; with room again, it is completed."""
    brain.release()
    code, err = ended(start(emulator.url, source, target, first=LIMITED.format(4321)))
    assert code == 1
    assert "The output cannot be written: File too large." in err.splitlines()[-1]
    assert "Traceback" not in err
    content = target.read_bytes()
    assert content.endswith(b"\n")
    assert 0 < len(read_rows(target)) < COUNT
    go_on(emulator, brain, source, target)


@pytest.mark.system
def test_a_full_stdout_stops_it(emulator: Emulator, brain: Holding, source: Path) -> None:
    """It is shown in one line below the summary."""
    brain.release()
    with Path("/dev/full").open("wb") as full:
        process = start(emulator.url, source, "-", stdout=full)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith(b"bing-llm: The output cannot be written: No space left on device.")
    assert b"Exception" not in err


@pytest.mark.system
def test_a_reader_that_leaves_loses_the_rest(emulator: Emulator, brain: Holding, source: Path) -> None:
    """If nobody reads stdout any more, answers are lost: the batch ends with 1, and says so on stderr."""
    process = start(emulator.url, source, "-", "--concurrency", str(OPEN))
    assert brain.held.wait(TIMEOUT_S)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["text"]
    process.stdout.close()
    brain.release()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 1
    assert b"Traceback" not in err
    assert err.splitlines()[-1].startswith(b"bing-llm: The output cannot be written: Broken pipe.")
