"""What `import langchain_bing` adds to importing LangChain's own chat model, in fresh interpreters.

One that does nothing but import the base of all chat models, and then ChatBing, tells the CPU time of both. Wall time
would also count what the disk and other programs do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.measuring import Bound, report

__all__ = ["main", "run"]

MOST_MS = 100.0
"""CPU time that ChatBing may add, in milliseconds."""
NOT_NEEDED = ("aiohttp", "tenacity", "langchain_core.tools.base")
"""Modules that take long to import, and that no ChatBing needs before its first call."""

HEADER = ("import", "CPU ms", "fastest", "slowest")

_SCRIPT = f"""
import json, sys, time
began = time.process_time()
import langchain_core.language_models.chat_models
base = time.process_time()
import langchain_bing
langchain_bing.ChatBing
ours = time.process_time()
brought = [name for name in {NOT_NEEDED!r} if name in sys.modules]
print(json.dumps({{"base_ms": (base - began) * 1e3, "added_ms": (ours - base) * 1e3, "brought": brought}}))
"""


class Import(NamedTuple):
    """What one interpreter tells: the CPU times in milliseconds, and what of `NOT_NEEDED` was imported."""

    base_ms: float
    added_ms: float
    brought: list[str]


def run(rounds: int) -> list[Import]:
    """What so many fresh interpreters tell, after one that does not count: it may have to compile."""
    return [_import() for _ in range(rounds + 1)][1:]


def _import() -> Import:
    # Without it Python would compile the sources anew each time, which no installed package suffers.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _SCRIPT], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return Import(**json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where the bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langchain_import", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="fresh interpreters")
    imports = run(parser.parse_args(arguments).rounds)
    base, added = [each.base_ms for each in imports], [each.added_ms for each in imports]
    rows = [
        (name, *(f"{value:.0f}" for value in (statistics.median(times), min(times), max(times))))
        for name, times in (
            ("langchain_core.language_models.chat_models", base),
            ("and langchain_bing.ChatBing", added),
        )
    ]
    bounds = [
        Bound("CPU that ChatBing adds", statistics.median(added), MOST_MS, "ms"),
        Bound(f"of {', '.join(NOT_NEEDED)}", len(imports[0].brought), 0, "imported"),
    ]
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
