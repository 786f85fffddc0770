"""The artifacts of a task: each comes whole, or more is appended to it (docs/protocol/a2a.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bing_llm._urls import web_url
from bing_llm.backends.json_text import decode_or_none, objects_in
from bing_llm.backends.workiq.a2a.wire import Artifact, Part, text_of
from bing_llm.limits import Limits

BETWEEN: Final = "\n\n"
"""Between two artifacts, and between an answer and the question of an agent that wants to know more."""

PIECE_COST: Final = 100
"""Characters that each part, artifact and message of progress counts for besides its own, as in `Limits`."""

_REFERENCE = "application/vnd.workiq-reference"
_REFERENCE_FIELDS = frozenset(("targetLink", "seeMoreWebUrl"))


class Artifacts:
    """What a task has given so far, in the order in which its artifacts came.

    Args:
        given: What the task had given in earlier turns, by the ids of its artifacts; the text is what is new.
        limits: How much is held.
    """

    def __init__(self, given: Mapping[str, str], limits: Limits) -> None:
        self._given = given
        self._limits = limits
        self._by_id: dict[str, _Output] = {}
        self._characters = 0

    @property
    def text(self) -> str:
        """The text of all of them, without what was given before."""
        texts = (output.text.removeprefix(self._given.get(key, "")) for key, output in self._by_id.items())
        return BETWEEN.join(text for text in texts if text)

    @property
    def texts(self) -> dict[str, str]:
        """The text of each, by its id."""
        return {key: output.text for key, output in self._by_id.items()}

    @property
    def files(self) -> list[dict[str, str]]:
        """The files that they name."""
        return [file for output in self._by_id.values() for file in output.files]

    @property
    def references(self) -> list[dict[str, Any]]:
        """The sources that they name."""
        return [reference for output in self._by_id.values() for reference in output.references]

    def replace(self, artifacts: Iterable[Artifact | None] | None) -> bool:
        """These are all of them; whether there are any. An agent may leave them out: then they stay as they were.

        Raises:
            ProtocolError: They are longer than any answer is.
        """
        known = [artifact for artifact in artifacts or () if artifact is not None]
        if known:
            self._by_id, self._characters = {}, 0
        for artifact in known:
            self.update(artifact, appended=False)
        return bool(known)

    def update(self, artifact: Artifact, *, appended: bool) -> str | None:
        """A new one, or more of one.

        Returns:
            The piece by which the text goes on; None if it may have changed in another way.

        Raises:
            ProtocolError: They are longer than any answer is.
        """
        key = artifact.artifact_id or ""
        before = self._by_id.get(key)
        goes_on = appended and before is not None and before.has_text and key not in self._given
        is_last = key == next(reversed(self._by_id), None)
        output = self._by_id[key] = before if before is not None and appended else _Output()
        self._characters -= 0 if before is None else before.characters
        piece = output.add(artifact.parts)
        self._characters += output.characters
        if self._characters > self._limits.answer_characters:
            raise self._limits.exceeded("answer_characters", "characters in one answer")
        return piece if goes_on and is_last else None


class _Output:
    """One artifact: its text in pieces, its files, and what it says of its sources."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.files: list[dict[str, str]] = []
        self.references: list[dict[str, Any]] = []
        self.characters = PIECE_COST

    def add(self, parts: Iterable[Part | None] | None) -> str:
        """Add some parts; answer with their text."""
        known = [part for part in parts or () if part is not None]
        text = text_of(known)
        if text:
            self._pieces.append(text)
        self.files += [_file(part) for part in known if part.url is not None]
        self.references += references_in(known)
        self.characters += sum(PIECE_COST + len(part.text or part.data) for part in known)
        return text

    @property
    def has_text(self) -> bool:
        return bool(self._pieces)

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


def _file(part: Part) -> dict[str, str]:
    named = {"url": web_url(part.url or ""), "mediaType": part.media_type, "filename": part.filename}
    return {key: value for key, value in named.items() if value}


def _media_type(part: Part) -> str:
    """The media type without parameters, in lower case: "charset=utf-8" says nothing of what it is."""
    return (part.media_type or "").partition(";")[0].strip().lower()


def references_in(parts: Iterable[Part | None] | None) -> list[dict[str, Any]]:
    """The sources that some parts name, each an object as over REST, or a list or a map of such objects."""
    found: list[dict[str, Any]] = []
    for part in parts or ():
        if part is None or _media_type(part) != _REFERENCE:
            continue
        data = decode_or_none(part.data)
        if isinstance(data, dict) and data.keys().isdisjoint(_REFERENCE_FIELDS):
            data = list(data.values())
        found += objects_in(data if isinstance(data, list) else [data])
    return found
