"""Which names the settings of an adapter's model and the options of its calls have, and what is said of others."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable

from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError
from bing_llm.services import ServiceSettings

__all__ = ["Names"]

_OF_A_CLIENT = frozenset(inspect.signature(BingClient).parameters).union(ServiceSettings.__annotations__) - {"settings"}


class Names:
    """The names that an adapter knows.

    Args:
        owner: The adapter's class, for the messages.
        of_a_call: The options of a call, those included that the framework passes for itself.
        of_a_model: The settings of a model that are not those of a client.
    """

    def __init__(self, owner: str, *, of_a_call: Iterable[str], of_a_model: Iterable[str]) -> None:
        self.of_a_call = frozenset(of_a_call)
        self._owner = owner
        self._of_a_model = _OF_A_CLIENT.union(of_a_model)
        self._told: set[str] = set()

    def check_options(self, names: Iterable[str]) -> None:
        """Look at the options of a call.

        Raises:
            ConfigurationError: One is a setting of the model, which a call does not change.
        """
        others = {*names} - self.of_a_call
        for name in sorted(others & self._of_a_model):
            msg = f"{name} is a setting of the model, and was given as an option of a call."
            raise ConfigurationError(msg, hint=f"Make a model for it: {self._owner}({name}=...).")
        self.warn_of_unused(others)

    def check_fields(self, names: Iterable[str]) -> None:
        """Look at the settings that a constructor was given and that are no fields.

        Raises:
            ConfigurationError: One is a setting of the client alone.
        """
        others = set(names)
        for name in sorted(others & _OF_A_CLIENT):
            msg = f"{self._owner} does not take {name}, which is a setting of the client."
            hint = f"Make the client yourself: {self._owner}(client=BingClient({name}=...))."
            raise ConfigurationError(msg, hint=hint)
        self.warn_of_unused(others)

    def warn_of_unused(self, names: Iterable[str]) -> None:
        """Warn of each name that has no meaning here, once in a process: agents pass the same ones with each call."""
        for name in sorted({*names} - self._told):
            msg = f"{self._owner} does not use {name!r}: it knows no such setting, or the service has nothing like it."
            warnings.warn(msg, UserWarning, stacklevel=3)
            self._told.add(name)  # not before: where warnings are errors, it was not told
