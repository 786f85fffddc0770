"""What the creation of a conversation is answered."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm import errors
from bing_llm.backends.chathub.errors import error_for_status
from bing_llm.backends.chathub.request import ChatHubConversation, body_of, parse_creation
from bing_llm.backends.response import Response
from bing_llm.errors import BingError, is_transient
from tests.backends.chathub.wire import RECORDED

PLAIN = "x-sydney-conversationsignature"
ENCRYPTED = "x-sydney-encryptedconversationsignature"
SUCCESS = {"conversationId": "51D|BingProd|00", "clientId": "844426050463147", "result": {"value": "Success"}}


def answered(body: Any = None, status: int = 200, retry_after: float | None = None, **headers: str) -> Response:
    """An answer whose body is this text, or this value as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, retry_after)


def recording(number: int) -> Response:
    """One of the recorded answers."""
    lines = (RECORDED / "14-http-create-responses.jsonl").read_text(encoding="utf-8").splitlines()
    return answered(json.loads(lines[number])["body"])


def refused(answer: Response) -> BingError:
    """The error that this answer to a creation raises."""
    with pytest.raises(BingError) as caught:
        parse_creation(answer)
    return caught.value


@pytest.mark.parametrize(
    ("number", "conversation_id", "client_id"),
    [
        (
            0,
            "51D|BingProdUnAuthenticatedUsers|07080C412AF5DF573614FD25E28C94C6A55D4A8F0E7D896C1EB7B2DCD62E5ADF",
            "22E984E3F08C677022C095C4F15E668A",
        ),
        (1, "51D|BingProd|03C4BC77FBACDF1F8182CE5C0D3DCC488BC9E0BF78E8D3054FBA28CA0DBA1965", "844426050463147"),
    ],
    ids=["anonymous", "signed in"],
)
def test_recorded_successes_give_conversations(number: int, conversation_id: str, client_id: str) -> None:
    """Both recorded successes are conversations; their one signature came in the body (recording 14)."""
    assert parse_creation(recording(number)) == ChatHubConversation(conversation_id, client_id, "REDACTED", None)


@pytest.mark.parametrize("signature", ["n\udcff\udcfe", "n\u00e9", "n\x00"])
@pytest.mark.parametrize("name", [PLAIN, ENCRYPTED])
def test_a_signature_that_is_none_is_refused(name: str, signature: str) -> None:
    """Bytes that no base64 has, which aiohttp hands on as half characters, are a ProtocolError and go nowhere."""
    answer = Response(200, {name: signature}, json.dumps(SUCCESS).encode())
    assert type(refused(answer)) is errors.ProtocolError


@pytest.mark.parametrize(
    ("number", "value", "said"),
    [
        (2, "UnauthorizedRequest", "Sorry, you need to login first to access this service."),
        (3, "Forbidden", "Sorry, you are not allowed to access this service."),
    ],
)
def test_recorded_refusals_are_raised(number: int, value: str, said: str) -> None:
    """Both recorded refusals are Unauthorized, with the service's own value and words (recording 14)."""
    error = refused(recording(number))
    assert type(error) is errors.Unauthorized
    assert (error.value, error.service_message) == (value, said)
    assert str(error).startswith(f"The service refused the creation of a conversation ({value}: {said.rstrip('.')}).")


def test_signatures_come_in_headers() -> None:
    """Both signatures are headers of the answer, and go before one in the body."""
    answer = Response(200, {PLAIN: "plain+/=", ENCRYPTED: "encrypted"}, json.dumps(SUCCESS).encode())
    assert parse_creation(answer).secrets == ("plain+/=", "encrypted")
    both = Response(200, {PLAIN: "header"}, json.dumps({**SUCCESS, "conversationSignature": "body"}).encode())
    assert parse_creation(both).secrets == ("header",)


def test_without_any_signature_there_is_still_a_conversation() -> None:
    """Whether a conversation needs a signature is the service's affair; what it leaves out is empty or None."""
    conversation = parse_creation(answered({"conversationId": "c"}))
    assert conversation == ChatHubConversation("c", "", None, None)
    assert conversation.secrets == ()


@pytest.mark.parametrize(
    ("answer", "kind", "value", "transient"),
    [
        (answered(status=302, location="https://cn.bing.com"), errors.Unauthorized, "302", False),
        (answered(status=401), errors.Unauthorized, "401", False),
        (answered(status=403), errors.Unauthorized, "403", False),
        (answered(status=404), errors.Throttled, "404", False),
        (answered(status=404, retry_after=7.0), errors.Throttled, "404", True),
        (answered(status=429), errors.Throttled, "429", False),
        (answered(status=429, retry_after=30.0), errors.Throttled, "429", True),
        (answered(status=400), errors.ConnectionFailed, "400", False),
        (answered(status=407), errors.Unauthorized, "407", False),
        (answered(status=451), errors.Unauthorized, "451", False),
        (answered(status=500), errors.ServiceError, "500", True),
        (answered(status=502), errors.ServiceError, "502", True),
        (answered(status=503, retry_after=9.0), errors.ServiceError, "503", True),
        (answered(b""), errors.ServiceError, "200", True),
        (answered(b" \r\n"), errors.ServiceError, "200", True),
        (answered(b"<!DOCTYPE html><title>Our services aren't available</title>"), errors.ServiceError, "200", True),
        (answered(b"\xff\xfe"), errors.ServiceError, "200", True),
        (answered(b"[" * 100_000), errors.ServiceError, "200", True),
        (answered([]), errors.ServiceError, "200", True),
        (answered({"conversationId": 7}), errors.ServiceError, "200", True),
        (answered({}), errors.ServiceError, None, True),
        (answered({"result": {"value": "Success"}}), errors.ServiceError, "Success", True),
        (answered({"conversationId": "", "result": {}}), errors.ServiceError, None, True),
        (answered({**SUCCESS, "result": {"value": "Throttled"}}), errors.Throttled, "Throttled", False),
        (
            answered({**SUCCESS, "result": {"value": "CaptchaChallenge"}}),
            errors.CaptchaRequired,
            "CaptchaChallenge",
            False,
        ),
        (answered({**SUCCESS, "result": {"value": "TryLater"}}), errors.ServiceError, "TryLater", True),
    ],
)
def test_each_kind_of_failure_has_its_error(
    answer: Response, kind: type[BingError], value: str | None, *, transient: bool
) -> None:
    """Status, then content, then `result.value`: each failure is one error, which knows whether to try again."""
    error = refused(answer)
    assert type(error) is kind
    assert (error.value, error.retry_after, is_transient(error)) == (value, answer.retry_after, transient)


def test_a_status_goes_before_the_content() -> None:
    """A failure status counts even with the body of a success."""
    assert refused(answered(SUCCESS, status=500)).value == "500"


def test_an_empty_body_differs_from_a_wrong_one() -> None:
    """The message says what came in place of JSON."""
    assert "HTTP 200 and an empty body" in str(refused(answered(b"")))
    assert "HTTP 200 and something that is not the JSON it should be" in str(refused(answered(b"<html>")))


@given(st.binary())
def test_any_body_gives_a_conversation_or_an_error(body: bytes) -> None:
    """No body makes it fail in another way."""
    assert isinstance(refused(Response(200, {}, body)), errors.ServiceError)


def test_a_body_is_read_as_what_is_asked_for() -> None:
    """Other calls read their answers by the same rules."""
    assert body_of(answered({"a": 1}, status=201), "the call", dict[str, int]) == {"a": 1}
    with pytest.raises(errors.ServiceError, match="answered the call with HTTP 200"):
        body_of(answered({"a": "x"}), "the call", dict[str, int])


@pytest.mark.parametrize("status", [200, 204, 299])
def test_success_is_not_an_error(status: int) -> None:
    """2xx stands for no error."""
    assert error_for_status(answered(status=status), "the call") is None


def test_a_conversation_shows_no_secret() -> None:
    """No repr has a signature, nor has the one that rich makes, nor one of a thing that holds the conversation."""
    conversation = ChatHubConversation("id", "client", "hunter2", "hunter3")
    for shown in (repr(conversation), str(conversation), repr([conversation]), repr(conversation.__rich_repr__())):
        assert "hunter" not in shown
        assert "client" in shown
    assert msgspec.structs.asdict(conversation)["signature"] == "hunter2"
