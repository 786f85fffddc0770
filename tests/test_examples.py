"""The examples run as they stand, against the emulator."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
TIMEOUT_S = 120.0
"""Far beyond what a script that talks to the emulator needs: reached only by one that hangs."""


def run(script: Path, folder: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader would: all warnings shown, and no debug mode, which logs what is slow."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}
    return subprocess.run(
        [sys.executable, "-W", "default", script],
        env={**environment, "BING_LLM_BACKEND": "chathub", "BING_LLM_ENDPOINT": endpoint},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_there_are_examples() -> None:
    """There is at least one example; without one the test below would run nothing."""
    assert EXAMPLES


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.name)
async def test_example_runs(script: Path, bing_emulator: Any, tmp_path: Path) -> None:
    """Each example ends well, shows something and warns of nothing, with the emulator as service."""
    done = await asyncio.to_thread(run, script, tmp_path, bing_emulator.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
