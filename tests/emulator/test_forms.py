"""The fields of a multipart form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.forms import form_fields

BODY = (
    b"--b0undary\r\n"
    b'Content-Disposition: form-data; name="knowledgeRequest"\r\nContent-Type: application/json; charset=utf-8\r\n\r\n'
    b'{"a":1}\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="imageBase64"\r\n\r\nAAAA\r\nBBBB\r\n'
    b"--b0undary--\r\n"
)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=b0undary", "multipart/form-data", "Multipart/Form-Data"]
)
def test_fields_are_read(content_type: str) -> None:
    """The boundary is that of the body's first line, whether the header has one or not."""
    assert form_fields(content_type, BODY) == {"knowledgeRequest": b'{"a":1}', "imageBase64": b"AAAA\r\nBBBB"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", BODY), ("", BODY), ("multipart/form-data", b""), ("multipart/form-data", b"{}")],
)
def test_what_is_no_form_has_no_fields(content_type: str, body: bytes) -> None:
    """Another type, or a body that does not begin with a boundary, gives nothing."""
    assert form_fields(content_type, body) == {}


@given(st.binary(), st.binary())
def test_any_body_gives_fields_or_nothing(first: bytes, rest: bytes) -> None:
    """No body makes it fail."""
    for body in (first + rest, b"--" + first + b"\r\n" + rest, b"--b\r\n" + rest + b"\r\n--b--"):
        assert isinstance(form_fields("multipart/form-data", body), dict)
