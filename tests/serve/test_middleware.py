"""What happens to each request around its handler."""

from __future__ import annotations

import logging

import pytest

from bing_llm.serve.record import ACCESS_LOG
from tests.fakes import FakeBackend, answer
from tests.serve.visitor import HELLO, KEY, fronting


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the access log, without ids and times."""
    found = [record.getMessage() for record in caplog.records if record.name == ACCESS_LOG]
    return [
        " ".join(part for part in line.split() if not part.startswith("id=") and "ms" not in part) for line in found
    ]


async def test_the_key_is_asked_for() -> None:
    """On each path but that of health; without it nothing else is looked at."""
    async with fronting(FakeBackend(answer("Hi")), key=KEY) as visitor:
        for path in ("/v1/models", "/elsewhere"):
            assert (await visitor.send("GET", path)).error["code"] == "invalid_api_key"
        refused = await visitor.send("POST", "/v1/chat/completions", b"nonsense", Authorization="Bearer wrong")
        taken = await visitor.send("POST", "/v1/chat/completions", {"messages": HELLO}, Authorization=f"Bearer {KEY}")
    assert (refused.status, taken.status) == (401, 200)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Host": "evil.example"}, 403), ({"Origin": "https://evil.example"}, 403),
     ({"Origin": "http://localhost:3000"}, 200), ({"Sec_Fetch_Site": "cross-site"}, 403),
     ({"Sec_Fetch_Site": "none"}, 200)],
)  # fmt: skip
async def test_web_pages_are_refused(headers: dict[str, str], status: int) -> None:
    """By their name and by their origin, unless it was allowed."""
    async with fronting(FakeBackend(), allowed_origins=["http://localhost:3000"]) as visitor:
        answered = await visitor.send("GET", "/v1/models", **headers)
    assert answered.status == status
    allowed = answered.headers.get("access-control-allow-origin")
    assert allowed == (headers.get("Origin") if status == 200 else None)


async def test_a_page_that_is_allowed_may_ask_first() -> None:
    """A browser asks without the key, and is told nothing else."""
    origin = "http://localhost:3000"
    async with fronting(FakeBackend(), key=KEY, allowed_origins=[origin]) as visitor:
        asked = {"Origin": origin, "Access_Control_Request_Headers": "authorization"}
        answered = await visitor.send("OPTIONS", "/v1/chat/completions", **asked)
        refused = await visitor.send("OPTIONS", "/v1/chat/completions", Origin="https://evil.example")
        without = await visitor.send("OPTIONS", "/v1/chat/completions")
    assert (answered.status, answered.body) == (204, b"")
    assert answered.headers["access-control-allow-headers"] == "authorization"
    assert answered.headers["access-control-allow-origin"] == origin
    assert (refused.status, without.status) == (403, 401)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "unknown_url"), ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
     ("POST", "/v1/models", 405, "method_not_allowed"), ("POST", "/v1/embeddings", 404, "unknown_url")],
)  # fmt: skip
async def test_errors_of_http_have_openai_s_form(method: str, path: str, status: int, code: str) -> None:
    """As all others."""
    async with fronting(FakeBackend()) as visitor:
        answered = await visitor.send(method, path)
    assert (answered.status, answered.error["code"]) == (status, code)


async def test_a_failure_of_the_server_shows_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the traceback, under the id that the caller has."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("bing_llm.serve.models.Models.entries", fail)
    async with fronting(FakeBackend()) as visitor:
        answered = await visitor.send("GET", "/v1/models")
    assert (answered.status, answered.error["code"]) == (500, "internal_error")
    assert b"secret" not in answered.body
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert answered.headers["x-request-id"] in logged.getMessage()
    caplog.clear()


async def test_the_access_log_has_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    """Without what was asked or answered, the key, or any name that the caller chose."""
    caplog.set_level(logging.INFO, ACCESS_LOG)
    sent = {"Authorization": f"Bearer {KEY}"}
    backend = FakeBackend(answer("a secret answer"))
    async with fronting(backend, key=KEY) as visitor:
        body = {"messages": [{"role": "user", "content": "a secret question"}], "stream": True, "user": "secret"}
        await visitor.send("POST", "/v1/chat/completions?secret=1", body, **sent)
        await visitor.send("POST", "/v1/chat/completions", {"messages": HELLO, "model": "secret"}, **sent)
        await visitor.send("GET", "/v1/models/secret", **sent)
        await visitor.send("PURGE", "/secret", Authorization="Bearer secret-key-of-someone")
    assert lines(caplog) == [
        "POST /v1/chat/completions 200 model=bing-balanced stream turns=1 finish=stop",
        "POST /v1/chat/completions 404 error=model_not_found",
        "GET /v1/models/{model} 404 error=model_not_found",
        "(unknown) (unknown) 401 error=invalid_api_key",
    ]
    assert "secret" not in "".join(record.getMessage() for record in caplog.records if record.name == ACCESS_LOG)
    assert KEY not in caplog.text


async def test_a_body_in_another_encoding_than_it_says_is_an_error_of_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server did not fail, and leaves no traceback in its log."""
    async with fronting(FakeBackend()) as visitor:
        answered = await visitor.send("POST", "/v1/chat/completions", b"no gzip", Content_Encoding="gzip")
    assert (answered.status, answered.error["code"]) == (400, "bad_request")
    assert not [record for record in caplog.records if record.exc_info]
