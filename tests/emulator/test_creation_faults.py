"""How a creation is refused."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm.backends.answer import Answer, retry_after
from bing_llm.backends.chathub.creation import parse_creation
from bing_llm.emulator.creation_faults import check_refusable, response


def read(error: errors.BingError) -> errors.BingError:
    """The error that the client makes of the answer."""
    played = response(error)
    body = played.body if isinstance(played.body, bytes) else b""
    headers = {name.lower(): value for name, value in played.headers.items()}
    wait = retry_after(headers.get("retry-after"), 0)
    with pytest.raises(errors.BingError) as caught:
        parse_creation(Answer(played.status, headers, body, wait))
    return caught.value


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Throttled(), 404),
        (errors.Throttled(retry_after=7.0), 429),
        (errors.Unauthorized(), 200),
        (errors.ServiceError(), 503),
    ],
)
def test_the_client_reads_the_error_that_was_played(error: errors.BingError, status: int) -> None:
    """Refusals by status and by result are read as the error that was asked for."""
    assert response(error).status == status
    found = read(error)
    assert type(found) is type(error)
    assert found.retry_after == error.retry_after


def test_an_empty_body_is_no_conversation() -> None:
    """A ProtocolError is played as status 200 with an empty body, which the client does not take for a conversation."""
    assert response(errors.ProtocolError()).status == 200
    assert isinstance(read(errors.ProtocolError()), errors.ServiceError)


def test_own_words_replace_the_usual_ones() -> None:
    """`value` and `service_message` of an Unauthorized are what is sent: Forbidden, as in recording 14."""
    found = read(errors.Unauthorized(value="Forbidden", service_message="Not here."))
    assert (found.value, found.service_message) == ("Forbidden", "Not here.")


def test_other_errors_cannot_be_played() -> None:
    """An error that no creation ends with is refused, and the text names those that can be played."""
    with pytest.raises(errors.ConfigurationError, match=r"SessionExpired.*Throttled"):
        check_refusable(errors.SessionExpired())
