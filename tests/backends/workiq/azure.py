"""What azure-identity offers, as far as we use it, in place of the package itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest


class AzureError(Exception):
    """The base of the package's errors."""


class ClientAuthenticationError(AzureError):
    """Entra ID, or the user, refused."""


class AuthenticationRequiredError(ClientAuthenticationError):
    """Somebody must sign in, and may not be asked."""


class ServiceRequestError(AzureError):
    """The request did not get out."""


class ServiceResponseError(AzureError):
    """The answer did not come."""


def wrapped(cause: Exception) -> ClientAuthenticationError:
    """An error wrapped as the package's decorator does it."""
    error = ClientAuthenticationError(f"Authentication failed: {cause}")
    error.__cause__ = cause
    return error


class AccessToken(NamedTuple):
    """A token, and when it ends in seconds since 1970."""

    token: str
    expires_on: int


class Record:
    """Who has signed in."""

    home_account_id = "home-1"

    def __init__(self, username: str) -> None:
        self.username = username

    def serialize(self) -> str:
        """Give the record as JSON."""
        return json.dumps({"username": self.username})

    @classmethod
    def deserialize(cls, text: str) -> Record:
        """From that text."""
        return cls(json.loads(text)["username"])


class FakeIdentity:
    """The package: what was made with it, and how it behaves.

    Attributes:
        made: The arguments of each credential.
        scopes: For what somebody signed in.
        failure: What a sign-in raises; None where it works.
        sign_ins: What each sign-in was asked for besides the scopes.
        tokens: What each token was asked for besides the scopes.
        refusal: What it raises for a token with claims; None where it gives one.
    """

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.scopes: list[str] = []
        self.failure: Exception | None = None
        self.sign_ins: list[dict[str, Any]] = []
        self.tokens: list[dict[str, Any]] = []
        self.refusal: Exception | None = None

    def credential(self, *, prompt_callback: Callable[..., None] | None = None, **options: Any) -> Any:
        """A `DeviceCodeCredential`."""
        self.made.append(options)

        def authenticate(*, scopes: list[str], **more: Any) -> Record:
            self.scopes += scopes
            self.sign_ins.append(more)
            assert prompt_callback is not None
            prompt_callback("https://login.example/device", "ABC-DEF", None)
            if self.failure is not None:
                raise self.failure
            return Record("ada@contoso.com")

        def get_token(*_scopes: str, **more: Any) -> AccessToken:
            self.tokens.append(more)
            if self.refusal is not None and "claims" in more:
                raise self.refusal
            return AccessToken("a-token", 0)

        return SimpleNamespace(authenticate=authenticate, get_token=get_token)


def install(monkeypatch: pytest.MonkeyPatch) -> FakeIdentity:
    """Put the fake where `import azure.identity` finds it."""
    fake = FakeIdentity()
    errors: Any = ModuleType("azure.core.exceptions")
    for kind in (AzureError, ClientAuthenticationError, ServiceRequestError, ServiceResponseError):
        setattr(errors, kind.__name__, kind)
    identity: Any = ModuleType("azure.identity")
    identity.DeviceCodeCredential = fake.credential
    identity.TokenCachePersistenceOptions = dict
    identity.AuthenticationRecord = Record
    azure: Any = ModuleType("azure")
    azure.identity = identity
    for name, module in {"azure": azure, "azure.identity": identity, "azure.core.exceptions": errors}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import azure.identity` fail."""
    for name in ("azure", "azure.identity"):
        monkeypatch.setitem(sys.modules, name, None)
