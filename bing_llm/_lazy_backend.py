"""The backend behind a client and those that its `with_options` gives: made when it is first used, closed once."""

from __future__ import annotations

from bing_llm._options import Options
from bing_llm.backends.base import AnyBackend
from bing_llm.backends.workiq.options import WorkIQOptions
from bing_llm.config import ConnectionSettings
from bing_llm.errors import ConfigurationError

__all__ = ["LazyBackend"]


class LazyBackend:
    """One backend, and the same for other models, over the same connections.

    It may be used from several threads. It has no lock, which a fork could copy while it is held: of two backends that
    are made at once one is kept, and the other has opened nothing yet.

    Args:
        name: The name of the backend.
        connection: Where it is, and how to reach it.
        options: How it shall answer.
    """

    def __init__(self, name: str, connection: ConnectionSettings, options: Options) -> None:
        self._name = name
        self._connection = connection
        self._options = options
        self._closed = False
        self.made: dict[str, AnyBackend] = {}
        """By the name of the model."""

    def of(self, model: str) -> AnyBackend:
        """The backend for this model, which must be a known one.

        Raises:
            ConfigurationError: The client was closed; so a running turn is not opened again on it.
        """
        if self._closed:
            raise ConfigurationError("This client was closed.", hint="Make a new one.")
        return self.made.get(model) or self._make(model)

    def _make(self, model: str) -> AnyBackend:
        own = self._options.model
        origin = self.made.get(own) or self.made.setdefault(own, _make(self._name, self._connection, self._options))
        return origin if model == own else self.made.setdefault(model, origin.with_model(model))

    async def aclose(self) -> None:
        """Close every connection; `of` raises from now on. May be called twice."""
        self._closed = True
        origin = self.made.get(self._options.model)
        if origin is not None:
            await origin.aclose()


def _make(name: str, connection: ConnectionSettings, options: Options) -> AnyBackend:
    # Imported here: each brings aiohttp, which neither `import bing_llm` nor a new client must wait for.
    if isinstance(options, WorkIQOptions):
        from bing_llm.backends.workiq.backend import WorkIQBackend  # noqa: PLC0415

        return WorkIQBackend(connection, options, token=connection.token)
    if name == "emulator":
        from bing_llm.backends.emulator import EmulatorBackend  # noqa: PLC0415

        return EmulatorBackend(connection, options)
    from bing_llm.backends.chathub.backend import ChatHubBackend  # noqa: PLC0415

    return ChatHubBackend(connection, options)
