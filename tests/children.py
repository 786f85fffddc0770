"""Python programs that a test starts: each has a time limit of its own, so that one that hangs fails its test alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

LIMIT_S = 60.0
"""How long a child may take, in seconds: far more than any needs, and less than the limit of a test."""


def run_python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with these arguments, such as `-c` and a program.

    Raises:
        subprocess.TimeoutExpired: It took longer than `LIMIT_S`; it is killed, and what it wrote is in the error.
    """
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def read_line(process: subprocess.Popen[bytes]) -> str:
    """The next line of a child's stderr; a child that writes none within `LIMIT_S` is killed, and the line is empty."""
    assert process.stderr is not None
    watch = threading.Timer(LIMIT_S, process.kill)
    watch.start()
    try:
        return process.stderr.readline().decode()
    finally:
        watch.cancel()
        watch.join()
