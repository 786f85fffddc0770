"""The examples run as they stand, against the emulator."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
TIMEOUT_S = 120.0
"""Far beyond what a script that talks to the emulator needs: reached only by one that hangs."""

NO_LOOP = "ignore:There is no current event loop:DeprecationWarning"  # LlamaIndex's, on Python 3.12 and 3.13
BY_LLAMA_INDEX = "ignore::DeprecationWarning:inspect"
"""Its agents look at every attribute that they have, by `inspect`; also at those that pydantic will drop."""

SHOWN = {
    "batch.py": "3 answered, 0 failed, 0 done before; 3 turns",
    "conversation.py": "3 of 30 turns used",
    "llama_index_agent.py": "multiply gave back: 391",
    "llama_index_chat.py": "391",
    "llama_index_rag.py": "papers.md: My harbour permit is valid until the end of May.",
    "llama_index_streaming.py": "[2] Example Overview",
    "llama_index_structured.py": "name='Ada' age=36 city='London'",
    "scripted_emulator.py": "The moon makes the tides",
    "workiq.py": "[1] news https://www.example.com/news",
}
"""What examples show where the emulator answers."""


IN_EACH_RUN = ("conversation.py", "stream.py")


def script_of(name: str) -> Path:
    """The example of this name."""
    return next(script for script in EXAMPLES if script.name == name)


def run(script: Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader would: all warnings shown, and no debug mode, which logs what is slow."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}
    return subprocess.run(
        [sys.executable, "-W", "default", "-W", BY_LLAMA_INDEX, "-W", NO_LOOP, script],
        env={**environment, **settings},
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


def each(names: Iterable[str]) -> list[Any]:
    """The examples of these names; each starts a Python, so the default run has one of each kind."""
    return [pytest.param(name, marks=() if name in IN_EACH_RUN else pytest.mark.system) for name in names]


@pytest.mark.parametrize("name", each(script.name for script in EXAMPLES if script.name not in SHOWN))
async def test_example_runs(name: str, bing_emulator: Any, tmp_path: Path) -> None:
    """Each other example ends well, shows something and warns of nothing, with the emulator as service."""
    done = await asyncio.to_thread(run, script_of(name), tmp_path, BING_LLM_ENDPOINT=bing_emulator.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


@pytest.mark.parametrize("name", each(SHOWN))
def test_example_runs_as_the_readme_says(name: str, tmp_path: Path) -> None:
    """With `BING_LLM_BACKEND=emulator` an example starts the emulator, or uses the one that it has scripted itself."""
    done = run(script_of(name), tmp_path, BING_LLM_BACKEND="emulator")
    assert (done.returncode, done.stderr) == (0, "")
    assert SHOWN[name] in done.stdout
