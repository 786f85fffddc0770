"""The processor time of a piece of work, for tests of how it grows with its input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

__all__ = ["cpu_seconds"]


def cpu_seconds(work: Callable[[], object]) -> float:
    """What one call takes of this thread's time, in seconds, without the garbage of all other tests.

    The collector looks at all that lives in the process: one pass of it costs more than most of what is measured.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
    finally:
        if was_on:
            gc.enable()
