"""SECURITY.md promises what tests show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = re.findall(
    r"^\| (.+?) \| (`tests/.+`) \|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_promises_are_found() -> None:
    """Each row of the table is one, but for its head and the line below that."""
    rows = [line for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(PROMISES) == len(rows) - 2 > 0


@pytest.mark.parametrize(("promise", "tests"), PROMISES)
def test_each_promise_has_tests(promise: str, tests: str) -> None:
    """The files that are named with it exist and hold tests."""
    assert promise
    for path in re.findall(r"`([^`]+)`", tests):
        assert re.search(r"^(async )?def test_", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path
