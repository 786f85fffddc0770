"""Where JSON values end."""

from __future__ import annotations

import pytest

from bing_llm.tools.scanning import Scanner

SCANNED = {
    "an object": ('{"a": [1, {}]}', "", 1),
    "several": (" {} , [1]{}\n", "", 3),
    "a closer behind one": ("{}} ]", "", 1),
    "prose": ("text", "text", 0),
    "a closer before one": ("}", "}", 0),
    "prose behind one": ('{"a": 1}\nand {}', "and {}", 1),
    "a scalar behind one": ("[1] 2", "2", 1),
    "brackets in strings": (r'["]\"]", "\\"] x', "x", 1),
}


@pytest.mark.parametrize(("text", "left", "values"), SCANNED.values(), ids=SCANNED)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_scan_ends_where_something_else_begins(text: str, left: str, values: int, size: int) -> None:
    """Objects and lists are followed to their ends, in parts of any size."""
    scanner = Scanner()
    at = 0
    while at < len(text) and (read := scanner.feed(text[at : at + size])):
        at += read
    assert text[at:] == left
    assert scanner.values == values
    assert not scanner.open


@pytest.mark.parametrize("text", ["{", '["a', '{"a": "\\', "[{}"])
def test_what_has_not_ended_is_open(text: str) -> None:
    """A value counts when its last bracket has come, not before."""
    scanner = Scanner()
    assert scanner.feed(text) == len(text)
    assert (scanner.open, scanner.values) == (True, 0)


@pytest.mark.parametrize("sign", ["<", "`", "\\"])
def test_a_wary_scan_ends_where_no_json_can_be(sign: str) -> None:
    """Within a value, what JSON has in strings only shows that it is broken."""
    text = f'{{"{sign * 2}": '
    scanner = Scanner(wary=True)
    assert scanner.feed(text + sign + "}") == len(text)
    assert (scanner.open, scanner.values) == (True, 0)
    assert Scanner().feed(text + sign + "}") == len(text) + 2
