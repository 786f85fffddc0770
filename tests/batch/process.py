"""The command `bing-llm batch` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = ["TIMEOUT_S", "answer_to", "check_all_answered", "ended", "read_rows", "start", "write_rows"]

TIMEOUT_S = 60.0
"""Far beyond what any of these needs: reached only by one that hangs."""

_START = "from bing_llm.cli import main; main()"
_SETTINGS = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}  # it logs slow steps


def start(
    endpoint: str, *arguments: str | Path, first: str = "", stdout: IO[bytes] | int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Begin it, with warnings as errors.

    Args:
        endpoint: The base URL of the service.
        *arguments: What follows `batch`.
        first: Python code that runs in the process before.
        stdout: Where its stdout goes.
    """
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{first}\n{_START}", "batch", *arguments],
        env={**_SETTINGS, "BING_LLM_BACKEND": "chathub", "BING_LLM_ENDPOINT": endpoint},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes], timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    """Wait for its end: its exit code, and what it wrote to stderr. Nothing is on stdout."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
        process.wait()
    assert out == b""
    return process.returncode, err.decode()


def write_rows(path: Path, count: int) -> None:
    """An input of that many rows, with ids and with a field that is carried through."""
    rows = [{"id": f"r{number}", "prompt": f"Question {number}", "label": number % 7} for number in range(count)]
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        import pyarrow as pa  # noqa: PLC0415 - it takes a second
        from pyarrow import parquet  # noqa: PLC0415

        parquet.write_table(pa.Table.from_pylist(rows), path)


def answer_to(prompt: str) -> str:
    """What the service says to a prompt."""
    return f"The answer to {prompt}."


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an output, in its order. A torn last line of JSONL is none."""
    if path.suffix == ".jsonl":
        content = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    if path.suffix == ".csv":
        import csv  # noqa: PLC0415

        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    from pyarrow import parquet  # noqa: PLC0415

    return parquet.read_table(path).to_pylist()  # type: ignore[no-any-return]


def check_all_answered(rows: Iterable[Mapping[str, Any]], count: int) -> None:
    """Each id once, each answer that of its own prompt, nothing lost on the way."""
    by_id = sorted(rows, key=lambda row: int(row["id"][1:]))
    assert [row["id"] for row in by_id] == [f"r{number}" for number in range(count)]
    assert [row["text"] for row in by_id] == [answer_to(row["prompt"]) for row in by_id]
    assert [(row["prompt"], int(row["label"])) for row in by_id] == [
        (f"Question {number}", number % 7) for number in range(count)
    ]
    assert not [row for row in by_id if row.get("error")]
