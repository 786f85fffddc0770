"""Numbers for a JSON schema."""

from __future__ import annotations

import math
from typing import Any

from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.schemas import Schema

__all__ = ["number", "smallest"]


def number(schema: Schema, name: str, evidence: Evidence, *, whole: bool, needed: bool) -> int | float | None:
    """The number of the question for this property: one beside its name, else, where needed, the next one."""
    value = evidence.take_number(whole=whole, near=name.replace("_", " ")) if name else None
    if value is None and (needed or not name):
        value = evidence.take_number(whole=whole)
    return _as_json(value, whole=whole) if value is not None and _allowed(schema, value) else None


def smallest(schema: Schema, *, whole: bool) -> int | float:
    """A number that the schema allows: 1 where it may be, else the bound that is nearest."""
    low, high = _bounds(schema)
    step = _number(schema.get("multipleOf")) or (1.0 if whole else 0.0)
    value = min(max(1.0, low), high)
    if step:
        value = math.ceil(value / step) * step
        value = value - step if value > high else value
    if not _allowed(schema, value):  # an exclusive bound
        inner = step or 0.5
        value = value + inner if value <= low else value - inner
    return _as_json(value, whole=whole)


def _allowed(schema: Schema, value: float) -> bool:
    low, high = _bounds(schema)
    inside = low <= value <= high
    inside &= value != _number(schema.get("exclusiveMinimum"))
    inside &= value != _number(schema.get("exclusiveMaximum"))
    step = _number(schema.get("multipleOf"))
    return inside and (not step or math.isclose(value / step, round(value / step), abs_tol=1e-9))


def _bounds(schema: Schema) -> tuple[float, float]:
    lows = [_number(schema.get(key)) for key in ("minimum", "exclusiveMinimum")]
    highs = [_number(schema.get(key)) for key in ("maximum", "exclusiveMaximum")]
    return (
        max((low for low in lows if low is not None), default=-math.inf),
        min((high for high in highs if high is not None), default=math.inf),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_json(value: float, *, whole: bool) -> int | float:
    return int(value) if whole or value == int(value) else value
