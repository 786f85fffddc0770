"""Which chat requests are taken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm import errors
from bing_llm.backends.chathub import frames
from bing_llm.emulator import PastTurn
from bing_llm.emulator.chathub.admission import admit
from bing_llm.emulator.conversations import Conversation, Conversations, signature_fits
from tests.emulator.chathub.visitor import Created, chat


@pytest.fixture
def kept() -> Conversations:
    """Conversations of two turns."""
    return Conversations(turn_limit=2, lifetime=3600, clock=lambda: 0.0)


@pytest.fixture
def one(kept: Conversations) -> Conversation:
    """A conversation without turns."""
    return kept.create(signed_in=False)


def request(one: Conversation, number: int | str = 0, **changes: Any) -> frames.Chat:
    """A request on this conversation."""
    return msgspec.convert(chat(Created(one.id, one.client_id, one.signature), "Hello", number, **changes), frames.Chat)


def admitted(kept: Conversations, asked: frames.Chat, token: str | None, **options: Any) -> Conversation:
    """The conversation that takes the request."""
    return admit(kept, asked, token, **({"context_limit": 100} | options))


def test_a_right_request_is_taken(kept: Conversations, one: Conversation) -> None:
    """A request with the token, the signature, the participant and a first number belongs to its conversation."""
    assert admitted(kept, request(one), one.token) is one


@pytest.mark.parametrize("number", ["0", "3", "17"])
def test_the_first_turn_may_have_any_number(kept: Conversations, one: Conversation, number: str) -> None:
    """Public clients count from 0 or from 3 (re-edge-gpt); the first number is the base."""
    assert admitted(kept, request(one, number), one.token) is one
    one.begin(int(number), "")
    one.finish(None)
    assert admitted(kept, request(one, int(number) + 1, isStartOfSession=False), one.token) is one


@pytest.mark.parametrize("number", ["0", "2", "5"])
def test_a_later_turn_must_have_the_next_number(kept: Conversations, one: Conversation, number: str) -> None:
    """Each turn counts up by one; the refusal counts the messages that there are (recording 04)."""
    one.begin(0, "")
    one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.InvalidRequest) as caught:
        admitted(kept, request(one, number, isStartOfSession=False), one.token)
    assert caught.value.service_message == f"Conversation '{one.id}' with 2 messages already exists."


def test_a_session_starts_once(kept: Conversations, one: Conversation) -> None:
    """`isStartOfSession` on a later turn is refused, right number or not."""
    one.begin(0, "")
    one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.InvalidRequest) as caught:
        admitted(kept, request(one, 1, isStartOfSession=True), one.token)
    assert "already exists" in (caught.value.service_message or "")


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "٣", "9" * 5000])
def test_a_number_is_a_number(kept: Conversations, one: Conversation, number: str) -> None:
    """An invocation id that is not a number of up to nine digits is refused."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, request(one, number), one.token)


@pytest.mark.parametrize(
    ("token", "changes", "said"),
    [
        (None, {}, "is not set"),
        ("", {}, "is not set"),
        ("wrong", {}, "Cannot retrieve user status."),
        ("right", {"conversationSignature": "wrong"}, "Cannot retrieve user status."),
        ("right", {"participant": {"id": "somebody"}}, "Cannot retrieve user status."),
    ],
)
def test_whoever_has_not_the_signatures_is_refused(
    kept: Conversations, one: Conversation, token: str | None, changes: dict[str, Any], said: str
) -> None:
    """A missing or wrong token, a wrong signature and another participant are unauthorized."""
    with pytest.raises(errors.Unauthorized) as caught:
        admitted(kept, request(one, **changes), one.token if token == "right" else token)
    assert said in (caught.value.service_message or "")


def test_the_signature_in_the_json_may_be_left_out(kept: Conversations, one: Conversation) -> None:
    """Since October 2023 the token on the URL is enough."""
    assert admitted(kept, request(one, conversationSignature=None), one.token) is one


def test_without_tokens_the_signature_in_the_json_counts(kept: Conversations, one: Conversation) -> None:
    """Where the creation gave one signature in its body, that one is expected and no token."""
    assert admitted(kept, request(one), None, signed_in_body=True) is one
    with pytest.raises(errors.Unauthorized):
        admitted(kept, request(one, conversationSignature=None), None, signed_in_body=True)


@pytest.mark.parametrize(
    "changes",
    [{"conversationId": None}, {"participant": None}, {"message": None}, {"message": {"text": "", "author": "user"}}],
    ids=["no conversation", "no participant", "no message", "no text"],
)
def test_what_every_request_needs(kept: Conversations, one: Conversation, changes: dict[str, Any]) -> None:
    """A request without conversation, participant, message or text is invalid."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, request(one, **changes), one.token)


def test_a_request_needs_arguments(kept: Conversations) -> None:
    """A request with an empty list of arguments is invalid."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, frames.Chat([], "0"), None)


def test_an_unknown_conversation_has_expired(kept: Conversations, one: Conversation) -> None:
    """A conversation that is not there is an invalid session, whatever the signatures."""
    kept.delete(one)
    with pytest.raises(errors.SessionExpired) as caught:
        admitted(kept, request(one), one.token)
    assert caught.value.service_message == kept.expired_text(one.id)


def test_one_turn_at_a_time(kept: Conversations, one: Conversation) -> None:
    """While a turn runs, another one is refused, even with the next number."""
    one.begin(0, "")
    with pytest.raises(errors.ConversationBusy):
        admitted(kept, request(one, 1), one.token)


def test_a_long_context_is_too_long(kept: Conversations, one: Conversation) -> None:
    """Prompt and context together may have as many characters as the limit says, and no more."""
    context = [{"author": "user", "description": "x" * 95, "contextType": "WebPage", "messageType": "Context"}]
    assert admitted(kept, request(one, previousMessages=context), one.token) is one
    with pytest.raises(errors.PromptTooLong):
        admitted(kept, request(one, previousMessages=context), one.token, context_limit=99)


def test_an_ended_conversation_takes_no_turn(kept: Conversations, one: Conversation) -> None:
    """After the service disengaged there is no further turn."""
    one.ended = True
    with pytest.raises(errors.ConversationEnded):
        admitted(kept, request(one), one.token)


def test_turns_are_limited(kept: Conversations, one: Conversation) -> None:
    """After as many turns as the limit says, there is no further one."""
    for number in range(2):
        one.begin(number, "")
        one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.TurnLimitReached):
        admitted(kept, request(one, 2), one.token)


def test_signatures_are_compared_whole() -> None:
    """A signature fits only when it is the same, non-ASCII characters included."""
    assert signature_fits("abc", "abc")
    assert not signature_fits("abc", "ab")
    assert not signature_fits("abc", "äbc")
