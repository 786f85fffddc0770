"""One answer in each form in which a service may send it: the same words, spelled and shaped in other ways.

Each form is the whole of what is sent, message by message, written before anybody asks.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from benchmarks.memory import words
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import SEPARATOR, encode
from bing_llm.emulator.chathub.writer import AnswerWriter
from bing_llm.emulator.workiq.snapshots import SnapshotWriter
from bing_llm.events import Quota, TextDelta

__all__ = ["ALL_ESCAPED", "AT_CURSOR", "CHATHUB", "ESCAPED", "PLAIN", "RECORDED", "WORKIQ", "answer_of", "texts_of"]

RECORDED, AT_CURSOR = "as recorded", "writeAtCursor"
ESCAPED, ALL_ESCAPED = "escaped non-ASCII, German", "escaped non-ASCII, Russian"

PLAIN: Final = (
    RECORDED,
    "other key order",
    "spaces",
    "no card",
    "growing second string",
    "changing nonce",
    "M365 snapshots",
    "with citations",
)
"""The forms whose text is plain."""

CHATHUB: Final = (*PLAIN, ESCAPED, ALL_ESCAPED, AT_CURSOR)
"""Each frame repeats the whole answer, as text and in a card, but for `AT_CURSOR`, whose frames hold one word each."""

WORKIQ: Final = "Work IQ"
"""Server-sent events, each of which repeats the whole answer, as text and in a card."""

_ABROAD: Final = {
    ESCAPED: ("die ", "Flüsse ", "fließen ", "über ", "Nacht ", "größer ", "und ", "kühler ", "zum ", "Meer "),
    ALL_ESCAPED: ("луна ", "движет ", "морями ", "каждый ", "день ", "и ", "ночь ", "приливы ", "реки ", "снова "),
}
_CITE_EVERY: Final = 20  # words
_SOURCES: Final = 5


def texts_of(form: str, count: int) -> list[str]:
    """So many words, the deltas of an answer in this form."""
    if form in _ABROAD:
        return list(itertools.islice(itertools.cycle(_ABROAD[form]), count))
    texts = words(count)
    if form == "with citations":
        for place in range(_CITE_EVERY, count, _CITE_EVERY):
            texts[place] = f"[^{place // _CITE_EVERY % _SOURCES + 1}^] "
    return texts


def answer_of(form: str, count: int) -> list[bytes]:
    """All that is sent of an answer of so many deltas: two messages more, of a ChatHub the quota and the end."""
    texts = texts_of(form, count)
    return _events(texts) if form == WORKIQ else _messages(form, texts)


# --- ChatHub ----------------------------------------------------------------------------------------------------------


def _messages(form: str, texts: list[str]) -> list[bytes]:
    arguments = frames.ChatArguments(conversation_id="benchmark", message=frames.UserMessage(text="Go on."))
    writer = AnswerWriter(frames.Chat([arguments], "0"), lifetime=3600.0, clock=time.time)
    writer.quota = Quota(1, 30)
    opening = encode(*writer.opening())
    updates = [encode(*writer.write(TextDelta(text))) for text in texts]
    closing = encode(*writer.closing())
    if form != RECORDED:
        updates = [_REWRITTEN[form](json.loads(update[:-1]), texts[place]) for place, update in enumerate(updates)]
    return [opening, *updates, closing]


def _compact(update: Mapping[str, Any]) -> bytes:
    return json.dumps(update, ensure_ascii=False, separators=(",", ":")).encode() + SEPARATOR


def _sorted(update: Mapping[str, Any], _word: str) -> bytes:
    """By the names of the keys, so `type` comes last."""
    return json.dumps(update, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + SEPARATOR


def _spaced(update: Mapping[str, Any], _word: str) -> bytes:
    return json.dumps(update, ensure_ascii=False).encode() + SEPARATOR


def _escaped(update: Mapping[str, Any], _word: str) -> bytes:
    return json.dumps(update, separators=(",", ":")).encode() + SEPARATOR


def _without_card(update: Mapping[str, Any], _word: str) -> bytes:
    del update["arguments"][0]["messages"][0]["adaptiveCards"]
    return _compact(update)


def _spoken(update: Mapping[str, Any], _word: str) -> bytes:
    """A second string that grows: the field exists (docs/protocol/chathub.md, section e)."""
    message = update["arguments"][0]["messages"][0]
    message["spokenText"] = message["text"]
    return _compact(update)


def _with_nonce(update: Mapping[str, Any], _word: str) -> bytes:
    return _compact({**update, "arguments": [{**update["arguments"][0], "nonce": _nonce(update)}]})


def _nonce(update: Mapping[str, Any]) -> str:
    return f"{hash(update['arguments'][0]['messages'][0]['text']) & 0xFFFFFFFFFFFFFFFF:032x}"


def _of_m365(update: Mapping[str, Any], _word: str) -> bytes:
    """A snapshot of the Microsoft 365 hub (docs/protocol/chathub.md, section l)."""
    arguments = update["arguments"][0]
    (message,) = arguments["messages"]
    more: dict[str, object] = {"references": {}, "spokenText": None, "scores": [], "contentGenerationProgressList": []}
    return _compact(
        {
            **update,
            "arguments": [
                {
                    **arguments,
                    "messages": [{**message, **more}],
                    "nonce": _nonce(update),
                    "references": {},
                    "isLastUpdate": False,
                    "patches": [],
                    "messageIdsToDelete": [],
                    "result": None,
                }
            ],
        }
    )


def _cited(update: Mapping[str, Any], _word: str) -> bytes:
    """With the definitions at the head of the card, and the sources beside it (docs/protocol/chathub.md, section e)."""
    (message,) = update["arguments"][0]["messages"]
    urls = [f"https://example.org/tides/{number}" for number in range(1, _SOURCES + 1)]
    head = "\n".join(f'[{number}]: {url} "Tides, part {number}"' for number, url in enumerate(urls, 1))
    block = message["adaptiveCards"][0]["body"][0]
    block["text"] = f"{head}\n\n{block['text']}"
    message["sourceAttributions"] = [
        {"providerDisplayName": f"Tides, part {number}", "seeMoreUrl": url, "searchQuery": "tides"}
        for number, url in enumerate(urls, 1)
    ]
    return _compact(update)


def _at_cursor(update: Mapping[str, Any], word: str) -> bytes:
    """One piece of the Microsoft 365 hub (docs/protocol/chathub.md, section l)."""
    arguments = {name: value for name, value in update["arguments"][0].items() if name in {"requestId", "cursor"}}
    return _compact({**update, "arguments": [{**arguments, "nonce": _nonce(update), "writeAtCursor": word}]})


_REWRITTEN: Mapping[str, Callable[[Mapping[str, Any], str], bytes]] = {
    "other key order": _sorted,
    "spaces": _spaced,
    "no card": _without_card,
    "growing second string": _spoken,
    "changing nonce": _with_nonce,
    "M365 snapshots": _of_m365,
    "with citations": _cited,
    ESCAPED: _escaped,
    ALL_ESCAPED: _escaped,
    AT_CURSOR: _at_cursor,
}


# --- Work IQ ----------------------------------------------------------------------------------------------------------


def _events(texts: list[str]) -> list[bytes]:
    writer = SnapshotWriter("benchmark", name="Tides", asked="Go on.", turns=1, created=time.time(), clock=time.time)
    snapshots = [snapshot for text in texts for snapshot in writer.write(TextDelta(text))]
    return [
        b"data: " + msgspec.json.encode(snapshot) + b"\nid:%d\n\n" % number
        for number, snapshot in enumerate([*snapshots, *writer.closing()])
    ]
