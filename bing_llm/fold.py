"""The folds of a turn's events: `Extension` gives the text that may be shown, `Fold` gives the `Reply`.

A `Reply` has two parts. `ReplyParts` folds all but the text, which an answer reader has already; `Fold` has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from bing_llm import events as ev


class Extension:
    """The text that can be given out piece by piece and never has to be recalled.

    `push` answers with what the event adds to the text already given. After a rewrite it answers "" until the
    whole text extends again what was given. `settled` is False while it does not.
    """

    def __init__(self) -> None:
        self._given: list[str] = []
        self._whole: list[str] | None = None  # None while what was given is the whole text
        self._missing = 0  # how many characters the whole text lacks before it can extend what was given

    @property
    def text(self) -> str:
        """The whole text as the service has it now."""
        return "".join(self._given if self._whole is None else self._whole)

    @property
    def settled(self) -> bool:
        """Whether what was given is the whole text."""
        return self._whole is None

    def push(self, event: ev.TextDelta | ev.TextRevised) -> str:
        """Fold one text event; answer with the text that may be given now, "" for none."""
        text = event.text
        if isinstance(event, ev.TextRevised):
            self._given = ["".join(self._given)]
            self._whole = [text]
            self._missing = len(self._given[0]) - len(text)
        elif self._whole is None:
            self._given.append(text)
            return text
        else:
            self._whole.append(text)
            if self._missing <= 0:  # it was long enough and differed: what is appended cannot mend that
                return ""
            self._missing -= len(text)
        return self._catch_up() if self._missing <= 0 else ""

    def _catch_up(self) -> str:
        given, whole = "".join(self._given), self.text
        if not whole.startswith(given):
            return ""
        self._given, self._whole = [whole], None
        return whole[len(given) :]


class ReplyParts:
    """What a turn has brought besides its text: `add` each event, then ask for `reply`."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._searches: list[ev.Search] = []
        self._images: list[str] = []
        self._image_prompts: list[str] = []
        self._suggestions: tuple[str, ...] = ()
        self._answered_searches = 0
        self._quota: ev.Quota | None = None
        self._revoked: ev.TextRevoked | None = None
        self._completed: ev.Reply | None = None

    def add(self, event: ev.Event) -> None:
        """Fold one event; its text is left to others."""
        match event:
            case ev.TextDelta() | ev.TextRevised() | ev.Progress() | ev.Unknown():
                pass
            case ev.Restarted():
                self._forget()
            case ev.TextRevoked():
                self._revoked = _revoked_too(self._revoked, event)
            case ev.SearchStarted(query=query):
                self._searches.append(ev.Search(query))
            case ev.SearchResults(results=results):
                self._attach(results)
            case ev.ImageRequested(prompt=prompt):
                self._image_prompts.append(prompt)
            case ev.ImageCreated(url=url):
                self._images.append(url)
            case ev.Suggestions(texts=texts):
                self._suggestions = texts
            case ev.Quota():
                self._quota = event
            case ev.TurnCompleted(reply=reply):
                self._completed = reply
            case _:
                assert_never(event)

    def _attach(self, results: tuple[ev.SearchResult, ...]) -> None:
        if self._answered_searches == len(self._searches):
            self._searches.append(ev.Search(""))
        search = self._searches[self._answered_searches]
        self._searches[self._answered_searches] = msgspec.structs.replace(search, results=results)
        self._answered_searches += 1

    def reply(self, text: str, *, revised: bool) -> ev.Reply:
        """The reply as far as it is known: the service's own, else one of what had come, with this text.

        Args:
            text: The whole text so far.
            revised: Whether it does not extend what could be given of it.
        """
        if self._completed is not None:
            return self._completed
        revoked = self._revoked
        return ev.Reply(
            text=text,
            searches=tuple(self._searches),
            images=tuple(self._images),
            image_prompts=tuple(self._image_prompts),
            suggestions=self._suggestions,
            quota=self._quota,
            finish_reason="stop" if revoked is None else "content_filter",
            revoked=revoked is not None,
            revised=revised,
            conversation_ended=revoked is not None and revoked.ended,
            notice="" if revoked is None else revoked.notice,
        )


class Fold:
    """The fold of a turn's events into a `Reply`: `add` each event, then ask for `reply()`.

    A `TurnCompleted` brings the service's own reply, which then is the result. Without one (a turn cut short)
    `reply()` holds what had come.
    """

    def __init__(self) -> None:
        self._text = Extension()
        self._parts = ReplyParts()

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._text.text

    def add(self, event: ev.Event) -> str:
        """Fold one event; answer with the text that may be given out now, "" for none."""
        if isinstance(event, ev.TextDelta | ev.TextRevised):
            return self._text.push(event)
        self._parts.add(event)
        return ""

    def reply(self) -> ev.Reply:
        """The reply as far as it is known."""
        return self._parts.reply(self._text.text, revised=not self._text.settled)


def _revoked_too(known: ev.TextRevoked | None, event: ev.TextRevoked) -> ev.TextRevoked:
    """Both in one: an apology may come before or after the word that the conversation is over."""
    if known is None:
        return event
    return ev.TextRevoked(known.notice or event.notice, known.ended or event.ended)


def fold(events: Iterable[ev.Event]) -> ev.Reply:
    """The reply that these events make: that of `TurnCompleted` where there is one, else what had come."""
    result = Fold()
    for event in events:
        result.add(event)
    return result.reply()
