"""What `import bing_llm` and its client add to importing aiohttp, in fresh interpreters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.imports import Imported

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    core = Imported(
        base="aiohttp",
        package="bing_llm",
        name="BingClient",
        not_needed=("tenacity", "bing_llm.emulator", "bing_llm.cli", "typer", "rich"),
        most_ms=60.0,
    )
    return core.main(arguments, command="benchmarks.import_time", description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
