"""The challenge of conditional access: found, decoded, and said in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.workiq.challenge import Challenge, find_challenge, parse_challenge

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1780000000"},"xms_caeerror":{"value":"10012?>~"}}}'


def encoded(claims: str = CLAIMS, *, url_safe: bool = False, padded: bool = True) -> str:
    """The claims as a header has them."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(claims.encode()).decode()
    return text if padded else text.rstrip("=")


def header(value: str) -> dict[str, str]:
    """The headers of an answer with this challenge."""
    start = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    return {"www-authenticate": f'{start}, error="insufficient_claims", claims={value}'}


@given(st.booleans(), st.booleans(), st.text(max_size=3))
def test_claims_are_decoded_in_any_spelling(url_safe: bool, padded: bool, more: str) -> None:  # noqa: FBT001
    """Base64 or base64url, padded or not."""
    claims = json.dumps({"access_token": {"x": more}}, ensure_ascii=False)
    value = encoded(claims, url_safe=url_safe, padded=padded)
    for written in (f'"{value}"', f'"{value}", x="y"'):
        assert find_challenge(header(written)) == Challenge(claims)
    assert parse_challenge(f" {value} ") == parse_challenge(claims) == Challenge(claims)


@pytest.mark.parametrize("value", ["", '""', '"x"', '"e30"x', '"W10="', '"bm90IGpzb24="', f'"{"A" * 9000}"', '"///"'])
def test_what_cannot_be_read_is_no_challenge(value: str) -> None:
    """Then the answer is an ordinary refusal."""
    found = find_challenge(header(value))
    assert found is None or found.claims == "{}"


def test_other_parameters_are_no_claims() -> None:
    """Only the parameter of that name is."""
    assert find_challenge({"www-authenticate": f'Bearer xclaims="{encoded()}"'}) is None
    assert find_challenge({"www-authenticate": f'Basic realm="x", Bearer Claims="{encoded()}"'}) == Challenge(CLAIMS)
    assert find_challenge({}) is None


@pytest.mark.parametrize(
    ("claims", "meaning"),
    [
        ({}, "a new sign-in"),
        ({"nbf": {"value": "1780000000"}}, "a new sign-in; one after 2026-05-28 20:26 UTC"),
        ({"acrs": {"value": "c1"}}, "a new sign-in; with a stronger proof of who you are (authentication context c1)"),
        ({"acrs": {"value": "<b>"}, "x y": None}, "with a stronger proof of who you are, for a further claim"),
        ({"xms_cc": {"values": ["secret"]}, "nbf": {"value": "9" * 12}}, "for the claim xms_cc, for the claim nbf"),
    ],
)
def test_a_challenge_is_said_in_words(claims: dict[str, Any], meaning: str) -> None:
    """Its values are only shown where their form is known; its repr shows none."""
    challenge = Challenge(json.dumps({"access_token": claims}))
    assert challenge.meaning.endswith(meaning)
    assert "secret" not in f"{challenge.meaning} {challenge!r}"
