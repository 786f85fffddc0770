"""`bing-llm login`, without the service."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from bing_llm.backends.workiq.challenge import Challenge
from bing_llm.cli import login as module
from bing_llm.cli.errors import ExitCode
from bing_llm.cli.login import login, logout
from bing_llm.errors import ConfigurationError


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A sign-in that works, and what it was asked for."""
    calls: list[Any] = []

    def sign_in(*args: Any, tell: Callable[[str, str], None], **options: Any) -> str:
        calls.append((args, options))
        tell("https://login.example/device", "ABC\x1b[31m")
        return "ada@contoso.com"

    monkeypatch.setattr(module, "sign_in", sign_in)
    for name in (module.CLIENT_ID, module.TENANT_ID):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_it_says_what_to_do_and_who_signed_in(capsys: pytest.CaptureFixture[str], asked: list[Any]) -> None:
    """What the authority sends cannot steer the terminal."""
    assert login("app-1", "tenant-1", plain_cache=True) is ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("Open https://login.example/device in a browser, and enter the code ABC\\u001b[31m\n")
    assert "Signed in as ada@contoso.com." in out
    [(args, options)] = asked
    assert args == ("app-1", "tenant-1")
    assert options == {"scope": "api://workiq.svc.cloud.microsoft/.default", "plain_cache": True, "challenge": None}


def test_the_environment_names_app_and_place(monkeypatch: pytest.MonkeyPatch, asked: list[Any]) -> None:
    """By the names that azure-identity knows; the scope follows from the endpoint."""
    monkeypatch.setenv(module.CLIENT_ID, "app-2")
    monkeypatch.setenv("BING_LLM_ENDPOINT", "https://graph.microsoft.com/beta/copilot")
    login()
    assert asked[0][0] == ("app-2", None)
    assert asked[0][1]["scope"] == "https://graph.microsoft.com/.default"
    monkeypatch.setenv(module.TENANT_ID, "tenant-2")
    login("app-1", endpoint="https://workiq.svc.cloud.microsoft/rest")
    assert asked[1][0] == ("app-1", "tenant-2")
    assert asked[1][1]["scope"] == "api://workiq.svc.cloud.microsoft/.default"


def test_without_an_app_nobody_can_sign_in(asked: list[Any]) -> None:
    """The hint says how to name one."""
    with pytest.raises(ConfigurationError, match="no client id") as caught:
        login()
    assert "AZURE_CLIENT_ID" in caught.value.hint
    assert asked == []


def test_a_challenge_can_be_passed_on(asked: list[Any]) -> None:
    """It is taken as it stands in the header; what is neither JSON nor base64 of it is refused."""
    claims = '{"access_token":{}}'
    login("app-1", claims=base64.b64encode(claims.encode()).decode())
    assert asked[0][1]["challenge"] == Challenge(claims)
    with pytest.raises(ConfigurationError, match="neither JSON nor base64"):
        login("app-1", claims="nonsense")


@pytest.mark.parametrize(
    ("user", "said"), [("ada@contoso.com", "Signed out ada@contoso.com."), (None, "Nobody is signed in.")]
)
def test_a_logout_says_who_was_signed_in(
    user: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or that nobody was."""
    monkeypatch.setattr(module, "sign_out", lambda: user)
    assert logout() is ExitCode.OK
    assert capsys.readouterr().out.strip() == said
