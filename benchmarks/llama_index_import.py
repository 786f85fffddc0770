"""What `import llama_index.llms.bing` adds to importing LlamaIndex's own language models, in fresh interpreters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.imports import Imported

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    adapter = Imported(
        base="llama_index.core.llms",
        package="llama_index.llms.bing",
        name="Bing",
        not_needed=("aiohttp", "jsonschema"),
        most_ms=100.0,
    )
    return adapter.main(arguments, command="benchmarks.llama_index_import", description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
