"""Whole processes: what changes asyncio for all of one, what ends with it, and an LLM that travels to others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bing_llm.emulator import Emulator, Scripted
from tests.integrations.llama_index.llms.bing.services import becomes_idle

pytestmark = pytest.mark.system  # each starts a Python with LlamaIndex in it

SCRIPTS = Path(__file__).parent / "scripts"
TIMEOUT_S = 120.0
"""Far beyond what a process that imports LlamaIndex needs: reached only by one that hangs."""

NO_LOOP = "ignore:There is no current event loop:DeprecationWarning"
"""LlamaIndex asks for the loop of a thread that has none, of which Python 3.12 and 3.13 warn."""

ANSWERS = {"left_open": 5, "nested": 18, "notebook": 11, "pipeline": 2, "workers": 3}
"""How many answers each script shows, one a line."""


def test_each_script_is_run() -> None:
    """What lies there is run below."""
    assert {script.stem for script in SCRIPTS.glob("*.py")} == ANSWERS.keys()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_process_is_answered_and_ends_quietly(name: str, bing_emulator: Emulator) -> None:
    """Each call has the model's text, all warnings are errors, and nothing is reported at the end: all is closed."""
    bing_emulator.brain = Scripted(lambda _question: ["ti", "de"])
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-W", NO_LOOP, SCRIPTS / f"{name}.py", bing_emulator.url],
        env={name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"},
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["tide"] * ANSWERS[name]
    assert becomes_idle(bing_emulator)
