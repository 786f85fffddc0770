"""What ask and chat have to do with the log: where they go on, and what they add."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bing_llm.backends.base import ConversationHandle, RedactingBackend
from bing_llm.cli.errors import print_error
from bing_llm.cli.options import NewClient
from bing_llm.cli.session import Exchange, Past
from bing_llm.cli.state import StateUnavailable, keeps_conversations
from bing_llm.cli.streams import check_utf8
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command begins.

    Attributes:
        new_client: Makes the client: of a conversation that goes on, with the options that it had.
        past: What was said before.
        conversation: Its number in the log; None for a new one.
    """

    new_client: NewClient
    past: Past = Past()
    conversation: int | None = None


def begin(new_client: NewClient, *, system: str | None, goes_on: bool, conversation: int | None) -> Beginning:
    """Where a command begins that was given these options.

    Args:
        new_client: What makes the client of the options.
        system: What the service should heed; None for what it was to heed before.
        goes_on: Whether the latest conversation of the log goes on.
        conversation: The number of the one that goes on; None for none.

    Raises:
        ConfigurationError: There is no such conversation, or the log cannot be read.
    """
    if system is not None:
        system = check_utf8(system, "The system prompt")
    if not goes_on and conversation is None:
        return Beginning(new_client=new_client, past=Past(system=system or ""))
    from bing_llm.cli.log import load  # noqa: PLC0415 - brings sqlite3

    try:
        found = load(conversation)
    except StateUnavailable as exc:
        raise ConfigurationError(f"The log cannot be read: {exc}", hint="Ask without it: leave -c out.") from exc
    if found is None:
        what = "no conversation yet" if conversation is None else f"no conversation {conversation}"
        raise ConfigurationError(f"The log has {what}.", hint="`bing-llm logs` lists them.")
    past = found.past
    if system is not None and system != past.system:  # the service's conversation has begun with the other one
        past = msgspec.structs.replace(past, system=system, conversation_id="", held_from=0)
    return Beginning(new_client=new_client.resuming(found.origin.options), past=past, conversation=found.id)


def redactor_of(client: BingClient, handle: ConversationHandle | None) -> Callable[[str], str]:
    """What takes the secrets of a client and of a conversation out of texts; to be asked for before it is closed."""
    backend = client.backend
    return backend.redactor(handle) if isinstance(backend, RedactingBackend) else str


class Recorder:
    """Adds turns to the log. If that fails, one warning says so, and the command goes on.

    Args:
        beginning: Where the command begins.
        wanted: Whether the user wants it: None for what `bing-llm logs off` or `on` has set.
    """

    def __init__(self, beginning: Beginning, *, wanted: bool | None) -> None:
        self._wanted = wanted
        self._given = beginning.new_client.given
        self._conversation = beginning.conversation

    def begin_another(self) -> None:
        """Let the next turn begin another conversation."""
        self._conversation = None

    def add(self, client: BingClient, exchange: Exchange, system: str, redact: Callable[[str], str]) -> None:
        """Add a turn of this client, without what `redact` takes out."""
        if self._wanted is None:
            self._wanted = keeps_conversations()
        if not self._wanted:
            return
        from bing_llm.cli.log import Origin, add_turn  # noqa: PLC0415 - brings sqlite3

        options = {**self._given, "backend": client.backend_name, "model": client.model}
        origin = Origin(service=client.backend_name, model=client.model, options=options)
        try:
            self._conversation = add_turn(self._conversation, origin, exchange, system=system, redact=redact)
        except StateUnavailable as exc:
            self._wanted = False
            print_error(f"This conversation is not logged: {exc} (Without a log: --no-log, or bing-llm logs off.)")
