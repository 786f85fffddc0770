"""`python -m benchmarks [NAME ...]`: the benchmarks of the client and of both adapters, one table after another.

Those that need other models or services are commands of their own; see README.md.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks import results
from benchmarks.measuring import TABLES

NAMES = (
    *("continuation", "warm", "turns", "frames", "scale", "growth", "parsing", "batch", "batch_rows", "import_time"),
    *("langchain_overhead", "llama_index_overhead", "tool_prompt", "serve"),
)


def main() -> int:
    """Run them; 1 where a bound of one is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}; all without")
    parser.add_argument("--save", action="store_true", help=f"keep the tables in {results.FILE.name}")
    parser.add_argument(
        "--plot", action="store_true", help="measure nothing: draw the site's plots from the tables that were kept"
    )
    arguments = parser.parse_args()
    if arguments.plot:
        return _plot()
    chosen = arguments.names or NAMES
    if unknown := [name for name in chosen if name not in NAMES]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(NAMES)}")
    print(results.machine())
    broken = [name for name in chosen if _run(name, save=arguments.save)]
    if broken:
        print(f"\nBounds are broken in {', '.join(broken)}.")
    return int(bool(broken))


def _run(name: str, *, save: bool) -> int:
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"\n# {name}: {(module.__doc__ or '').splitlines()[0]}\n")
    TABLES.clear()
    code: int = module.main([])
    if save:
        results.save(name, TABLES)
    return code


def _plot() -> int:
    from benchmarks.plots import draw_all  # noqa: PLC0415 - of the group `benchmark`, and only plots need it

    for file in draw_all():
        print(file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
