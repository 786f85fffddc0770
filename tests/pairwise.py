"""A small part of many cases in which every two of their features still meet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

T = TypeVar("T")

_GAINS = (4, 2, 1)
"""How many new pairs a case must bring to be chosen, pass by pass: the richest cases first, so that few are needed."""


def pairwise(cases: Iterable[T], features: Callable[[T], Sequence[Hashable]]) -> list[T]:
    """Choose cases, in their order, so that each pair of features that occurs in a case occurs in a chosen one.

    Most faults come from two circumstances that meet, hardly any from three; so this is what a quick run needs.

    Args:
        cases: All cases; each is hashable.
        features: What makes up a case, such as its service and its step; as many for each case.
    """
    pairs = {case: set(combinations(enumerate(features(case)), 2)) for case in cases}
    chosen: set[T] = set()
    met: set[tuple[tuple[int, Hashable], ...]] = set()
    for gain in _GAINS:
        for case, own in pairs.items():
            if len(own - met) >= gain:
                chosen.add(case)
                met |= own
    return [case for case in pairs if case in chosen]
