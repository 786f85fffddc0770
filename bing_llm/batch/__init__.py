"""Thousands of prompts: a file of rows in, the same rows with their answers out, nothing lost and nothing twice.

    bing_llm.batch.run("prompts.jsonl", "answers.jsonl", concurrency=4, rate=20)

Needs the extra `batch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm._lazy import lazy_exports

if TYPE_CHECKING:
    from bing_llm.batch.progress import Summary, Tally
    from bing_llm.batch.runner import Options, arun, run

__all__ = ["Options", "Summary", "Tally", "arun", "run"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"Options": "runner", "Summary": "progress", "Tally": "progress", "arun": "runner", "run": "runner"}
)
