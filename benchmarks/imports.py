"""What the import benchmarks share: our part in the time that fresh interpreters take to import.

One that does nothing but import what a class of ours stands on, and then that class, tells the CPU time of both. Wall
time would also count what the disk and other programs do.
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

__all__ = ["Import", "Imported"]

HEADER = ("import", "CPU ms", "fastest", "slowest")

_SCRIPT = """
import importlib, json, sys, time
base, package, name, *not_needed = sys.argv[1:]
began = time.process_time()
importlib.import_module(base)
based = time.process_time()
there = [name for name in not_needed if name in sys.modules]
getattr(importlib.import_module(package), name)
added = time.process_time()
brought = [name for name in not_needed if name in sys.modules and name not in there]
print(json.dumps({"base_ms": (based - began) * 1e3, "added_ms": (added - based) * 1e3, "brought": brought}))
"""


class Import(NamedTuple):
    """What one interpreter tells: CPU times in milliseconds, and what our class brought that it does not need."""

    base_ms: float
    added_ms: float
    brought: list[str]


class Imported(NamedTuple):
    """A class of ours, on top of what it stands on.

    Attributes:
        base: The module that everyone who uses the class has imported.
        package: Where the class is.
        name: The class.
        not_needed: Modules that take long to import, and that the class does not need before its first call.
        most_ms: CPU time that it may add, in milliseconds.
    """

    base: str
    package: str
    name: str
    not_needed: tuple[str, ...]
    most_ms: float

    def run(self, rounds: int) -> list[Import]:
        """What so many fresh interpreters tell, after one that does not count: it may have to compile."""
        return [self._import() for _ in range(rounds + 1)][1:]

    def _import(self) -> Import:
        # Without it Python would compile the sources anew each time, which no installed package suffers.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-c", _SCRIPT, self.base, self.package, self.name, *self.not_needed]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
        return Import(**json.loads(done.stdout))

    def main(self, arguments: Sequence[str] | None, *, command: str, description: str | None) -> int:
        """Measure and report; 1 where the bound is broken."""
        parser = argparse.ArgumentParser(prog=f"python -m {command}", description=description)
        parser.add_argument("--rounds", type=int, default=9, help="fresh interpreters")
        imports = self.run(parser.parse_args(arguments).rounds)
        base, added = [each.base_ms for each in imports], [each.added_ms for each in imports]
        rows = [
            (name, *(f"{value:.0f}" for value in (statistics.median(times), min(times), max(times))))
            for name, times in ((self.base, base), (f"and {self.package}.{self.name}", added))
        ]
        bounds = [
            Bound(f"CPU that {self.name} adds", statistics.median(added), self.most_ms, "ms"),
            Bound(f"of {', '.join(self.not_needed)}", len(imports[0].brought), 0, "imported"),
        ]
        return report(HEADER, rows, bounds)
