"""The settings of an adapter's model that make its client."""

from __future__ import annotations

from typing import Any, Literal, Self

import msgspec

from bing_llm._secrets import SecretStruct
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Retries, Timeouts
from bing_llm.services import Endpoint
from bing_llm.sync import run

__all__ = ["ClientSettings", "Connected", "ConnectionOwner", "connected", "retries_of"]


class ClientSettings(SecretStruct, frozen=True, kw_only=True):
    """What a client is made of, as `BingClient` takes it; None and "" are for its own defaults.

    Attributes:
        model: The model's name.
        backend: The backend's name.
        endpoint: Where the service is.
        cookies: A Cookie header.
        token: An access token, or what gives one.
        search: Whether the service may search the web.
        locale: Language and market.
        time_zone: The user's, by its IANA name.
        files: URLs of files that each answer shall draw on.
        entity_tags: Whether the tags around names in the text stay.
        timeout: The time for a whole turn, in seconds.
        continue_conversations: Whether a history goes on in the conversation that holds it already.
        max_concurrency: How many turns may be open at once.
        warm: How many conversations are kept ready.
        client: A client that is there already, instead of all others but `model`.
    """

    model: str = ""
    backend: str | None = None
    endpoint: Endpoint | None = None
    cookies: str | None = None
    token: Any = None
    search: bool = True
    locale: str = "en-US"
    time_zone: str | None = None
    files: tuple[str, ...] = ()
    entity_tags: Literal["keep", "strip"] = "keep"
    timeout: float | None = None
    continue_conversations: bool = True
    max_concurrency: int | None = None
    warm: int = 0
    client: BingClient | None = None

    def check_nothing_beside_client(self, defaults: ClientSettings) -> None:
        """Refuse what would be dropped in silence.

        Args:
            defaults: What the settings are where nothing is given; frameworks pass every setting on.

        Raises:
            ConfigurationError: There is a client, and a setting that is the client's.
        """
        for name in self.__struct_fields__:
            is_given = getattr(self, name) != getattr(defaults, name)
            if self.client is not None and is_given and name not in {"client", "model"}:
                msg = f"client is given, and so is {name}, which is the client's."
                raise ConfigurationError(msg, hint=f"Give {name} to the BingClient, or leave client out.")

    def connect(self) -> BingClient:
        """The client of these settings. Nothing is sent.

        Raises:
            ConfigurationError: A setting is not allowed, or no backend is chosen.
        """
        if self.client is not None:
            return self.client.with_options(model=self.model or None)
        return BingClient(
            backend=self.backend,
            model=self.model or None,
            search=self.search,
            cookies=self.cookies,
            token=self.token,
            endpoint=self.endpoint,
            locale=self.locale,
            time_zone=self.time_zone,
            files=self.files,
            entity_tags=self.entity_tags,
            timeouts=None if self.timeout is None else Timeouts(turn=self.timeout),
            continue_conversations=self.continue_conversations,
            max_concurrency=self.max_concurrency,
            warm=self.warm,
        )


class Connected(SecretStruct, frozen=True):
    """A client and the settings it was made of. Frozen: copies of a model share it until their settings differ."""

    settings: ClientSettings
    client: BingClient

    async def aclose(self) -> None:
        """Close the client, unless it was given."""
        if self.settings.client is None:
            await self.client.aclose()


def connected(settings: ClientSettings, before: Connected | None) -> Connected:
    """The client of the settings: that of before where they are the same.

    Args:
        settings: The settings as they are now; the model may be another without another client.
        before: What the last call of this answered.
    """
    if before is not None and msgspec.structs.replace(before.settings, model=settings.model) == settings:
        return before
    return Connected(settings, settings.connect())


class ConnectionOwner:
    """What an adapter's model has so that its connections can be closed."""

    _connected: Connected | None

    def close(self) -> None:
        """Close every connection that this model opened. A client of your own stays open. May be called twice."""
        run(self.aclose())

    async def aclose(self) -> None:
        """As `close`."""
        if self._connected is not None:
            await self._connected.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def retries_of(client: BingClient, max_retries: int | None) -> Retries:
    """The retries of a client, but for their number where one is given."""
    return client.retries if max_retries is None else msgspec.structs.replace(client.retries, attempts=max_retries + 1)
