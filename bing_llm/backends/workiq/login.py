"""Signing a user in by device code and out again, and the credential that goes on from there in later processes.

azure-identity keeps the tokens in its own persistent cache, encrypted by the operating system. Beside it one file says
whose they are: an account's name and ids, and no secret. If conditional access wants a new sign-in, the file also says
which claims it wants, and the next `login` asks for them.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bing_llm.backends.workiq.auth import AzureCredential, failure_of
from bing_llm.backends.workiq.challenge import Challenge
from bing_llm.errors import BingError, ConfigurationError

_CACHE = "bing-llm"
_WHERE_TOKENS_ARE = (
    f"Remove that file, and what azure-identity keeps as {_CACHE}.cae and {_CACHE}.nocae: the entries of these names "
    "in the system's key store, and the files in ~/.IdentityService (on Windows in %LOCALAPPDATA%\\.IdentityService)."
)
_INSTALL = 'pip install "bing-llm[workiq]"'


class _Saved(msgspec.Struct, omit_defaults=True):
    """What the file holds.

    Attributes:
        record: azure-identity's record of the account.
        plain_cache: Whether its cache may be a plain file.
        claims: What a service wants of the next sign-in, as JSON; "" for nothing.
        cae: Whether the sign-in answered a challenge, so that its tokens are in azure-identity's cache for continuous
            access evaluation.
    """

    record: str
    plain_cache: bool = False
    claims: str = ""
    cae: bool = False


class SavedLogin:
    """The credential of the user who has signed in. It never asks the user.

    Args:
        credential: azure-identity's.
        saved: What the file held.
    """

    def __init__(self, credential: Any, saved: _Saved) -> None:
        self._credential = credential
        self._saved = saved

    def get_token(self, *scopes: str, claims: str | None = None, **options: Any) -> Any:
        """A token; if one with these claims takes a new sign-in, the next `login` asks for them."""
        if self._saved.cae:
            options["enable_cae"] = True
        if claims is None:
            return self._credential.get_token(*scopes, **options)
        try:
            return self._credential.get_token(*scopes, claims=claims, **options)
        except Exception:
            with suppress(ConfigurationError):  # then the user is asked for the ordinary claims
                _save(msgspec.structs.replace(self._saved, claims=claims))
            raise


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
    challenge: Challenge | None = None,
) -> str:
    """Sign a user in. It waits until the user has entered the code, or the code has expired (some 15 minutes).

    Args:
        client_id: The client id of one's own app registration, a public client.
        tenant_id: The user's home tenant; None for any work account, which a multitenant app takes.
        scope: What the token is for.
        tell: Called with the address to open and the code to enter there.
        plain_cache: Whether the tokens may be kept in a file that is not encrypted, where the system offers no key
            store. Whoever can read it can act as the user.
        challenge: What conditional access wants of this sign-in; None takes what it wanted of the last one.

    Returns:
        The user's name.

    Raises:
        ConfigurationError: azure-identity is not installed, or the tokens cannot be encrypted or kept.
        Unauthorized: The user, or the authority, refused.
        ConnectionFailed: The authority could not be reached.
    """
    identity = _identity()
    claims = challenge.claims if challenge is not None else _wanted_claims()
    options: dict[str, Any] = {"claims": claims, "enable_cae": True} if claims else {}
    failure: BingError
    try:
        credential = identity.DeviceCodeCredential(
            client_id=client_id,
            prompt_callback=lambda address, code, _expires: tell(address, code),
            cache_persistence_options=_cache(identity, plain=plain_cache),
            **({} if tenant_id is None else {"tenant_id": tenant_id}),
        )
        record = credential.authenticate(scopes=[scope], **options)
    except Exception as exc:  # noqa: BLE001 - azure-identity raises what its parts raise
        failure, cause = failure_of(exc, "The sign-in"), exc
    else:
        _save(_Saved(record.serialize(), plain_cache, cae=bool(claims)))
        return str(record.username)
    raise failure from cause


def logout() -> str | None:
    """Forget the user who has signed in by `login`, and remove the tokens from azure-identity's cache.

    Returns:
        The user's name; None if nobody has signed in.

    Raises:
        ConfigurationError: The file or the tokens cannot be removed, or azure-identity is not installed. If its version
            keeps tokens in another way, the hint says what to remove by hand.
    """
    file = login_file()
    saved = _read(file)
    if saved is None:
        return None
    identity = _identity()
    try:
        record = identity.AuthenticationRecord.deserialize(saved.record)
        _remove_tokens(_token_caches(identity, file, plain=saved.plain_cache), record)
    except ConfigurationError:
        raise
    except Exception as exc:  # the cache is the system's key store, which may fail in any way
        msg = f"The tokens of the login in {file} cannot be removed ({type(exc).__name__})."
        raise ConfigurationError(msg, hint="Unlock the system's key store, and try again.") from exc
    try:
        file.unlink(missing_ok=True)
    except OSError as exc:
        msg = f"The login in {file} cannot be removed ({exc.strerror})."
        raise ConfigurationError(msg, hint="Remove that file.") from exc
    return str(record.username)


def _token_caches(identity: Any, file: Path, *, plain: bool) -> list[Any]:
    """The caches of azure-identity, which are msal's: with tokens for continuous access evaluation, and without.

    azure-identity has no public call for them, and msal-extensions does not know where they are on each system.

    Raises:
        ConfigurationError: This version of azure-identity has no such caches.
    """
    options = _cache(identity, plain=plain)
    try:
        load = importlib.import_module("azure.identity._persistent_cache")._load_persistent_cache  # noqa: SLF001
        return [load(options, is_cae) for is_cae in (True, False)]
    except (ImportError, AttributeError, TypeError) as exc:
        msg = f"The tokens of the login in {file} cannot be removed: this azure-identity keeps them in another way."
        raise ConfigurationError(msg, hint=_WHERE_TOKENS_ARE) from exc


def _remove_tokens(caches: list[Any], record: Any) -> None:
    """Remove what the caches have of this account."""
    for cache in caches:
        kinds = cache.CredentialType
        for kind, remove in (
            (kinds.REFRESH_TOKEN, cache.remove_rt),
            (kinds.ACCESS_TOKEN, cache.remove_at),
            (kinds.ID_TOKEN, cache.remove_idt),
            (kinds.ACCOUNT, cache.remove_account),
        ):
            for entry in list(cache.search(kind, query={"home_account_id": record.home_account_id})):
                remove(entry)


def saved_login() -> AzureCredential | None:
    """The credential of the user who has signed in by `login`, None if nobody has. It never asks the user.

    Raises:
        ConfigurationError: azure-identity is not installed, or the file cannot be read.
    """
    file = login_file()
    saved = _read(file)
    if saved is None:
        return None
    identity = _identity()
    try:
        record = identity.AuthenticationRecord.deserialize(saved.record)
    except (ValueError, KeyError) as exc:
        raise _unreadable(file) from exc
    credential = identity.DeviceCodeCredential(
        authentication_record=record,
        disable_automatic_authentication=True,
        cache_persistence_options=_cache(identity, plain=saved.plain_cache),
    )
    return SavedLogin(credential, saved)


def _read(file: Path) -> _Saved | None:
    """What the file holds; None if there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Saved)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as exc:
        raise _unreadable(file) from exc


def _wanted_claims() -> str:
    """What conditional access wanted of the last login; "" for nothing, and if the file cannot be read."""
    try:
        saved = _read(login_file())
    except ConfigurationError:
        return ""
    return "" if saved is None else saved.claims


def _identity() -> Any:
    try:
        import azure.identity  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as exc:
        msg = "Signing in needs azure-identity, which is not installed."
        raise ConfigurationError(msg, hint=f"{_INSTALL}; or set WORKIQ_TOKEN.") from exc
    # They also log each error that they raise, which Python prints unless somebody has set up logging.
    for name in ("azure.identity", "msal"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
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
