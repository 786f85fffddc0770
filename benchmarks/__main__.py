"""`python -m benchmarks [NAME ...]`: the benchmarks of the client and of both adapters, one table after another.

Those that need other models or services are commands of their own; see README.md.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys

NAMES = (
    *("continuation", "warm", "turns", "frames", "scale", "growth", "parsing", "batch", "batch_rows", "import_time"),
    *("langchain_overhead", "llama_index_overhead", "tool_prompt"),
)


def main() -> int:
    """Run them; 1 where a bound of one is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}; all without")
    chosen = parser.parse_args().names or NAMES
    if unknown := [name for name in chosen if name not in NAMES]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(NAMES)}")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    broken = [name for name in chosen if _run(name)]
    if broken:
        print(f"\nBounds are broken in {', '.join(broken)}.")
    return int(bool(broken))


def _run(name: str) -> int:
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"\n# {name}: {(module.__doc__ or '').splitlines()[0]}\n")
    code: int = module.main([])
    return code


if __name__ == "__main__":
    sys.exit(main())
