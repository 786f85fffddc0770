"""The log of conversations."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bing_llm import services
from bing_llm._secrets import Redactor
from bing_llm.cli import log as module
from bing_llm.cli.log import Origin, add_turn, list_conversations, load, log_path
from bing_llm.cli.session import Exchange
from bing_llm.cli.state import StateUnavailable, private_file
from bing_llm.events import Citation, Reply

ORIGIN = Origin(service="chathub", model="bing-precise", options={"backend": "chathub", "search": False})
WORK_IQ = Origin(service="workiq", model="copilot", options={"backend": "workiq"})


def add(number: int | None, prompt: str, reply: Reply, origin: Origin = ORIGIN, context: str = "") -> int:
    """Log a turn."""
    return add_turn(number, origin, Exchange(prompt, reply, context), system="Be brief.")


def test_a_turn_comes_back_as_it_was() -> None:
    """With its sources and pictures, whatever characters it has."""
    citation = Citation(1, "https://a.example", "A", ((0, 5),), {"name": "General"})
    reply = Reply(
        text="[^1^] \x00é 🌊", citations=(citation,), images=("https://i.example",), revoked=True, notice="Sorry."
    )
    number = add(None, "Hi \x1b", reply, context="Known.")
    found = load()
    assert found is not None
    assert (found.id, found.origin) == (number, ORIGIN)
    assert found.past.system == "Be brief."
    assert found.past.exchanges == (Exchange("Hi \x1b", reply, "Known."),)


def test_half_a_character_is_no_failure() -> None:
    """A service may send one; SQLite has no place for it."""
    add(None, "\ud800", Reply(text="\udfff"))
    assert load() is not None


def test_conversations_are_found_by_number() -> None:
    """That of a conversation, or of any turn in it; without one, the conversation with the latest turn."""
    first = add(None, "one", Reply(text="1"))
    second = add(None, "two", Reply(text="2"))
    assert add(first, "three", Reply(text="3")) == first
    for number in (None, first, second + 1):
        found = load(number)
        assert found is not None
        assert [each.prompt for each in found.past.exchanges] == ["one", "three"]
    assert load(99) is load(-1) is load(10**30) is None


def test_they_are_listed_from_the_latest_on() -> None:
    """With their first prompts."""
    first = add(None, "one", Reply(text="1"))
    add(None, "two", Reply(text="2"))
    add(first, "three", Reply(text="3"))
    assert [(each.prompt, each.turns) for each in list_conversations(10**30)] == [("one", 2), ("two", 1)]
    assert [each.prompt for each in list_conversations(1)] == ["one"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TIDES", ["Gezeiten"]),
        ("ÉTÉ", ["Été"]),
        ("_", []),
        ("%", []),
        ("'", ["it's"]),
        ("", ["it's", "Été", "Gezeiten"]),
    ],
)
def test_they_are_found_by_what_was_said(text: str, found: list[str]) -> None:
    """In prompts and answers, whatever the case; no character has another meaning."""
    add(None, "Gezeiten", Reply(text="the tides"))
    add(None, "Été", Reply(text="x"))
    add(None, "it's", Reply(text="x"))
    assert [each.prompt for each in list_conversations(9, text)] == found


def test_an_empty_log_has_nothing() -> None:
    """And to look does not create it."""
    assert (load(), list_conversations(9)) == (None, [])
    assert not log_path().exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_only_the_owner_can_read_it() -> None:
    """The file and its folder."""
    add(None, "one", Reply(text="1"))
    assert log_path().stat().st_mode & 0o777 == 0o600
    assert log_path().parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in log_path().parent.iterdir()] == ["log.db"]


# --- where it goes on -------------------------------------------------------------------------------------------------


def test_only_work_iq_goes_on_by_its_id() -> None:
    """A ChatHub conversation needs its signature, which is a secret and not kept."""
    add(None, "one", Reply(text="1", conversation_id="c1"))
    found = load()
    assert found is not None
    assert found.past.conversation_id == ""
    number = add(None, "one", Reply(text="1", conversation_id="c1"), WORK_IQ)
    for at, there in enumerate(("c2", "c2"), 1):
        add(number, f"{at}", Reply(text="x", conversation_id=there), WORK_IQ)
    found = load()
    assert found is not None
    assert (found.past.conversation_id, found.past.held_from) == ("c2", 1)
    add(number, "elsewhere", Reply(text="x"))
    found = load()
    assert found is not None
    assert (found.past.conversation_id, found.past.held_from) == ("", 0)


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["very-secret-value", "very%2Dsecret-value", "very&#45;secret-value"])
def test_no_secret_is_in_it(spelled: str) -> None:
    """Not even what the user wrote, or the service sent."""
    reply = Reply(
        text=f"It is {spelled}. [^1^]",
        citations=(Citation(1, f"https://a.example/{spelled}", spelled, ((27, 32),)),),
        images=(f"https://i.example/{spelled}",),
        notice=spelled,
        metadata={"x": spelled},
    )
    add_turn(None, ORIGIN, Exchange(spelled, reply, spelled), system=spelled, redact=Redactor("very-secret-value"))
    assert b"secret" not in log_path().read_bytes()
    found = load()
    assert found is not None
    assert found.past.exchanges[0].reply.text == "It is ***. [^1^]"
    assert found.past.exchanges[0].reply.citations[0].spans == ()


# --- what can be wrong with it ----------------------------------------------------------------------------------------


def spoil(how: Callable[[Path], object]) -> None:
    """Put something else in its place."""
    add(None, "one", Reply(text="1"))
    how(log_path())


def run_sql(*statements: str) -> Callable[[Path], None]:
    """Change the database."""

    def run(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return run


WRONG: dict[str, Callable[[Path], object]] = {
    "damaged": lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000),
    "of another kind": lambda path: path.write_bytes(b"Hello. " * 500),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "of a later version": run_sql("PRAGMA user_version = 99"),
    "with other columns": run_sql("DROP TABLE turns", "CREATE TABLE turns (id INTEGER)"),
    "without its table": run_sql("DROP TABLE turns"),
    "of an unknown version": run_sql("PRAGMA user_version = 0"),
}


@pytest.mark.parametrize("how", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_kind_of_error(how: Callable[[Path], Any]) -> None:
    """Its text has one line, which names the file."""
    spoil(how)
    with pytest.raises(StateUnavailable) as caught:
        add(None, "two", Reply(text="2"))
    assert "log.db" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_another_program_wrote_is_an_error() -> None:
    """A row whose JSON is none."""
    spoil(run_sql("UPDATE turns SET citations = '{'"))
    with pytest.raises(StateUnavailable, match="did not write"):
        load()


def test_a_locked_log_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wait that nobody minds."""
    monkeypatch.setattr(module, "_LOCK_S", 0.0)
    add(None, "one", Reply(text="1"))
    with closing(sqlite3.connect(log_path(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateUnavailable, match="locked"):
            add(None, "two", Reply(text="2"))
        with pytest.raises(StateUnavailable, match="locked"):
            load()
    assert [each.prompt for each in list_conversations(9)] == ["one"]


def test_two_at_once_lose_nothing() -> None:
    """Each waits for the other, also while one of them makes the database."""
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda prompt: add(None, str(prompt), Reply(text="x")), range(20)))
    assert len(set(numbers)) == 20
    assert {each.prompt for each in list_conversations(99)} == {str(prompt) for prompt in range(20)}


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays."""
    add(None, "one", Reply(text="1"))
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def on_full_disk(*args: Any, **options: Any) -> sqlite3.Connection:
        database = connect(*args, **options)
        database.execute("PRAGMA max_page_count = 4")
        return database

    monkeypatch.setattr("bing_llm.cli.log.sqlite3.connect", on_full_disk)
    with pytest.raises(StateUnavailable, match="full"):
        add(None, "two", Reply(text="x" * 100_000))
    assert [each.prompt for each in list_conversations(9)] == ["one"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everything")
def test_a_read_only_log_can_be_read() -> None:
    """Only adding to it is an error."""
    add(None, "one", Reply(text="1"))
    log_path().chmod(0o400)
    assert load() is not None
    with pytest.raises(StateUnavailable):
        add(None, "two", Reply(text="2"))


# --- the schema -------------------------------------------------------------------------------------------------------


def test_an_empty_database_gets_the_schema() -> None:
    """A process that was killed just after it made the file leaves one."""
    private_file("log.db")
    assert list_conversations(9) == []
    add(None, "one", Reply(text="1"))
    assert len(list_conversations(9)) == 1


def test_an_old_schema_takes_the_steps_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds stays."""
    add(None, "one", Reply(text="1"))
    step = "ALTER TABLE turns ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine'"
    monkeypatch.setattr(module, "_SCHEMA", (*module._SCHEMA, step))
    add(None, "two", Reply(text="2"))
    assert [each.prompt for each in list_conversations(9)] == ["two", "one"]
    with closing(sqlite3.connect(log_path())) as database:
        assert database.execute("SELECT mood FROM turns").fetchall() == [("fine",)] * 2
        assert database.execute("PRAGMA user_version").fetchone() == (len(module._SCHEMA),)


def test_a_step_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier version still reads what is there."""
    add(None, "one", Reply(text="1"))
    schema = module._SCHEMA
    monkeypatch.setattr(module, "_SCHEMA", (*schema, "ALTER TABLE turns ADD COLUMN mood TEXT; nonsense"))
    with pytest.raises(StateUnavailable, match="syntax"):
        load()
    monkeypatch.setattr(module, "_SCHEMA", schema)
    assert [each.prompt for each in list_conversations(9)] == ["one"]


def test_options_are_json() -> None:
    """So that a later version, and a person, can read them."""
    add(None, "one", Reply(text="1"))
    with closing(sqlite3.connect(log_path())) as database:
        [[options]] = database.execute("SELECT options FROM turns").fetchall()
    assert msgspec.json.decode(options) == ORIGIN.options
    assert set(services.SERVICES) >= {ORIGIN.service}
