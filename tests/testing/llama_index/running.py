"""Running the tests of a suite one by one, without pytest, to see which of them fail."""

from __future__ import annotations

import gc
import itertools
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from bing_llm.testing.llama_index import Subject


def names_of(*suites: type[Subject]) -> set[str]:
    """The names of their tests."""
    return {
        name for suite in suites for name in dir(suite) if name.startswith("test_") and getattr(suite, name) is not None
    }


def cases_of(test: Any) -> Iterator[dict[str, Any]]:
    """Its parameters, each combination once."""
    axes = []
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            name, values = mark.args
            assert "," not in name, "one parameter a mark"
            axes.append([(name, value) for value in values])
    return (dict(case) for case in itertools.product(*axes))


@contextmanager
def hushed() -> Iterator[None]:
    """Faulty LLMs warn, leave tasks and log: none of that is a test's own."""
    log, hook = logging.getLogger("asyncio"), sys.unraisablehook
    log.propagate, sys.unraisablehook = False, lambda _thrown: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        log.propagate, sys.unraisablehook = True, hook


def fails(suite: type[Subject], name: str, *, before_each: Callable[[], None] = lambda: None) -> bool:
    """Whether this test fails, in one case at least."""
    cases = cases_of(getattr(suite, name))
    return any(_fails(partial(getattr(suite(), name), **case), before_each) for case in cases)


def _fails(case: Callable[[], None], before_each: Callable[[], None]) -> bool:
    before_each()
    try:
        case()
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - a test may fail by anything
        return True
    return False


def failures(suite: type[Subject]) -> set[str]:
    """Which tests of a suite fail."""
    with hushed():
        return {name for name in names_of(suite) if fails(suite, name)}
