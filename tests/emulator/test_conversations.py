"""The conversations that the emulator keeps."""

from __future__ import annotations

import base64
import re

import pytest

from bing_llm.emulator import PastTurn, conversations
from bing_llm.emulator.conversations import Conversation, Conversations


class Clock:
    """A time that stands still until it is moved."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time of `kept`."""
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Conversations:
    """Conversations of two turns that live for an hour."""
    return Conversations(turn_limit=2, lifetime=3600, clock=clock)


@pytest.mark.parametrize(
    ("signed_in", "conversation", "client"),
    [
        (True, r"51D\|BingProd\|[0-9A-F]{64}", r"\d{15}"),
        (False, r"51D\|BingProdUnAuthenticatedUsers\|[0-9A-F]{64}", r"[0-9A-F]{32}"),
    ],
)
def test_ids_have_the_recorded_forms(kept: Conversations, signed_in: bool, conversation: str, client: str) -> None:  # noqa: FBT001
    """An account and an anonymous browser get ids in the forms of recording 14."""
    made = kept.create(signed_in=signed_in)
    assert re.fullmatch(conversation, made.id)
    assert re.fullmatch(client, made.client_id)
    assert made.client_id == kept.create(signed_in=signed_in).client_id == kept.client_id(signed_in=signed_in)


def test_a_token_has_every_character_that_must_be_encoded(kept: Conversations) -> None:
    """Each token holds `+`, `/` and `=`, so that a client that does not percent-encode it always fails."""
    for _ in range(20):
        token = kept.create(signed_in=False).token
        assert {"+", "/", "="} <= set(token)
        assert base64.b64decode(token, validate=True)


def test_new_signatures_replace_the_old_ones(kept: Conversations) -> None:
    """Signing again gives other signatures."""
    made = kept.create(signed_in=False)
    old = {made.signature, made.token}
    made.sign()
    assert not old & {made.signature, made.token}


def test_signatures_are_not_in_the_repr(kept: Conversations) -> None:
    """A conversation's repr holds no secret."""
    made = kept.create(signed_in=False)
    assert made.signature not in repr(made)
    assert made.token not in repr(made)


def test_a_conversation_lives_from_its_last_turn_on(kept: Conversations, clock: Clock) -> None:
    """It expires a lifetime after its last turn, not after its creation."""
    made = kept.create(signed_in=False)
    clock.now += 3000
    made.begin(0, "")
    made.finish(None)
    clock.now += 3599
    assert kept.find(made.id) is made
    clock.now += 1
    assert kept.find(made.id) is None
    assert list(kept) == []


def test_a_running_turn_keeps_its_conversation(kept: Conversations, clock: Clock) -> None:
    """A conversation does not expire while a turn runs."""
    made = kept.create(signed_in=False)
    made.begin(0, "")
    clock.now += 9999
    assert kept.find(made.id) is made


def test_what_was_deleted_is_gone(kept: Conversations) -> None:
    """A deleted conversation is not found, and deleting it again does nothing."""
    made = kept.create(signed_in=False)
    kept.delete(made)
    kept.delete(made)
    assert kept.find(made.id) is None


def test_the_text_of_an_expired_conversation_names_the_lifetime(kept: Conversations) -> None:
    """The service's words of recording 04, with the lifetime that was set."""
    said = kept.expired_text("51D|x")
    assert said == "Conversation '51D|x' doesn't exist or has expired. Conversations expire after 01:00:00."


def test_a_conversation_is_named_after_its_first_question(kept: Conversations) -> None:
    """The list of conversations shows the user's first words, at most 40 characters."""
    made: Conversation = kept.create(signed_in=False)
    assert made.name == ""
    made.finish(PastTurn("x" * 50, "a"))
    made.finish(PastTurn("second", "b"))
    assert made.name == "x" * 40


def test_an_id_may_be_given(kept: Conversations) -> None:
    """A conversation of Work IQ has an id of its own form, and no participant."""
    made = kept.add("0d11")
    assert kept.find("0d11") is made
    assert (made.id, made.client_id) == ("0d11", "")


def test_conversations_are_bounded(kept: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that is idle is forgotten, by number and by characters of all turns; the newest stays."""
    monkeypatch.setattr(conversations, "_MOST_CONVERSATIONS", 3)
    running, *others = [kept.create(signed_in=True) for _ in range(3)]
    running.begin(0, "")
    others.append(kept.create(signed_in=True))
    assert list(kept) == [running, *others[1:]]
    monkeypatch.setattr(conversations, "_MOST_CHARACTERS", 10)
    others[2].finish(PastTurn("12345", "6789"))
    assert list(kept) == [running, *others[1:]]
    others[1].finish(PastTurn("1", "2"))
    assert list(kept) == [running, others[2]]
    others[2].finish(PastTurn("1" * 99, ""))
    assert list(kept) == [running, others[2]]
    kept.delete(others[2])
    kept.create(signed_in=True)
    assert len(list(kept)) == 2
