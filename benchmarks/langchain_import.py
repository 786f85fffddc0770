"""What `import langchain_bing` adds to importing LangChain's own chat model, in fresh interpreters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.imports import Imported

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    adapter = Imported(
        base="langchain_core.language_models.chat_models",
        package="langchain_bing",
        name="ChatBing",
        not_needed=("aiohttp", "tenacity", "langchain_core.tools.base"),
        most_ms=100.0,
    )
    return adapter.main(arguments, command="benchmarks.langchain_import", description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
