"""The README's picture of a terminal shows what the commands write now."""

from __future__ import annotations

import pytest

from docs.terminal import PICTURE, SESSION, record, text_of


@pytest.mark.system  # it runs the commands, each in a process of its own
def test_the_picture_shows_what_the_commands_write() -> None:
    """Its text is theirs, line by line: `python -m docs.terminal` makes it anew. How it is drawn may differ."""
    written = [line.rstrip() for line in record().export_text().splitlines()]
    assert text_of(PICTURE.read_text(encoding="utf-8")).splitlines() == written


def test_the_picture_shows_the_session() -> None:
    """Each command that is typed is in it, and nothing in it comes from elsewhere."""
    svg = PICTURE.read_text(encoding="utf-8")
    shown = text_of(svg).splitlines()
    assert [line.removeprefix("$ ") for line in shown if line.startswith("$ ")] == list(SESSION)
    assert "url(http" not in svg
    assert "<script" not in svg
