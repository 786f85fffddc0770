"""Pictures to the service."""

from __future__ import annotations

import base64
import json
from email import message_from_bytes
from email.message import Message
from typing import Any

import aiohttp
import pytest

from bing_llm import errors
from bing_llm.backends.chathub.creation import ChatHubConversation
from bing_llm.backends.chathub.uploads import image_form, uploaded_url
from bing_llm.backends.response import Response
from bing_llm.errors import BingError
from bing_llm.images import Image

CONVERSATION = ChatHubConversation("51D|BingProd|00", "844426050463147", "plain", "encrypted")
PIXELS = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BLOB = "https://www.bing.com/images/blob"


class Written:
    """A stream that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data


async def fields(form: aiohttp.FormData) -> dict[str, Message]:
    """The parts of a form by their names, as the standard library reads them."""
    payload = form()
    written = Written()
    await payload.write(written)  # type: ignore[arg-type]
    head = f"Content-Type: {payload.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + written.data)
    assert message.get_content_type() == "multipart/form-data"
    parts: Any = message.get_payload()
    return {part.get_param("name", header="Content-Disposition"): part for part in parts}


def content(part: Message) -> bytes:
    """What a part holds."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def knowledge(image_info: dict[str, str], tone: str = "Balanced") -> dict[str, Any]:
    """What the form asks for (docs/protocol/chathub.md, section g)."""
    return {
        "imageInfo": image_info,
        "knowledgeRequest": {
            "invokedSkills": ["ImageById"],
            "subscriptionId": "Bing.Chat.Multimodal",
            "invokedSkillsRequestData": {"enableFaceBlur": True},
            "convoData": {"convoid": "51D|BingProd|00", "convotone": tone},
        },
    }


async def test_a_picture_goes_as_base64() -> None:
    """The form holds what to do with the picture, as JSON, and its bytes in base64 without a `data:` prefix."""
    parts = await fields(image_form(Image(PIXELS), CONVERSATION, "bing-balanced"))
    assert sorted(parts) == ["imageBase64", "knowledgeRequest"]
    assert parts["knowledgeRequest"].get_content_type() == "application/json"
    assert json.loads(content(parts["knowledgeRequest"])) == knowledge({})
    assert base64.b64decode(content(parts["imageBase64"]), validate=True) == PIXELS


async def test_a_public_picture_goes_as_its_url() -> None:
    """A picture that the service can fetch itself is named, not sent; the form is a multipart one all the same."""
    image = Image(url="https://example.com/a.png?b=c")
    parts = await fields(image_form(image, CONVERSATION, "bing-precise"))
    assert list(parts) == ["knowledgeRequest"]
    asked = json.loads(content(parts["knowledgeRequest"]))
    assert asked == knowledge({"url": "https://example.com/a.png?b=c"}, tone="Precise")


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ({"blobId": "b1", "processedBlobId": "p1"}, f"{BLOB}?bcid=b1"),
        ({"blobId": "", "processedBlobId": "p1"}, f"{BLOB}?bcid=p1"),
        ({"blobId": "a&b=c/d e"}, f"{BLOB}?bcid=a%26b%3Dc%2Fd%20e"),
    ],
)
def test_an_id_stands_for_the_picture(body: dict[str, str], url: str) -> None:
    """The blob's id becomes a URL beside the upload, percent-encoded."""
    assert uploaded_url(Response(200, {}, json.dumps(body).encode()), BLOB) == url


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"blobId":"","processedBlobId":""}', errors.UploadFailed),
        (200, b'{"blobId":null}', errors.UploadFailed),
        (200, b"{}", errors.UploadFailed),
        (400, b"", errors.UploadFailed),
        (413, b"", errors.UploadFailed),
        (302, b"", errors.Unauthorized),
        (403, b"", errors.Unauthorized),
        (429, b"", errors.Throttled),
        (500, b"", errors.ServiceError),
        (200, b"", errors.ServiceError),
        (200, b"<html>", errors.ServiceError),
        (200, b'{"blobId":7}', errors.ServiceError),
    ],
)
def test_a_picture_that_was_not_taken_is_an_error(status: int, body: bytes, kind: type[BingError]) -> None:
    """Empty ids and 4xx mean the picture; every other failure means the service or the caller."""
    with pytest.raises(BingError) as caught:
        uploaded_url(Response(status, {}, body), BLOB)
    assert type(caught.value) is kind
    assert caught.value.value == str(status)
    assert "the upload of an image" in str(caught.value)
