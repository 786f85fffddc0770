"""A batch on a Ray of this machine that is killed: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bing_llm.emulator import Emulator
from tests.batch.clustered import SETTINGS, Service
from tests.batch.process import check_all_answered, ended, read_rows, start, write_rows

pytestmark = pytest.mark.cluster

TIMEOUT_S = 250.0
"""Far beyond what it needs, which is mostly the start of Ray: some ten seconds, or a minute on a busy machine."""


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
        assert (tmp_path / "answers.jsonl.rows").exists()
        service.asked.clear()
        code, err = ended(start(emulator.url, *command, first=first), TIMEOUT_S)
    assert code == 0, err
    assert not {row["prompt"] for row in kept} & {*service.asked}
    check_all_answered(read_rows(target), 200)
    assert {*tmp_path.iterdir()} == {source, target}
