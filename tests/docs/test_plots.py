"""The plots of the site are drawn from results that were kept."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import measuring, results

FIGURES = results.load()


def text_of(svg: str) -> list[str]:
    """The words and figures of a picture, in order."""
    texts = (element.text for element in ET.fromstring(svg).iter())  # noqa: S314 - our own pictures
    return [line for text in texts for line in (text or "").split("\n") if line.strip()]


def test_tables_are_kept_beside_those_of_others(tmp_path: Path) -> None:
    """Newer tables of a benchmark replace its older ones, and each says where it was measured."""
    file = tmp_path / "results.json"
    table = measuring.Table(("name", "ms"), [("a", "1.0")])
    results.save("one", [table], file)
    results.save("two", [table], file)
    results.save("one", [table, table], file)
    kept = results.load(file)
    assert {name: len(each.tables) for name, each in kept.items()} == {"one": 2, "two": 1}
    assert [list(row) for row in kept["two"].tables[0].rows] == [["a", "1.0"]]
    assert "Python" in kept["one"].machine
    assert json.loads(file.read_text())


@pytest.mark.docs  # pygal is of that group
def test_the_site_shows_what_was_kept() -> None:
    """Each plot is there, and has the words and figures of the newest results: `--plot` draws it anew."""
    from benchmarks.plots import FOLDER, PLOTS, draw  # noqa: PLC0415 - as above

    for name in PLOTS:
        svg = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        assert text_of(svg) == text_of(draw(name, FIGURES)), f"{name}: python -m benchmarks --plot"
        assert "<script" not in svg
        assert "href" not in svg.replace("xmlns:xlink", "")
