"""The file that /save writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bing_llm.cli.transcript import Exchange, save, write
from bing_llm.errors import ConfigurationError
from bing_llm.events import Citation, Reply


def test_a_transcript_is_markdown() -> None:
    """Who said what is a heading, sources are a list."""
    reply = Reply(text="The moon [^1^].\n", citations=(Citation(1, "https://a.example", "A"),))
    assert write("bing-precise", [Exchange("Why tides?", reply)]) == (
        "# Chat with bing-precise\n\n## You\n\nWhy tides?\n\n## Bing\n\nThe moon [^1^].\n\n- [^1^] A https://a.example\n"
    )


def test_a_withdrawn_answer_says_so() -> None:
    """An answer that the service withdrew carries its notice, and no control character gets into the file."""
    reply = Reply(text="x\x1b[2J", revoked=True, notice="Sorry.")
    assert write("m", [Exchange("q", reply)]).endswith("x\\u001b[2J\n\n(The service withdrew this answer. Sorry.)\n")


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    """Saving never overwrites, and says so."""
    path = tmp_path / "chat.md"
    save(path, "one")
    with pytest.raises(ConfigurationError, match="exists and was not touched"):
        save(path, "two")
    assert path.read_text(encoding="utf-8") == "one"


@pytest.mark.parametrize("name", ["missing/chat.md", "nul\0.md"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    """A file that cannot be made is an error with the file's name."""
    with pytest.raises(ConfigurationError, match=r"\.md' cannot be written"):
        save(tmp_path / name, "text")
