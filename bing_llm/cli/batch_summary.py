"""What came of a batch, as a table. Pure."""

from __future__ import annotations

from datetime import timedelta

from rich.table import Table
from rich.text import Text

from bing_llm.batch.progress import Summary

__all__ = ["summary_table"]


def summary_table(summary: Summary) -> Table:
    """Rows by what came of them, then what they cost: a name, a number and perhaps a remark each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for name, value, remark in _rows(summary):
        table.add_row(Text(name), Text(value), Text(remark, style="dim"))
    return table


def _rows(summary: Summary) -> list[tuple[str, str, str]]:
    rows = [("answered", f"{summary.answered:,}", "")]
    if summary.withdrawn:
        rows.append(("  withdrawn", f"{summary.withdrawn:,}", "the text is kept"))
    rows.append(("failed", f"{summary.failed:,}", ""))
    rows += [(f"  {kind}", f"{count:,}", "") for kind, count in _most_first(summary.errors)]
    if summary.earlier:
        rows.append(("done before", f"{summary.earlier:,}", _of_earlier(summary)))
    minutes = summary.seconds / 60
    return [
        *rows,
        ("turns begun", f"{summary.turns:,}", f"{summary.turns / minutes:,.1f} a minute" if minutes > 0 else ""),
        ("time", str(timedelta(seconds=round(summary.seconds))), ""),
    ]


def _most_first(errors: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(errors.items(), key=lambda each: (-each[1], each[0]))


def _of_earlier(summary: Summary) -> str:
    if not summary.earlier_failed:
        return ""
    return f"{summary.earlier_failed:,} failed: --retry-failed asks again"
