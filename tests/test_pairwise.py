"""The choice of cases for a quick run."""

from __future__ import annotations

from itertools import combinations, product

from tests.pairwise import pairwise

CASES = list(product("abcdef", range(4), ("x", "y"), (False, True)))


def test_every_two_features_meet_in_a_chosen_case() -> None:
    """Of 96 cases at most a third is chosen, in their order, and no pair of features is lost."""
    chosen = pairwise(CASES, lambda case: case)
    for left, right in combinations(range(4), 2):
        assert {(case[left], case[right]) for case in chosen} == {(case[left], case[right]) for case in CASES}
    assert len(chosen) <= len(CASES) / 3
    assert chosen == [case for case in CASES if case in chosen]
