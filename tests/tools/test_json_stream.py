"""JSON that is passed on while it comes."""

from __future__ import annotations

import pytest

from bing_llm.tools.json_stream import JsonStream

PASSED = {
    "as it is": ('{"a": [1, {}], "b": "x"}', '{"a": [1, {}], "b": "x"}'),
    "what follows": ('{"a": 1} and {"b": 2}', '{"a": 1}'),
    "closers in strings": (r'["]}\"]", "\\"] x', r'["]}\"]", "\\"]'),
    "line end in a string": ('["a\n\t\x01"]', r'["a\n\t\u0001"]'),
    "needless backslash": (r'["a\_b \<\d\n"]', r'["a_b <\d\n"]'),
    "comma before a closer": ('{"a": [1 , \n], }', '{"a": [1  \n] }'),
    "comma before a value": ('[1,\n "a"]', '[1,\n "a"]'),
    "two commas": ("[1,,2]", "[1,,2]"),
    "without an end": ('{"a": "x', '{"a": "x'),
}


@pytest.mark.parametrize(("text", "passed"), PASSED.values(), ids=PASSED)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_value_is_passed_on_to_its_end(text: str, passed: str, size: int) -> None:
    """One value comes through, repaired where nothing must be recalled, in parts of any size."""
    stream = JsonStream()
    assert "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) == passed
    assert stream.done == (passed[-1] in "]}")
