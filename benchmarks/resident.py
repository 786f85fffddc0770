"""The memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["kib_at_most", "kib_in_use"]

_STATUS = Path("/proc/self/status")


def kib_in_use() -> float:
    """What it has in use, in KiB; where the system does not tell, the most that it has had."""
    return _value_of("VmRSS") if _STATUS.exists() else _at_most()


def kib_at_most() -> float:
    """The most that it has had in use so far, in KiB."""
    return _value_of("VmHWM") if _STATUS.exists() else _at_most()


def _value_of(name: str) -> float:
    return next(float(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))


def _at_most() -> float:
    """On Linux it would include the program that has started this one."""
    import resource  # noqa: PLC0415 - not everywhere

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024 if sys.platform == "darwin" else most  # bytes, on macOS
