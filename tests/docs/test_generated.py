"""What pages take from the code is complete: names, settings, errors and commands."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bing_llm import errors
from bing_llm.cli.app import app
from bing_llm.services import SERVICES, settings_of
from docs import generated
from tests.snippets import ROOT

REFERENCE = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")}


def in_reference() -> Counter[str]:
    """How often the reference has each name."""
    found: Counter[str] = Counter()
    for text in REFERENCE.values():
        for module, names in re.findall(r"<!-- generated: api (\S+) ?(.*?) ?-->", text):
            found.update(f"{module}.{name}" for name in names.split() or generated.public_names()[module])
    return found


def test_every_public_name_is_in_the_reference() -> None:
    """Each has one place, and nothing else is there; errors have a page of their own, generated from the policy."""
    public = {f"{module}.{name}" for module, names in generated.public_names().items() for name in names}
    counted = in_reference()
    assert public - set(counted) == set()
    assert {name for name, count in counted.items() if count > 1} == set()


@pytest.mark.parametrize("name", ["settings", "limits", "errors", "commands"])
def test_each_part_has_a_place(name: str) -> None:
    """A page of the reference takes it."""
    assert sum(f"<!-- generated: {name} -->" in text for text in REFERENCE.values()) == 1


def test_every_setting_is_in_the_table() -> None:
    """With its environment variable and its description, for each service that has it."""
    shown = generated.settings()
    for kind in SERVICES.values():
        for name, (_, setting) in settings_of(kind).items():
            assert f"| `{name}`: " in shown
            assert setting.doc.replace("|", "\\|") in shown
            assert setting.variable in shown


def test_every_error_is_in_the_table() -> None:
    """With its hint: each that is raised, once."""
    shown = generated.error_table()
    for error in errors.RETRY_TABLE:
        assert shown.count(f"\n| `{error.__name__}` |") == 1
        assert error.default_hint.replace("|", "\\|") in shown


def test_every_command_is_in_the_reference() -> None:
    """By typer's own list, so that a new command needs no line here or there; with each of its options."""
    shown = generated.commands()
    names = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert len(names) >= 7
    for name in names:
        assert f"\n## bing-llm {name}\n" in shown
    assert "| `--concurrency N` |" in shown


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("BingClient", "bing_llm.BingClient"),
        ("Reply.text", "bing_llm.Reply"),
        ('ChatBing(service="x")', "langchain_bing.ChatBing"),
        ("Scripted", "bing_llm.emulator.Scripted"),
        ("Bing", ""),
        ("convert", ""),
        ("pip install .", ""),
    ],
)
def test_code_in_a_page_leads_to_its_class(code: str, place: str) -> None:
    """By the name that it begins with, if only one module has a class of it."""
    assert generated.place_of(code) == place


def test_a_cell_cannot_end_its_table() -> None:
    """A bar and a line feed within a cell stay in it."""
    assert generated.table(["a"], [["b | c\nd"]]).splitlines()[-1] == "| b \\| c d |"


def test_a_page_that_asks_for_an_unknown_part_fails() -> None:
    """A typing error does not leave a hole in a page."""
    with pytest.raises(KeyError):
        generated.insert_generated("<!-- generated: nothing -->")
