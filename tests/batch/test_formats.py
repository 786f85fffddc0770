"""Formats by extension, and the modules of the extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bing_llm.batch.formats import format_of, needed
from bing_llm.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("A.JSONL", "jsonl"),
        ("a.b.Csv", "csv"),
        ("folder.csv/a.parquet", "parquet"),
    ],
)
def test_the_last_extension_gives_the_format(name: str, expected: str) -> None:
    """In any case of letters."""
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["a.json", "a", "a.jsonl.gz", ".csv", "a.csv/b"])
def test_another_extension_is_refused(name: str) -> None:
    """The error says which are allowed."""
    with pytest.raises(ConfigurationError, match=r"\.jsonl, \.ndjson, \.csv, \.parquet, or - for JSONL"):
        format_of(Path(name))


def test_a_missing_module_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed it reads the command that does."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigurationError, match=r'pyarrow is not installed.*pip install "bing-llm\[batch\]"'):
        needed("pyarrow.parquet")
