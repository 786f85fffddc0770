"""The site builds without a warning and without a network, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from tests.snippets import BUILT, ROOT

pytestmark = [pytest.mark.docs, pytest.mark.timeout(600)]  # seconds: it imports both frameworks, and may be built cold

BUILD_TIMEOUT_S = 500.0
NOBODY = "http://127.0.0.1:1"
"""A proxy that does not exist: whoever asks the network fails."""

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
"""The attribute by which an element loads something when the page is shown."""


class Page(NamedTuple):
    """What a page of the site has.

    Attributes:
        ids: The anchors that a link can lead to.
        links: What its links lead to.
        loads: What a browser loads with it.
    """

    ids: set[str]
    links: list[str]
    loads: list[str]


class PageParser(HTMLParser):
    """Collects what `Page` holds."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page(set(), [], [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors, the links and what is loaded."""
        values = {name: value for name, value in attrs if value}
        if "id" in values:
            self.page.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        is_relation = tag == "link" and values.get("rel") not in {"stylesheet", "icon", "preload"}
        if tag in LOADED and LOADED[tag] in values and not is_relation:
            self.page.loads.append(values[LOADED[tag]])


def parsed(path: Path) -> Page:
    """A page of the built site."""
    parser = PageParser()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built anew; a warning fails."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", folder],
        env={**os.environ, "HTTP_PROXY": NOBODY, "HTTPS_PROXY": NOBODY, "ALL_PROXY": NOBODY},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def built(site: Path) -> Iterator[tuple[str, Page]]:
    """The pages of the site, by their path in it."""
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), parsed(path)


def test_each_page_is_built(site: Path) -> None:
    """Each Markdown file of `docs` is a page."""
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md") if BUILT not in path.parents}
    assert {source.with_suffix(".html").as_posix() for source in sources} <= {name for name, _ in built(site)}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are files of the site."""
    foreign = [(name, load) for name, page in built(site) for load in page.loads if urlsplit(load).netloc]
    styles = [path for path in site.rglob("*.css") if "url(http" in path.read_text() or "@import" in path.read_text()]
    pictures = [path for path in site.rglob("*.svg") if "url(http" in path.read_text() or "<script" in path.read_text()]
    assert (foreign, styles, pictures) == ([], [], [])
    assert sum(len(page.loads) for _, page in built(site)) > len(list(built(site)))


def test_each_link_within_the_site_leads_somewhere(site: Path) -> None:
    """The page exists, and so does the anchor."""
    pages = dict(built(site))
    broken = []
    for name, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            path = Path(os.path.normpath(target)).relative_to(site).as_posix()
            anchors = pages[path].ids if path in pages else {parts.fragment}
            if not (site / path).exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append((name, link))
    assert broken == []
