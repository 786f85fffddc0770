"""Conversations and messages as Work IQ fills them (docs/protocol/workiq.md, section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from bing_llm.emulator.wire import timestamp
from bing_llm.events import Citation

INTERMEDIATE = "Intermediate Conversation Update"
"""The display name in every event of a stream but the last."""

JsonObject: TypeAlias = dict[str, Any]
"""A conversation, a message or a part of one, to be written as JSON."""

ConversationState: TypeAlias = Literal["active", "disengagedForRai"]

_MESSAGE_TYPE = "#microsoft.graph.copilotConversationResponseMessage"
_ENTITY = re.compile(r"<(Event|File|Person)>([^<]{1,200})</\1>")
_NO_LABEL = dict.fromkeys(("sensitivityLabelId", "displayName", "tooltip", "priority", "color", "isEncrypted"))


def conversation(
    conversation_id: str,
    *,
    name: str,
    turns: int,
    messages: Sequence[Mapping[str, object]] | None,
    created: float,
    state: ConversationState = "active",
    agent_id: object = None,
) -> JsonObject:
    """A copilotConversation.

    Args:
        conversation_id: Its id.
        name: Its display name.
        turns: Its turns.
        messages: Those of the latest turn; None leaves the field out.
        created: When it was made, in seconds since 1970.
        state: Whether it goes on.
        agent_id: None for Copilot itself.
    """
    made = {
        "id": conversation_id,
        "agentId": agent_id,
        "createdDateTime": timestamp(created, "Z"),
        "displayName": name,
        "state": state,
        "turnCount": turns,
    }
    return made if messages is None else {**made, "messages": messages}


def message(
    message_id: str,
    text: str,
    *,
    created: float,
    attributions: Iterable[Mapping[str, object]] = (),
    with_card: bool = False,
    label: object = None,
) -> JsonObject:
    """A message. That of the user has the same type as that of the service.

    Args:
        message_id: Its id.
        text: Markdown.
        created: When it was made, in seconds since 1970.
        attributions: What it rests on.
        with_card: Whether it has a card, which repeats the text.
        label: Its sensitivity label; None for the empty one.
    """
    block = {"type": "TextBlock", "text": text, "wrap": True}
    return {
        "@odata.type": _MESSAGE_TYPE,
        "id": message_id,
        "text": text,
        "createdDateTime": timestamp(created, "Z"),
        "adaptiveCards": [{"type": "AdaptiveCard", "version": "1.0", "body": [block]}] if with_card else [],
        "attributions": list(attributions),
        "sensitivityLabel": _NO_LABEL if label is None else label,
    }


def attribution(citation: Citation) -> JsonObject:
    """The source that a marker refers to."""
    return _attribution("citation", "grounding", citation.title, citation.url)


def entity_links(text: str) -> list[JsonObject]:
    """The links of the people, events and files that the text names."""
    names = dict.fromkeys(found[2] for found in _ENTITY.finditer(text))
    return [_attribution("annotation", "model", name, "") for name in names]


def _attribution(kind: str, source: str, name: str, url: str) -> JsonObject:
    return {
        "attributionType": kind,
        "attributionSource": source,
        "providerDisplayName": name,
        "seeMoreWebUrl": url,
        "imageWebUrl": "",
        "imageFavIcon": "",
        "imageWidth": 0,
        "imageHeight": 0,
    }
