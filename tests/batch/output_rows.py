"""Rows of an output, as the tests of its files use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bing_llm.batch.rows import Answered, BadRow, Failed, Record, parse_row, render_row, row_key
from bing_llm.errors import InvalidRequest, ServiceError
from bing_llm.events import Citation, Reply

__all__ = ["answered", "failed", "ids", "kept_in", "unreadable"]


def answered(own: str | int, text: str = "Paris.", **fields: Any) -> dict[str, Any]:
    """A row with an answer that has a source."""
    citations = (Citation(1, "https://a.example/", 'A, "quoted"'),)
    reply = Reply(text=text, conversation_id="c", citations=citations)
    return render_row(_row(own, fields), Answered(reply, attempts=2, seconds=1.5))


def failed(own: str | int, **fields: Any) -> dict[str, Any]:
    """A row with an error."""
    return render_row(_row(own, fields), Failed(ServiceError("It broke."), attempts=3, seconds=0.25))


def unreadable(line: int) -> dict[str, Any]:
    """A row of a line that could not be read."""
    why = InvalidRequest(f"Line {line} is not a JSON object.")
    return render_row(BadRow(number=line, fields={}, error=why), Failed(why))


def kept_in(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, each of which must be whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [msgspec.json.decode(line) for line in data.split(b"\n")[:-1]]


def ids(path: Path) -> list[str]:
    """The keys of the rows of a JSONL file, in its order."""
    return [row_key(row).removeprefix("id ") for row in kept_in(path)]


def _row(own: str | int, fields: dict[str, Any]) -> Any:
    return parse_row(Record(1, {"id": own, "prompt": "The capital of France?", **fields}))
