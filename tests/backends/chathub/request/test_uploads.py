"""Pictures to the service."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.request import ChatHubConversation, image_form, uploaded_url
from bing_llm.backends.response import Response
from bing_llm.errors import BingError
from bing_llm.images import Image

CONVERSATION = ChatHubConversation("51D|BingProd|00", "844426050463147", "plain", "encrypted")
PIXELS = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BLOB = "https://www.bing.com/images/blob"


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


def test_a_picture_goes_as_base64() -> None:
    """The form holds what to do with the picture, as JSON, and its bytes in base64 without a `data:` prefix."""
    asked, picture = image_form(Image(PIXELS), CONVERSATION, "bing-balanced")
    assert (asked.name, asked.content_type) == ("knowledgeRequest", "application/json")
    assert json.loads(asked.value) == knowledge({})
    assert (picture.name, picture.content_type) == ("imageBase64", None)
    assert base64.b64decode(picture.value, validate=True) == PIXELS


def test_a_public_picture_goes_as_its_url() -> None:
    """A picture that the service can fetch itself is named, not sent."""
    image = Image(url="https://example.com/a.png?b=c")
    [asked] = image_form(image, CONVERSATION, "bing-precise")
    assert json.loads(asked.value) == knowledge({"url": "https://example.com/a.png?b=c"}, tone="Precise")


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
