"""An answer that grows, read from the bytes of its updates.

Each update repeats the whole answer, as text and in a card. So one that goes on with the answer is the last one again,
byte for byte, but for four strings: the text and that of the card have more at their end, and two times are others. To
see that costs less than to decode it; and of several such updates the last one has what all of them have.

It is the form that the service writes (recording 03). An update of another form is decoded as ever.
"""

from __future__ import annotations

from bing_llm.backends.chathub.codec import decode_string
from bing_llm.backends.chathub.framing import SEPARATOR

__all__ = ["Growing", "learn"]

# What stands before the four strings. A quotation mark that belongs to a string has a backslash before it; so where one
# of these is found in JSON, it begins with the end of a string.
_HEAD = b'{"type":1,"target":"update","arguments":[{"messages":[{"text":"'
_CREATED = b'","author":"bot","createdAt":"'
_TIMESTAMP = b'","timestamp":"'
_CARD = b'"adaptiveCards":[{"type":"AdaptiveCard","version":"1.0","body":[{"type":"TextBlock","text":"'
_AFTER_CREATED, _AFTER_TIMESTAMP = len(_CREATED), len(_TIMESTAMP)

_QUOTE = b'"'
_MOST_ESCAPED = 1000  # quotation marks in one string; each takes as long as a thousand other characters


class Growing:
    """The answer as it was read last, and the newest update that goes on with it. `learn` makes one.

    Attributes:
        newest: The message that was taken last; empty where none was since `more`.
        taken: How many were since then.
    """

    def __init__(self, text: bytes, card: bytes, rest: bytes) -> None:
        self.newest = b""
        self.taken = 0
        self._text = text  # the record up to the end of the text
        self._card = card  # from the end of the times up to that of the card's text
        self._rest = rest  # all that follows
        self._card_start = 0  # in the newest

    def take(self, message: bytes) -> bool:
        """Take this message as the newest, if it does nothing but go on with the answer that was read.

        This is done for each message: so there are few steps, and no calls but of `bytes`.
        """
        text = self._text
        if not message.startswith(text):
            return False
        known = len(text)
        at = message.find(_QUOTE, known)
        if not message.startswith(_CREATED, at):
            at = _end(message, known)
            if not message.startswith(_CREATED, at):
                return False
        at = message.find(_QUOTE, at + _AFTER_CREATED)
        if not message.startswith(_TIMESTAMP, at):
            return False
        at = message.find(_QUOTE, at + _AFTER_TIMESTAMP)
        card = self._card
        if not message.startswith(card, at):
            return False
        known = at + len(card)
        rest = self._rest
        if message[message.find(_QUOTE, known) :] != rest and message[_end(message, known) :] != rest:
            return False
        self.newest = message
        self.taken += 1
        self._card_start = at
        return True

    def more(self) -> str:
        """What the newest adds to the text that was read; from now on, it is read too.

        Raises:
            ProtocolError: It is no JSON.
        """
        newest, start = self.newest, len(self._text)
        end = _end(newest, start)
        self._text, self._card = newest[:end], newest[self._card_start : -len(self._rest)]
        self.newest, self.taken = b"", 0
        return decode_string(newest[start:end])


def learn(record: bytes) -> Growing | None:
    """What the updates look like that go on with this one, which has one message, the answer; None for another form."""
    text_end = _end(record, len(_HEAD))
    created_end = record.find(_QUOTE, text_end + _AFTER_CREATED)
    times_end = record.find(_QUOTE, created_end + _AFTER_TIMESTAMP)
    card = record.find(_CARD, times_end)
    card_end = _end(record, card + len(_CARD))
    if not record.startswith(_HEAD) or min(text_end, created_end, times_end, card, card_end) < 0:
        return None
    growing = Growing(record[:text_end], record[times_end:card_end], record[card_end:] + SEPARATOR)
    if not growing.take(record + SEPARATOR):  # these were not the times
        return None
    growing.more()
    return growing


def _end(message: bytes, at: int) -> int:
    """Where the string ends in which `at` lies: at the next quotation mark that is not escaped; -1 for nowhere."""
    for _ in range(_MOST_ESCAPED):
        end = message.find(_QUOTE, at)
        before = message[at:end]
        if end < 0 or (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end
        at = end + 1
    return -1
