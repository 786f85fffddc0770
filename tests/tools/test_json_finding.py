"""The JSON in a text that also holds something else."""

from __future__ import annotations

import pytest

from bing_llm.tools.json_finding import json_in

A, B = '{"a": 1}', '{"b": [2]}'

FOUND = {
    "the whole": (f" {A}\n", A),
    "the whole, repaired": ("{'a': 1,}", A),
    "a number": ("42", "42"),
    "a word of Python": ("None", ""),
    "several values": (f"{A} {B}", B),
    "in prose": (f"It is {A}.", A),
    "the last object": (f"First {A}, then {B}.", B),
    "the last that is JSON": (f"Not {A} but {{x}} or (}}", A),
    "an object before a list": (f"{A}, as in [1]", A),
    "a list of objects": (f"They are [{A}, {B}].", f"[{A}, {B}]"),
    "the last list": ("From [1] to [2, 3]", "[2, 3]"),
    "a link": ("[Bing](https://bing.example)", ""),
    "quotes in prose": (f'He said "so: {A}', A),
    "braces in strings": ('It is {"a": "}{\\"}"}.', '{"a": "}{\\"}"}'),
    "a brace that nothing closes": (f"A set {{ of [things: {A}", A),
    "a bracket that closes nothing": (f"So ] }} {A}", A),
    "brackets that cross": (f"An interval [0, {{1] {A}", A),
    "cut off": (f'It is {{"c": {A}', ""),
    "cut off after another": (f'It is {B}, {{"c": {A}', B),
    "a list cut off": (f"They are [{A}, {B}", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "found"), FOUND.values(), ids=FOUND)
def test_the_last_complete_object_is_found(text: str, found: str) -> None:
    """Of what stands in no other braces the last object counts, and no part of what was cut off."""
    assert json_in(text) == found


def test_scripts_stay_readable() -> None:
    """What is written anew keeps its letters."""
    assert json_in("{'a': '\u00e4\u4e2d'}") == '{"a": "\u00e4\u4e2d"}'
