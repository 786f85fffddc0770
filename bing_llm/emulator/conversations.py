"""The conversations that the emulator keeps, with their signatures, turns and ends."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator

from bing_llm.emulator.brains.base import PastTurn

# The base64 of these three bytes is "+/+/". So a client that does not percent-encode the token always fails, not only
# when a random token contains a "+". With 32 more bytes the token ends in "=".
_AWKWARD = b"\xfb\xff\xbf"


_MOST_CONVERSATIONS = 10_000  # a test may create some thousand; a server that runs for days must not grow
_MOST_CHARACTERS = 64 * 2**20  # of all turns that are kept


class Conversation:
    """One conversation.

    Attributes:
        id: `51D|BingProd|<64 hex>`, or `51D|BingProdUnAuthenticatedUsers|<64 hex>` for an anonymous one (recording 14).
            In Work IQ, a UUID.
        client_id: The participant; "" in Work IQ.
        signature: The plain signature. Secret.
        token: The encrypted signature, base64. Secret.
        turn_limit: How many turns it may have.
        turns: The turns that were answered.
        characters: How many they have.
        keep: Called with the characters of each turn that is added; set by whoever keeps the conversation.
        expires_at: When it ends, in seconds since 1970.
        running: Whether a turn runs.
        ended: Whether the service disengaged.
        next_invocation: The invocation id that the next turn must have. None before the first turn, which may have any
            number.
    """

    def __init__(
        self, conversation_id: str, client_id: str, *, turn_limit: int, lifetime: float, clock: Callable[[], float]
    ) -> None:
        self.id = conversation_id
        self.client_id = client_id
        self.turn_limit = turn_limit
        self._clock = clock
        self._lifetime = lifetime
        self.created_at = clock()
        self._touch()
        self.turns: list[PastTurn] = []
        self.characters = 0
        self.keep: Callable[[int], None] = _ignore
        self.running = False
        self.ended = False
        self.next_invocation: int | None = None
        self.tone = ""
        self.sign()

    def __repr__(self) -> str:
        return f"Conversation({self.id!r}, turns={len(self.turns)})"

    def sign(self) -> None:
        """Replace the signatures. The earlier ones are refused from now on."""
        self.signature = secrets.token_urlsafe(32)
        self.token = base64.b64encode(_AWKWARD + secrets.token_bytes(32)).decode()

    @property
    def name(self) -> str:
        """Its title in the list of conversations: the beginning of the user's first message."""
        return self.turns[0].question[:40] if self.turns else ""

    def begin(self, invocation: int, tone: str) -> None:
        """Begin a turn. It uses up its invocation id, however it ends."""
        self.running = True
        self.next_invocation = invocation + 1
        self.tone = tone
        self._touch()

    def finish(self, turn: PastTurn | None) -> None:
        """End the running turn, and append `turn` to the history; None if the turn does not count."""
        self.running = False
        self._touch()
        if turn is not None:
            self.turns.append(turn)
            characters = len(turn.question) + len(turn.answer) + len(turn.context)
            self.characters += characters
            self.keep(characters)

    def _touch(self) -> None:
        self.updated_at = self._clock()
        self.expires_at = self.updated_at + self._lifetime


class Conversations:
    """All conversations of one emulator: the last 10,000, with 64 Mi characters; older ones are forgotten.

    Args:
        turn_limit: Turns of each conversation.
        lifetime: How long one lives after its last turn, in seconds.
        clock: The time, in seconds since 1970.
    """

    def __init__(self, *, turn_limit: int, lifetime: float, clock: Callable[[], float]) -> None:
        self._turn_limit = turn_limit
        self._lifetime = lifetime
        self._clock = clock
        self._by_id: dict[str, Conversation] = {}
        self._characters = 0
        # The service keeps one number for an account, and one cookie value for an anonymous browser.
        self._signed_in = str(10**14 + secrets.randbelow(9 * 10**14))
        self._anonymous = secrets.token_hex(16).upper()

    def __iter__(self) -> Iterator[Conversation]:
        return (conversation for key in list(self._by_id) if (conversation := self.find(key)) is not None)

    def client_id(self, *, signed_in: bool) -> str:
        """The participant: 15 digits for an account, 32 hex digits otherwise."""
        return self._signed_in if signed_in else self._anonymous

    def create(self, *, signed_in: bool) -> Conversation:
        """A new conversation."""
        family = "BingProd" if signed_in else "BingProdUnAuthenticatedUsers"
        conversation_id = f"51D|{family}|{secrets.token_hex(32).upper()}"
        return self.add(conversation_id, self.client_id(signed_in=signed_in))

    def add(self, conversation_id: str, client_id: str = "") -> Conversation:
        """A new conversation with this id."""
        conversation = Conversation(
            conversation_id,
            client_id,
            turn_limit=self._turn_limit,
            lifetime=self._lifetime,
            clock=self._clock,
        )
        conversation.keep = self._add_characters
        self._by_id[conversation.id] = conversation
        self._forget_oldest()
        return conversation

    def find(self, conversation_id: str) -> Conversation | None:
        """The conversation with this id; None if it is unknown or has expired."""
        found = self._by_id.get(conversation_id)
        if found is not None and self._clock() >= found.expires_at and not found.running:
            self.delete(found)
            return None
        return found

    def expired_text(self, conversation_id: str) -> str:
        """The service's message about an unknown or expired conversation (recording 04)."""
        minutes, seconds = divmod(int(self._lifetime), 60)
        hours, minutes = divmod(minutes, 60)
        lifetime = f"{hours:02}:{minutes:02}:{seconds:02}"
        return f"Conversation '{conversation_id}' doesn't exist or has expired. Conversations expire after {lifetime}."

    def _add_characters(self, count: int) -> None:
        self._characters += count
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Make room, if that is needed, by forgetting those that were created first and are idle."""
        newest = next(reversed(self._by_id.values()), None)
        while len(self._by_id) > _MOST_CONVERSATIONS or self._characters > _MOST_CHARACTERS:
            idle = next((found for found in self._by_id.values() if not found.running), newest)
            if idle is newest or idle is None:
                return
            self.delete(idle)

    def delete(self, conversation: Conversation) -> None:
        """Forget a conversation."""
        if self._by_id.pop(conversation.id, None) is not None:
            self._characters -= conversation.characters
            conversation.keep = _ignore


def _ignore(_characters: int) -> None:
    """For a conversation that nobody keeps."""


def signature_fits(expected: str, given: str) -> bool:
    """Whether a signature is right, compared in constant time."""
    return secrets.compare_digest(expected.encode(), given.encode())
