"""Texts of scripts: JSON and YAML, and what is refused of both."""

from __future__ import annotations

import sys

import pytest

from bing_llm.emulator.script_text import LONGEST, read_text
from bing_llm.errors import ConfigurationError


def refusal(text: str) -> str:
    """How this text is refused."""
    with pytest.raises(ConfigurationError) as caught:
        read_text(text, "a.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: [1, -2, 1.5, .5, 1e3]", {"a": [1, -2, 1.5, 0.5, 1000.0]}),
        ("a: [true, False, null, ~, ]", {"a": [True, False, None, None]}),
        ("a: [yes, no, on, off, y, n, 12:30, 2026-11-30, 1_000, .inf, =]",
         {"a": ["yes", "no", "on", "off", "y", "n", "12:30", "2026-11-30", "1_000", ".inf", "="]}),
        ("a: ['1', \"true\", 'null']", {"a": ["1", "true", "null"]}),
        ("a: |\n  two\n  lines\nb: >\n  one\n  line\n", {"a": "two\nlines\n", "b": "one line\n"}),
        ("# nothing but a comment", None),
        ("", None),
        ("\ufeffa: b", {"a": "b"}),
        ('\ufeff{"a": "\\ud83d\\ude00 \\/"}', {"a": "😀 /"}),
        ("---\na: b\n...\n", {"a": "b"}),
        ("x: " + "9" * 5000, {"x": "9" * 5000}),
    ],
    ids=range(11),
)  # fmt: skip
def test_yaml_gives_what_json_has(text: str, data: object) -> None:
    """Scalars are read by the core schema of YAML 1.2: dates, times of day and `yes` are text."""
    assert read_text(text, "a.yaml").data == data


@pytest.mark.parametrize("text", ['{"a": [1, "b", null, true, 1.5, {"c": "d: e"}]}', '["a\\tb", "c"]', '"a"', "12"])
def test_json_is_yaml(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of JSON gives the same data where there is no PyYAML."""
    data = read_text(text, "a.json").data
    assert read_text(f"{text} # which is YAML", "a.yaml").data == data
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read_text(text, "a.json").data == data


def test_without_pyyaml_yaml_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why the text is not JSON, and how YAML is had."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    said = 'a.yaml is not JSON (line 1, column 1: Expecting value). YAML needs PyYAML: pip install "bing-llm[cli]". '
    assert refusal("a: b") == said + "JSON works without it."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  a: 1\n  a: 2\n", "a.yaml, line 4: the key 'a' is there twice."),
        ("a: &x [b]\nc: *x", "a.yaml, line 1: there are no anchors (&) and aliases (*) in a script"),
        ("a:\n  - *x", "a.yaml, line 2: there are no anchors (&) and aliases (*) in a script"),
        ("a: !!python/object/apply:os.system [id]", "a.yaml, line 1: there are no tags (!) in a script"),
        ("? [a]\n: b", "a.yaml, line 1: a key must be text."),
        ("a: b\n---\nc: d", "a.yaml, line 2: a second document begins; a script is one."),
        ("a: b: c", "a.yaml, line 1, column 5: this is not YAML: mapping values are not allowed in this context."),
        ("a:\n\t- b", "a.yaml, line 2, column 1: this is not YAML: found character that cannot start any token."),
        ("a: \x1b[31m", "a.yaml: this is not YAML: "),
        ("{'a': [b}", "a.yaml is not JSON (line 1, column 2: Expecting property name enclosed in double quotes)."),
        ('{"a": 1, "a": 2}', "a.yaml cannot be used: the key 'a' is there twice."),
        ('{"a": NaN}', "a.yaml cannot be used: NaN is not a number of JSON."),
        ('["\\ud800"]', "a.yaml cannot be used: it has half of a surrogate pair, which no text can hold."),
        ("[" * 100_000, "a.yaml cannot be used: it is nested too deep."),
        ("a: " + "[" * 200 + "]" * 200, "a.yaml, line 1: this is nested too deep."),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "a.yaml cannot be used: it is nested too deep."),
        ('{"a": 1e999}', "a.yaml cannot be used: it has a number that is too large."),
        ('{"a": ' + "9" * 5000 + "}", "a.yaml cannot be used: Exceeds the limit (4300 digits)"),
        ("a" * (LONGEST + 1), "a.yaml is longer than 1,048,576 characters."),
    ],
    ids=range(19),
)  # fmt: skip
def test_what_is_neither_says_where(text: str, said: str) -> None:
    """An error names the line; nothing of a text is run, repeated or expanded."""
    assert refusal(text).startswith(said)


def test_each_part_has_its_line() -> None:
    """A part that is not there has the line of what it would be in."""
    document = read_text("a:\n  - b\n  - c: d\n    e:\n      - f\n", "a.yaml")
    paths = {"": 1, "a": 1, "a[0]": 2, "a[1].c": 3, "a[1].e": 4, "a[1].e[0]": 5, "a[1].x": 3, "a[1].x.y[3]": 3, "z": 1}
    assert {path: document.line_of(path) for path in paths} == paths
    assert read_text('{"a": "b"}', "a.json").line_of("a") is None
