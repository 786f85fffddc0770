"""The chat request, as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.backends.chathub.codec import SEPARATOR, decode_client, encode
from bing_llm.backends.chathub.options import ALLOWED_MESSAGE_TYPES
from bing_llm.backends.chathub.request import ChatHubConversation, Stamp, chat_request
from bing_llm.messages import Prompt
from bing_llm.services import ChatHub, Location

CONVERSATION = ChatHubConversation("51D|BingProd|00", "844426050463147", "plain+/=", "encrypted")
STAMP = Stamp("0123456789abcdef0123456789abcdef", "8a3c0e6e-0000-4000-8000-000000000000", "2026-11-22T12:00:00+01:00")
LEFT_OUT: Any = object()

BASE = [
    "nlu_direct_response_filter",
    "deepleo",
    "disable_emoji_spoken_text",
    "responsible_ai_policy_235",
    "enablemm",
    "dv3sugg",
    "iyxapbing",
    "iycapbing",
]
GOLDEN: dict[str, Any] = {
    "source": "cib",
    "optionsSets": [*BASE, "galileo", "saharagenconv5"],
    "isStartOfSession": True,
    "conversationId": "51D|BingProd|00",
    "conversationSignature": "plain+/=",
    "participant": {"id": "844426050463147"},
    "message": {
        "author": "user",
        "text": "Grüße \x1e an \u2028 alle",
        "messageType": "Chat",
        "inputMethod": "Keyboard",
        "requestId": "8a3c0e6e-0000-4000-8000-000000000000",
        "messageId": "8a3c0e6e-0000-4000-8000-000000000000",
        "locale": "en-US",
        "market": "en-US",
        "region": "US",
        "timestamp": "2026-11-22T12:00:00+01:00",
    },
    "allowedMessageTypes": list(ALLOWED_MESSAGE_TYPES),
    "sliceIds": [],
    "verbosity": "verbose",
    "scenario": "SERP",
    "traceId": "0123456789abcdef0123456789abcdef",
    "requestId": "8a3c0e6e-0000-4000-8000-000000000000",
    "tone": "Balanced",
    "spokenTextMode": "None",
    "gptId": "copilot",
}


def sent(
    prompt: Prompt | None = None, number: int = 0, *, image_url: str | None = None, **options: Any
) -> dict[str, Any]:
    """The frame of a request, decoded from its wire form."""
    asked = prompt or Prompt(GOLDEN["message"]["text"])
    message = encode(chat_request(CONVERSATION, asked, ChatHub(**options), number, stamp=STAMP, image_url=image_url))
    assert message.count(SEPARATOR) == 1
    frame: dict[str, Any] = json.loads(message.removesuffix(SEPARATOR))
    return frame


def golden(message: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The arguments of the plainest request, with changes; a field that is LEFT_OUT is missing."""
    wanted = {**GOLDEN, **changes, "message": {**GOLDEN["message"], **(message or {})}}
    return {name: value for name, value in wanted.items() if value is not LEFT_OUT}


def test_the_plainest_request_is_the_golden_one() -> None:
    """The first turn, with every field that is sent and no other."""
    assert sent() == {"type": 4, "arguments": [golden()], "invocationId": "0", "target": "chat"}


def test_later_turns_count_on() -> None:
    """`invocationId` is a string that counts turns, and only turn 0 starts the session."""
    assert sent(number=1) == {
        "type": 4,
        "arguments": [golden(isStartOfSession=False)],
        "invocationId": "1",
        "target": "chat",
    }
    assert sent(number=29)["invocationId"] == "29"


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"search": False}, {"optionsSets": [*GOLDEN["optionsSets"], "nosearchall"]}),
        (
            {"cookies": "_U=1"},
            {
                "optionsSets": [*GOLDEN["optionsSets"], "autosave"],
                "conversationHistoryOptionsSets": ["autosave", "savemem", "uprofupd", "uprofgen"],
            },
        ),
        (
            {"model": "bing-creative"},
            {"tone": "Creative", "optionsSets": [*BASE, "h3imaginative", "clgalileo", "gencontentv3"]},
        ),
        (
            {"model": "bing-precise"},
            {"tone": "Precise", "optionsSets": [*BASE, "h3precise", "clgalileo", "gencontentv3"]},
        ),
        ({"option_sets": ("deepleo",)}, {"optionsSets": ["deepleo"]}),
        (
            {"locale": "zh-cn"},
            {"message": {"locale": "zh-cn", "market": "zh-cn", "region": "CN"}},
        ),
        (
            {"location": Location(47.639557, -122.128159)},
            {"message": {"location": "lat:47.639557;long:-122.128159;re=1000m;"}},
        ),
        (
            {"location": Location(1.5, 2, 30, ({"country": "United States", "RegionType": 2},))},
            {
                "message": {
                    "location": "lat:1.5;long:2;re=30m;",
                    "locationHints": [{"country": "United States", "RegionType": 2}],
                }
            },
        ),
    ],
    ids=",".join,
)
def test_each_option_changes_what_it_names(options: dict[str, Any], changes: dict[str, Any]) -> None:
    """An option changes its own fields, and nothing else."""
    assert sent(**options)["arguments"] == [golden(**changes)]


def test_a_picture_is_a_url_in_the_message() -> None:
    """The uploaded picture stands in the message, as what it is and as what it was."""
    url = "https://www.bing.com/images/blob?bcid=b"
    assert sent(image_url=url)["arguments"] == [golden(message={"imageUrl": url, "originalImageUrl": url})]


def test_context_goes_before_the_message() -> None:
    """Context is a message of the page that the user looks at, on whatever turn."""
    previous = {
        "author": "user",
        "description": "[user](#message)\nHi\n\n",
        "contextType": "WebPage",
        "messageType": "Context",
        "messageId": "discover-web--page-ping-mriduna-----",
    }
    asked = Prompt(GOLDEN["message"]["text"], "[user](#message)\nHi\n\n")
    for number in (0, 1):
        expected = golden(previousMessages=[previous], isStartOfSession=number == 0)
        assert sent(asked, number)["arguments"] == [expected]
    assert sent(Prompt(GOLDEN["message"]["text"], ""))["arguments"] == [golden()]


def test_without_a_signature_there_is_no_such_field() -> None:
    """A conversation that has no plain signature sends none: the socket's URL has the other one."""
    unsigned = ChatHubConversation("51D|BingProd|00", "844426050463147")
    message = encode(chat_request(unsigned, Prompt("Hi"), ChatHub(), 0, stamp=STAMP))
    assert b"conversationSignature" not in message


def test_the_other_end_reads_what_was_meant() -> None:
    """The server's own decoder gives back the frame."""
    frame = chat_request(CONVERSATION, Prompt("Hi", "context"), ChatHub(), 3, stamp=STAMP, image_url="u")
    assert decode_client(encode(frame).removesuffix(SEPARATOR)) == frame
