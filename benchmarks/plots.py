"""Plots of growth and speed for the site, from `results.json`. pygal draws them; colours read on white and on black."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pygal
from pygal.style import Style

from benchmarks.results import Result, load

__all__ = ["FOLDER", "PLOTS", "draw", "draw_all"]

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"

_TEXT: Final = "#7a7a7a"  # 4.3 to 1 on white, and as much on the dark page of the site
_STYLE: Final = Style(
    background="transparent",
    plot_background="transparent",
    foreground=_TEXT,
    foreground_strong=_TEXT,
    foreground_subtle=_TEXT,
    guide_stroke_color="#7a7a7a55",
    major_guide_stroke_color="#7a7a7a88",
    colors=("#2f6fc7", "#b5651d"),
    value_colors=("white", "white"),
    opacity="1",
    opacity_hover="1",
    font_family="system-ui, sans-serif",
    label_font_size=16,
    major_label_font_size=16,
    legend_font_size=16,
    title_font_size=18,
    value_font_size=16,
)
_SCRIPT: Final = re.compile(r"\s*<script.*?</script>", re.DOTALL)
"""What pygal puts into each picture for its script, which these have not."""

_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "style": _STYLE,
        "js": (),  # the pictures have no script; by default they would load one from a server
        "width": 620,  # a phone shows it at half of that, with letters that can still be read
        "height": 380,
        "margin": 12,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 2,
        "disable_xml_declaration": True,
        "pretty_print": True,
    }
)


def growth(result: Result) -> Any:
    """CPU time of a turn by the words of its answer, ours and a bare loop's."""
    rows = {name: [float(value) for value in values] for name, *values in result.tables[0].rows}
    points = {float(name.partition(" ")[0].replace(",", "")): row for name, row in rows.items() if name.endswith(", 1")}
    chart = pygal.XY(
        title="CPU time of a turn, in ms, by the words of its answer",
        logarithmic=True,
        xrange=(80, 13_000),
        x_labels=sorted(points),
        y_labels=[5, 10, 50, 100, 500, 1000],
        stroke_style={"width": 3},
        dots_size=5,
        x_value_formatter=_number,
        value_formatter=_number,
        **_OPTIONS,
    )
    chart.add("bing_llm", [(words, row[0]) for words, row in sorted(points.items())])
    chart.add("aiohttp alone", [(words, row[0] / row[-1]) for words, row in sorted(points.items())])
    return chart


def crowd(result: Result) -> Any:
    """CPU time of a turn of 100 words by how many are open at once."""
    rows = [(name, [float(value) for value in values]) for name, *values in result.tables[0].rows]
    first = rows[0][0].partition(" ")[0]
    points = {name.rpartition(" ")[2]: row for name, row in rows if name.startswith(f"{first} words")}
    chart = pygal.Bar(
        title=f"CPU time of a turn of {first} words, in ms, by how many are open at once",
        x_labels=list(points),
        value_formatter=_number,
        **_OPTIONS,
    )
    chart.add("bing_llm", [row[0] for row in points.values()])
    chart.add("aiohttp alone", [row[0] / row[-1] for row in points.values()])
    return chart


def frames(result: Result) -> Any:
    """CPU time of a frame in each form, in that of a bare loop."""
    rows = result.tables[0].rows
    title = "CPU time of a frame, in that of aiohttp alone, which parses nothing"
    return _bars(title, "times", {row[0]: float(row[3]) for row in rows}, height=80 + 30 * len(rows))


def warm(result: Result) -> Any:
    """Round trips to the first text."""
    rows = result.tables[0].rows[1:]
    title = "Round trips from the prompt to the first text"
    return _bars(title, "round trips", {row[0]: float(row[2]) for row in rows}, height=90 + 40 * len(rows))


def _bars(title: str, unit: str, values: dict[str, float], *, height: int) -> Any:
    """A bar for each value, the first one on top."""
    chart = pygal.HorizontalBar(
        title=title,
        show_legend=False,
        print_values=True,
        value_formatter=_number,
        **{**_OPTIONS, "height": height},
    )
    chart.x_labels = list(reversed(values))
    chart.add(unit, list(reversed(values.values())))
    return chart


def _number(value: Any) -> str:
    number = float(value[1] if isinstance(value, tuple) else value)
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits


PLOTS: Final[Mapping[str, tuple[str, Callable[[Result], Any]]]] = MappingProxyType(
    {
        "growth": ("growth", growth),
        "crowd": ("growth", crowd),
        "frames": ("frames", frames),
        "warm": ("warm", warm),
    }
)
"""The plots, by the name of their picture, each with the benchmark that it shows."""


def draw(name: str, results: Mapping[str, Result]) -> str:
    """A plot as SVG.

    Raises:
        KeyError: Its benchmark has no saved results.
    """
    benchmark, plot = PLOTS[name]
    chart = plot(results[benchmark])
    chart.config.no_prefix = True  # else each picture has a random name in it
    svg: str = chart.render(is_unicode=True)
    return _SCRIPT.sub("", svg)


def draw_all(folder: Path = FOLDER) -> list[Path]:
    """Write the plots of all kept results; return the files."""
    results = load()
    drawn = []
    for name, (benchmark, _) in PLOTS.items():
        if benchmark in results:
            file = folder / f"{name}.svg"
            file.write_text(draw(name, results) + "\n", encoding="utf-8")
            drawn.append(file)
    return drawn
