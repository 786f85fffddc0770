"""Standard content blocks of messages whose content is text: `message.content_blocks`, also of parts of a stream.

`response_metadata` has what the service said besides its text. LangChain calls the translator of a provider for such
messages; this one is registered for ours. With `output_version="v1"` the content is blocks from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

PROVIDER = "bing"
"""`model_provider` of each message, and `ls_provider` of each trace."""

HAS_REFUSAL = hasattr(types, "RefusalContentBlock")


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """The standard blocks of a message: text with its citations, reasoning, searches, pictures, calls, suggestions.

    In the last chunk of a stream, which has no text, an empty text holds the citations, so that they join the text of
    the chunks before it.

    Raises:
        NotImplementedError: The content is blocks already; LangChain then reads them itself.
    """
    if not isinstance(message.content, str):
        raise NotImplementedError
    metadata = message.response_metadata
    # LangChain's own reading, for what is the same with every provider: text and calls.
    plain = message.model_copy(update={"response_metadata": {}}).content_blocks
    texts: list[Any] = [block for block in plain if block["type"] == "text"]
    if notes := list(citation_annotations(metadata.get("citations", ()))):
        texts = texts or [{"type": "text", "text": ""}]
        texts[-1] = {**texts[-1], "annotations": notes}
    before = [*_reasoning(metadata), *_searches(metadata)]
    after = [*_images(metadata), *(block for block in plain if block["type"] != "text"), *closing_blocks(metadata)]
    # A chunk's text comes first: LangChain joins blocks of chunks by their places.
    ordered = [*before, *texts, *after] if message.content else [*texts, *before, *after]
    return cast("list[types.ContentBlock]", ordered)


def citation_annotations(citations: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, object]]:
    """A citation for each marker in the text, in their order, then one without a place for each other source."""
    citations = list(citations)
    places = [(start, end, citation) for citation in citations for start, end in citation.get("spans", ())]
    for start, end, citation in sorted(places, key=lambda place: place[:2]):
        yield {**annotation(citation), "start_index": start, "end_index": end}
    yield from (annotation(citation) for citation in citations if not citation.get("spans"))


def annotation(citation: Mapping[str, Any]) -> dict[str, object]:
    """A citation as LangChain's annotation, without its place."""
    extras = {key: citation[key] for key in ("number", "sensitivity_label") if citation.get(key) is not None}
    url = {"url": citation["url"]} if citation["url"] else {}
    return {"type": "citation", **url, "title": citation["title"], "extras": extras}


def closing_blocks(metadata: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """What follows an answer: that it was withdrawn, prompts of pictures, and suggested questions."""
    if metadata.get("revoked"):
        notice = metadata.get("notice") or "The service withdrew this answer."
        refusal = {"type": "refusal", "refusal": notice}
        yield refusal if HAS_REFUSAL else {"type": "non_standard", "value": refusal}
    for kind, key in (("image_prompts", "prompts"), ("suggestions", "suggestions")):
        if metadata.get(kind):
            yield {"type": "non_standard", "value": {"type": kind, key: metadata[kind]}}


def _reasoning(metadata: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    if metadata.get("reasoning"):
        yield {"type": "reasoning", "reasoning": metadata["reasoning"]}


def _searches(metadata: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    for number, search in enumerate(metadata.get("searches", ()), start=1):
        call_id = f"web_search_{number}"  # the service has none; it is the same each time that the blocks are read
        yield {"type": "server_tool_call", "id": call_id, "name": "web_search", "args": {"query": search["query"]}}
        if search["results"]:
            yield search_result(call_id, search["results"])


def search_result(call_id: str, results: object) -> dict[str, object]:
    """What a web search of the service found."""
    return {"type": "server_tool_result", "tool_call_id": call_id, "status": "success", "output": results}


def _images(metadata: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    yield from ({"type": "image", "url": url} for url in metadata.get("images", ()))


register_translator(PROVIDER, translate, translate)
