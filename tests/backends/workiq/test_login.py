"""Signing in by device code, with a fake in place of azure-identity."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.workiq.auth import TokenSource
from bing_llm.backends.workiq.challenge import Challenge
from bing_llm.backends.workiq.login import SavedLogin, login, login_file, logout, saved_login
from bing_llm.errors import BingError, ConfigurationError
from tests.backends.workiq import azure

SCOPE = "api://workiq.svc.cloud.microsoft/.default"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place for files of this test's own."""
    for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> azure.FakeIdentity:
    """The package, installed."""
    return azure.install(monkeypatch)


def sign_in(**options: Any) -> str:
    """Sign in to an app."""
    return login("app-1", "tenant-1", **{"scope": SCOPE, "tell": lambda _address, _code: None, **options})


def test_the_user_is_shown_where_to_enter_the_code(identity: azure.FakeIdentity) -> None:
    """The address and the code go to the caller, and the user's name comes back."""
    calls: list[tuple[str, str]] = []
    assert sign_in(tell=lambda address, code: calls.append((address, code))) == "ada@contoso.com"
    assert calls == [("https://login.example/device", "ABC-DEF")]
    assert identity.scopes == [SCOPE]
    assert identity.made == [
        {
            "client_id": "app-1",
            "tenant_id": "tenant-1",
            "cache_persistence_options": {"name": "bing-llm", "allow_unencrypted_storage": False},
        }
    ]


def test_without_a_tenant_any_work_account_may_sign_in(identity: azure.FakeIdentity) -> None:
    """The package's own default is left to it."""
    login("app-1", None, scope=SCOPE, tell=lambda _address, _code: None)
    assert "tenant_id" not in identity.made[0]


@pytest.mark.parametrize("plain", [False, True])
def test_a_later_process_goes_on_with_the_login(identity: azure.FakeIdentity, *, plain: bool) -> None:
    """Its credential knows the account and never asks; only who said so at the login has tokens in a plain file."""
    sign_in(plain_cache=plain)
    credential = saved_login()
    assert credential is not None
    assert credential.get_token(SCOPE).token == "a-token"
    made = identity.made[1]
    assert made["authentication_record"].username == "ada@contoso.com"
    assert made["disable_automatic_authentication"] is True
    assert made["cache_persistence_options"] == {"name": "bing-llm", "allow_unencrypted_storage": plain}


def test_a_second_login_takes_the_place_of_the_first(identity: azure.FakeIdentity) -> None:
    """One account is kept."""
    sign_in(plain_cache=True)
    sign_in()
    saved_login()
    assert identity.made[2]["cache_persistence_options"]["allow_unencrypted_storage"] is False


@pytest.mark.usefixtures("identity")
def test_the_file_is_the_users_alone(home: Path) -> None:
    """It holds no secret, and still is nobody else's business; no half-written one stays."""
    sign_in()
    for path in (login_file(), login_file().parent):
        assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) & 0o077 == 0  # Windows has no such modes
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["workiq-login.json"]


def test_nobody_has_signed_in_yet(identity: azure.FakeIdentity) -> None:
    """Then there is no credential, and the package is not needed to know that."""
    assert saved_login() is None
    assert identity.made == []


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("content", [b"", b"{}", b'{"record": "x"}', b'{"record": "{}"}', b"\xff"])
def test_a_file_that_cannot_be_read_is_reported(content: bytes) -> None:
    """The error names the file, and what to do."""
    login_file().parent.mkdir()
    login_file().write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        saved_login()
    assert "bing-llm login" in caught.value.hint


@pytest.mark.usefixtures("identity")
def test_a_file_that_cannot_be_written_is_reported() -> None:
    """The sign-in itself worked, and the error says so."""
    login_file().parent.write_bytes(b"in the way")
    with pytest.raises(ConfigurationError, match="The sign-in worked"):
        sign_in()


@pytest.mark.parametrize("saved", [False, True])
def test_without_azure_identity_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, *, saved: bool) -> None:
    """The line to type is in the hint."""
    with monkeypatch.context() as patch:
        azure.install(patch)
        sign_in()
    azure.uninstall(monkeypatch)
    with pytest.raises(ConfigurationError) as caught:
        saved_login() if saved else sign_in()
    assert 'pip install "bing-llm[workiq]"' in caught.value.hint


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (azure.ClientAuthenticationError("AADSTS50011: mismatch"), errors.Unauthorized, "The sign-in gave no token: "),
        (azure.ServiceRequestError("Down"), errors.ConnectionFailed, "could not be reached"),
        (azure.ClientAuthenticationError("Cache encryption is impossible"), ConfigurationError, "--plain-cache"),
        (ValueError("Other"), errors.Unauthorized, "The sign-in gave no token (ValueError)."),
    ],
)
def test_a_login_that_fails_says_why(
    identity: azure.FakeIdentity, exc: Exception, kind: type[BingError], words: str
) -> None:
    """And leaves no file."""
    identity.failure = exc
    with pytest.raises(BingError) as caught:
        sign_in()
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert not login_file().exists()


def test_the_file_is_where_settings_are(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """In the folder that the system keeps for settings, or its usual place."""
    assert login_file() == home / "bing-llm" / "workiq-login.json"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name)
    usual = ("AppData", "Local") if sys.platform == "win32" else (".config",)
    assert login_file() == home.joinpath(*usual, "bing-llm", "workiq-login.json")


# --- conditional access, and the way out ------------------------------------------------------------------------------

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


async def test_the_next_login_answers_the_challenge(identity: azure.FakeIdentity) -> None:
    """What a turn met with this login is asked of the user then, and tokens come from the cache that it filled."""
    sign_in()
    identity.refusal = azure.AuthenticationRequiredError("Interactive authentication is required.")
    credential = saved_login()
    assert credential is not None
    tokens = TokenSource(credential, host="127.0.0.1")
    with pytest.raises(errors.Unauthorized, match="authentication context c1") as caught:
        await tokens.bearer(Challenge(CLAIMS))
    assert "bing-llm login" in caught.value.hint
    sign_in()
    assert identity.sign_ins == [{}, {"claims": CLAIMS, "enable_cae": True}]
    credential = saved_login()
    assert credential is not None
    credential.get_token(SCOPE)
    assert identity.tokens == [{"claims": CLAIMS, "enable_cae": True}, {"enable_cae": True}]
    sign_in()
    assert identity.sign_ins[2] == {}


def test_a_login_may_be_given_the_challenge(identity: azure.FakeIdentity) -> None:
    """That of another program."""
    sign_in(challenge=Challenge(CLAIMS))
    assert identity.sign_ins == [{"claims": CLAIMS, "enable_cae": True}]


@pytest.mark.usefixtures("identity")
def test_what_the_package_logs_is_not_printed() -> None:
    """Its errors are raised too; where somebody has set up logging, they are in the log."""
    sign_in()
    for name in ("azure.identity", "msal"):
        assert logging.getLogger(name).handlers


class Cache:
    """What msal keeps of two accounts."""

    CredentialType = SimpleNamespace(REFRESH_TOKEN="rt", ACCESS_TOKEN="at", ID_TOKEN="idt", ACCOUNT="account")

    def __init__(self) -> None:
        self.left = [(kind, home) for kind in vars(self.CredentialType).values() for home in ("home-1", "home-2")]

    def search(self, kind: str, *, query: dict[str, str]) -> list[tuple[str, str]]:
        """The entries of this kind and account."""
        return [entry for entry in self.left if entry == (kind, query["home_account_id"])]

    def remove(self, entry: tuple[str, str]) -> None:
        """Remove one."""
        self.left.remove(entry)

    remove_rt = remove_at = remove_idt = remove_account = remove


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch) -> dict[bool, Cache]:
    """The two caches of the package."""
    found = {True: Cache(), False: Cache()}
    module: Any = ModuleType("azure.identity._persistent_cache")
    module._load_persistent_cache = lambda _options, is_cae: found[is_cae]
    monkeypatch.setitem(sys.modules, "azure.identity._persistent_cache", module)
    return found


@pytest.mark.usefixtures("identity")
def test_a_logout_removes_the_login_and_its_tokens(caches: dict[bool, Cache]) -> None:
    """Of this account, in both caches; another account keeps its own."""
    sign_in()
    assert logout() == "ada@contoso.com"
    assert not login_file().exists()
    assert saved_login() is None
    assert logout() is None
    for cache in caches.values():
        assert {home for _, home in cache.left} == {"home-2"}


@pytest.mark.usefixtures("identity")
def test_tokens_that_cannot_be_removed_keep_the_login(
    caches: dict[bool, Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the logout can be done again."""
    sign_in()
    monkeypatch.setattr(caches[True], "search", None)
    with pytest.raises(ConfigurationError, match="cannot be removed"):
        logout()
    assert login_file().exists()


def _no_loader() -> ModuleType:
    return ModuleType("azure.identity._persistent_cache")


def _other_loader() -> Any:
    module: Any = _no_loader()
    module._load_persistent_cache = lambda _options: None
    return module


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize(
    "module", [None, _no_loader(), _other_loader()], ids=["no module", "no loader", "other loader"]
)
def test_a_logout_says_what_to_remove(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    """Where a version of azure-identity keeps its tokens in another way, a person can still remove them."""
    sign_in()
    monkeypatch.setitem(sys.modules, "azure.identity._persistent_cache", module)
    with pytest.raises(ConfigurationError) as caught:
        logout()
    assert str(login_file()) in caught.value.message
    for name in ("bing-llm.cae", "bing-llm.nocae", "~/.IdentityService"):
        assert name in caught.value.hint


@pytest.mark.system
def test_a_logout_empties_the_cache_of_azure_identity(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package itself, whose cache of tokens is not part of its own interface."""
    identity = pytest.importorskip("azure.identity")
    persistent_cache = pytest.importorskip("azure.identity._persistent_cache")
    monkeypatch.setenv("HOME", str(home))
    record = identity.AuthenticationRecord(
        "tenant", "client", "login.microsoftonline.com", "home.id", "ada@contoso.com"
    )
    login_file().parent.mkdir(parents=True)
    login_file().write_text(json.dumps({"record": record.serialize(), "plain_cache": True}))
    options = identity.TokenCachePersistenceOptions(name="bing-llm", allow_unencrypted_storage=True)

    def cache(*, is_cae: bool) -> Any:
        return persistent_cache._load_persistent_cache(options, is_cae)

    for is_cae in (True, False):
        for user in ("home", "other"):
            whose = base64.urlsafe_b64encode(json.dumps({"uid": user, "utid": "id"}).encode()).decode()
            response = {"access_token": "a", "refresh_token": "r", "client_info": whose, "expires_in": 3600}
            cache(is_cae=is_cae).add(
                {"client_id": "client", "scope": ["s"], "environment": record.authority, "response": response}
            )
    assert isinstance(saved_login(), SavedLogin)
    assert logout() == "ada@contoso.com"
    kinds = ("RefreshToken", "AccessToken", "Account")
    left = [
        entry["home_account_id"] for cae in (True, False) for kind in kinds for entry in cache(is_cae=cae).search(kind)
    ]
    assert left == ["other.id"] * 6
