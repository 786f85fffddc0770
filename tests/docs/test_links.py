"""The README is short, and the links of the README and of the site's sources lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.snippets import README, ROOT, pages

PAGES = [*pages(), "benchmarks/README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    """A page without its code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """The anchors of its headings, as repositories and the site make them."""
    headings = (heading.lower().replace("`", "") for heading in _HEADING.findall(text_of(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> Iterator[str]:
    """Where its links lead, without those to the web."""
    text = _CODE.sub("", text_of(page))
    yield from (link for link in _LINK.findall(text) if not link.startswith(("https://", "http://")))


def test_the_readme_is_short() -> None:
    """At most 200 lines: what does not fit has a page of its own."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_readme_says_how_to_reach_a_service_at_once() -> None:
    """The third sentence says what a reader needs for an answer of Microsoft's."""
    opening = " ".join(README.read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[0].split())
    third = re.split(r"(?<=\.) ", opening)[2]
    assert "work account" in third
    assert "docs/guides/work-iq.md" in third


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link of a page names a file of the repository, and a heading there."""
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    return target.is_file() and target.is_relative_to(ROOT) and (not anchor or anchor in anchors_of(target))


def test_links_lead_to_files_and_anchors() -> None:
    """Each relative link names a file of the repository, and its anchor is a heading there."""
    links = [(page, link) for page in PAGES for link in links_of(ROOT / page)]
    assert len(links) > 80
    assert [(page, link) for page, link in links if not leads_somewhere(ROOT / page, link)] == []


def test_pages_name_no_machine() -> None:
    """Paths of the machine on which a page was written are not in it."""
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    machine = re.compile(r"(?<![\w.:/])/(?:work|tmp|root|home)/")
    assert {page: machine.findall(text) for page, text in texts.items() if machine.search(text)} == {}


def test_links_and_anchors_are_seen(tmp_path: Path) -> None:
    """A link in code is none; an anchor is the heading in small letters, without marks."""
    page = tmp_path / "page.md"
    page.write_text("# What it `answers`: all\n\n[a](b.md#c) `[N](url)` [d](https://e.example)\n\n```sh\n# f\n```\n")
    assert list(links_of(page)) == ["b.md#c"]
    assert anchors_of(page) == {"what-it-answers-all"}
