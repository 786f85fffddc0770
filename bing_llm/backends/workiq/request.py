"""The bodies of the requests (docs/protocol/workiq.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm.messages import Prompt

if TYPE_CHECKING:
    from bing_llm.services import WorkIQ

_WHAT_CONTEXT_IS = "The conversation so far and other text to know, oldest first; each part names its role."


def create_body() -> dict[str, object]:
    """The body that creates a conversation: an empty object."""
    return {}


def chat_body(prompt: Prompt, service: WorkIQ) -> dict[str, object]:
    """The body of one turn, the same for `chat` and `chatOverStream`.

    What the service would forget after a turn, such as that the web is not to be searched, is in each.
    """
    body: dict[str, object] = {"message": {"text": prompt.text}, "locationHint": _location_hint(service)}
    if prompt.context:
        body["additionalContext"] = [{"text": prompt.context, "description": _WHAT_CONTEXT_IS}]
    resources = _resources(service)
    if resources:
        body["contextualResources"] = resources
    return body


def _location_hint(service: WorkIQ) -> dict[str, object]:
    hint: dict[str, object] = {"timeZone": service.time_zone}
    if service.location is not None:
        hint["latitude"] = service.location.latitude
        hint["longitude"] = service.location.longitude
    return hint


def _resources(service: WorkIQ) -> dict[str, object]:
    resources: dict[str, object] = {}
    if service.files:
        resources["files"] = [{"uri": uri} for uri in service.files]
    if not service.search:  # true is the service's default
        resources["webContext"] = {"isWebEnabled": False}
    return resources
