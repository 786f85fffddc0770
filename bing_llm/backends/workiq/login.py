"""Signing a user in by device code, and the credential that goes on from there in later processes.

azure-identity keeps the tokens in its own persistent cache, encrypted by the operating system. Beside it one file says
whose they are: an account's name and ids, and no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bing_llm.backends.workiq.auth import AzureCredential, failure_of
from bing_llm.errors import BingError, ConfigurationError

_CACHE = "bing-llm"
_INSTALL = 'pip install "bing-llm[workiq]"'


class _Saved(msgspec.Struct):
    """What the file holds: azure-identity's record of the account, and whether its cache may be a plain file."""

    record: str
    plain_cache: bool = False


def login_file() -> Path:
    """Where the account that has signed in is kept."""
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "bing-llm" / "workiq-login.json"


def login(
    client_id: str,
    tenant_id: str | None,
    *,
    scope: str,
    tell: Callable[[str, str], None],
    plain_cache: bool = False,
) -> str:
    """Sign a user in. It waits until the user has entered the code, or the code has expired (some 15 minutes).

    Args:
        client_id: The client id of one's own app registration, a public client.
        tenant_id: The user's home tenant; None for any work account, which a multitenant app takes.
        scope: What the token is for.
        tell: Called with the address to open and the code to enter there.
        plain_cache: Whether the tokens may be kept in a file that is not encrypted, where the system offers no key
            store. Whoever can read it can act as the user.

    Returns:
        The user's name.

    Raises:
        ConfigurationError: azure-identity is not installed, or the tokens cannot be encrypted or kept.
        Unauthorized: The user, or the authority, refused.
        ConnectionFailed: The authority could not be reached.
    """
    identity = _identity()
    failure: BingError
    try:
        credential = identity.DeviceCodeCredential(
            client_id=client_id,
            prompt_callback=lambda address, code, _expires: tell(address, code),
            cache_persistence_options=_cache(identity, plain=plain_cache),
            **({} if tenant_id is None else {"tenant_id": tenant_id}),
        )
        record = credential.authenticate(scopes=[scope])
    except Exception as exc:  # noqa: BLE001 - azure-identity raises what its parts raise
        failure, cause = failure_of(exc, "The sign-in"), exc
    else:
        _save(_Saved(record.serialize(), plain_cache))
        return str(record.username)
    raise failure from cause


def saved_login() -> AzureCredential | None:
    """The credential of the user who has signed in by `login`, None if nobody has. It never asks the user.

    Raises:
        ConfigurationError: azure-identity is not installed, or the file cannot be read.
    """
    file = login_file()
    try:
        saved = msgspec.json.decode(file.read_bytes(), type=_Saved)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as exc:
        raise _unreadable(file) from exc
    identity = _identity()
    try:
        record = identity.AuthenticationRecord.deserialize(saved.record)
    except (ValueError, KeyError) as exc:
        raise _unreadable(file) from exc
    credential: AzureCredential = identity.DeviceCodeCredential(
        authentication_record=record,
        disable_automatic_authentication=True,
        cache_persistence_options=_cache(identity, plain=saved.plain_cache),
    )
    return credential


def _identity() -> Any:
    try:
        import azure.identity  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as exc:
        msg = "Signing in needs azure-identity, which is not installed."
        raise ConfigurationError(msg, hint=f"{_INSTALL}; or set WORKIQ_TOKEN.") from exc
    return azure.identity


def _cache(identity: Any, *, plain: bool) -> Any:
    return identity.TokenCachePersistenceOptions(name=_CACHE, allow_unencrypted_storage=plain)


def _save(saved: _Saved) -> None:
    file = login_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(saved))
        part.chmod(0o600)
        part.replace(file)
    except OSError as exc:
        msg = f"The sign-in worked, but its account cannot be written to {file} ({exc.strerror})."
        raise ConfigurationError(msg, hint="Make that folder writable, and sign in again.") from exc


def _unreadable(file: Path) -> ConfigurationError:
    return ConfigurationError(f"The saved login in {file} cannot be read.", hint="Run `bing-llm login` again.")
