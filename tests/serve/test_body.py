"""Bodies of requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm.serve.body import header_of, read_body
from bing_llm.serve.chat import ChatRequest
from bing_llm.serve.errors import ApiError


def read(**fields: Any) -> tuple[ChatRequest, list[str]]:
    """A request with these fields."""
    return read_body(msgspec.json.encode({"messages": [], **fields}), ChatRequest)


def test_what_has_no_effect_is_named() -> None:
    """Parameters that the service has no setting for, and fields that nobody knows."""
    _, ignored = read(temperature=0, seed=7, logprobs=True, top_p=0.5, chat_id="x", user="me")
    assert ignored == ["chat_id", "logprobs", "seed", "temperature", "top_p"]


def test_what_asks_for_nothing_is_not_named() -> None:
    """SDKs send the defaults of parameters, too."""
    assert read(temperature=None, logprobs=False, logit_bias={}, metadata=None, service_tier="")[1] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b'"\xff"', "invalid_json"),
     (b"[" * 100_000, "invalid_json"), (b'{"messages": [], "seed": 1e400}', "invalid_json"), (b"{}", "invalid_type")],
)  # fmt: skip
def test_what_is_not_a_request_is_an_error(body: bytes, code: str) -> None:
    """Of the caller."""
    with pytest.raises(ApiError) as caught:
        read_body(body, ChatRequest)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": "Hello"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
    ],
)
def test_an_error_names_the_parameter(fields: dict[str, Any], param: str) -> None:
    """By its place in the body."""
    with pytest.raises(ApiError) as caught:
        read(**fields)
    assert (caught.value.param, caught.value.code) == (param, "invalid_type")
    assert caught.value.message.startswith(param)


def test_names_that_no_header_can_have_stay_away() -> None:
    """A caller may choose any."""
    assert header_of(["seed", "a\r\nSet-Cookie: x", "ü", "x" * 65, "top_p"]) == "seed, top_p"
    assert header_of([f"f{number}" for number in range(1000)]).count(",") == 49
