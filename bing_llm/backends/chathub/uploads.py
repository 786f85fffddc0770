"""Pictures to the service: the kblob upload (docs/protocol/chathub.md, section g)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from bing_llm.backends.chathub.creation import ChatHubConversation, body_of
from bing_llm.backends.chathub.options import MODELS
from bing_llm.backends.response import Response
from bing_llm.errors import InvalidRequest, UploadFailed
from bing_llm.images import Image

__all__ = ["image_form", "uploaded_url"]

_WHAT = "the upload of an image"


class _Blob(msgspec.Struct, rename="camel"):
    blob_id: str | None = None
    processed_blob_id: str | None = None


def image_form(image: Image, conversation: ChatHubConversation, model: str) -> aiohttp.FormData:
    """The multipart body of an upload: what to do with the picture, and its bytes in base64 unless it has a URL."""
    request: dict[str, Any] = {
        "imageInfo": {"url": image.url} if image.url else {},
        "knowledgeRequest": {
            "invokedSkills": ["ImageById"],
            "subscriptionId": "Bing.Chat.Multimodal",
            "invokedSkillsRequestData": {"enableFaceBlur": True},
            "convoData": {"convoid": conversation.id, "convotone": MODELS[model].tone},
        },
    }
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("knowledgeRequest", msgspec.json.encode(request).decode(), content_type="application/json")
    if not image.url:
        form.add_field("imageBase64", base64.b64encode(image.data).decode())
    return form


def uploaded_url(answer: Response, blob_endpoint: str) -> str:
    """The URL that stands for the picture in a chat request.

    Raises:
        UploadFailed: The service refused: a 4xx status, or 200 with both ids empty.
        BingError: By another status or content.
    """
    try:
        blob: _Blob = body_of(answer, _WHAT, _Blob)
    except InvalidRequest as exc:
        raise UploadFailed(exc.message, value=exc.value) from exc
    blob_id = blob.blob_id or blob.processed_blob_id
    if not blob_id:
        msg = f"The service answered {_WHAT} without an id, which is how it refuses a picture."
        raise UploadFailed(msg, value=str(answer.status))
    return f"{blob_endpoint}?bcid={quote(blob_id, safe='')}"
