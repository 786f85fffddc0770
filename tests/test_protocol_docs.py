"""The facts about the wire that comments cite stand in docs/protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "protocol"
SOURCES = ("bing_llm", "integrations", "tests", "benchmarks")

_SECTION = r"(?:\d+|[a-z])\b"
_CITED = re.compile(rf"docs/protocol/(\w+\.md), sections? ({_SECTION}(?:(?:, | and | to |, and ){_SECTION})*)")
_HEADING = re.compile(rf"^## ({_SECTION})\. ", re.MULTILINE)
_LINK = re.compile(r"\]\((\w+\.md)\)")


def cited() -> Iterator[tuple[str, str, str]]:
    """Each section that a source file cites: the file, the document, the section."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = " ".join(path.read_text(encoding="utf-8").split())
            for document, sections in _CITED.findall(text):
                for section in re.findall(_SECTION, re.sub(r"\band\b|\bto\b", ",", sections)):
                    yield path.relative_to(ROOT).as_posix(), document, section


def test_each_cited_section_exists() -> None:
    """A reader finds each section that a comment names under this name."""
    headings = {path.name: set(_HEADING.findall(path.read_text(encoding="utf-8"))) for path in DOCS.glob("*.md")}
    found = list(cited())
    assert len(found) >= 40
    missing = [place for place in found if place[2] not in headings.get(place[1], set())]
    assert not missing


def test_no_comment_cites_notes_that_are_not_here() -> None:
    """Comments name the document, so that everybody who has the sources can read it."""
    sources = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    assert not [path for path in sources if "protocol notes" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_a_document_names_its_sources(path: Path) -> None:
    """Each document says where its facts are from, and the documents that it links to exist."""
    text = path.read_text(encoding="utf-8")
    assert "**Sources.**" in text
    assert "https://" in text
    assert all((DOCS / linked).exists() for linked in _LINK.findall(text))
