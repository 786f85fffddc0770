"""Public clients of the ChatHub, each in a virtual environment of its own and driven as a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["G4F", "SYDNEY_PY", "driven", "installed"]

SYDNEY_PY = "sydney-py==0.23.1"
G4F = "g4f==0.2.7.0"

_DRIVERS = Path(__file__).parent / "drivers"


def driven(requirement: str, driver: str, *arguments: str) -> Any:
    """What a script of `drivers` writes, as JSON, after this client was installed for it.

    Raises:
        SystemExit: The client cannot be installed, or the script failed; its words are in the message.
    """
    with installed(requirement) as python:
        return json.loads(_run(python, _DRIVERS / driver, *arguments))


@contextmanager
def installed(requirement: str) -> Iterator[Path]:
    """The Python of an environment that has this package, and exists inside the block.

    Raises:
        SystemExit: It cannot be installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        _run(sys.executable, "-m", "venv", folder)
        _run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", requirement)
        yield python


def _run(*command: str | Path) -> str:
    # The tree of this project is none of theirs.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
