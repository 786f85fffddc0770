"""What callers pass is checked before anything is sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm import BingClient, ConfigurationError, InvalidRequest, Location, Retries, Timeouts
from bing_llm._checks import check_address, check_text, check_type

SECRET = "hunter2"


class Settings(msgspec.Struct):
    """Some fields."""

    count: int = 1
    words: tuple[str, ...] = ()


def test_declared_types_are_checked() -> None:
    """A value of another type is refused by the name of its field; the value itself is not shown."""
    check_type(1, int, "count")
    wrong: Any = Settings(SECRET)  # type: ignore[arg-type]
    for value, expected, name in ((SECRET, int, "words"), (wrong, Settings, "count of words")):
        words = f"^{name} has a value of another type: Expected `int`, got `str`"
        with pytest.raises(ConfigurationError, match=words) as caught:
            check_type(value, expected, "words")
        assert SECRET not in str(caught.value)


def test_half_characters_are_not_text() -> None:
    """Half of a surrogate pair cannot be sent, in a setting or in a text."""
    with pytest.raises(ConfigurationError, match="half of a surrogate pair"):
        check_type(("\ud800",), tuple[str, ...], "words")
    with pytest.raises(InvalidRequest, match="The prompt holds half of a surrogate pair at character 3"):
        check_text("hi \ud800", "The prompt")


@pytest.mark.parametrize("value", [None, b"hi", 5, ["hi"]])
def test_text_is_a_str(value: object) -> None:
    """Anything but a str is refused; bytes are not taken for one."""
    with pytest.raises(InvalidRequest, match=f"The prompt is a {type(value).__name__}; it must be a str"):
        check_text(value, "The prompt")


@pytest.mark.parametrize(
    "settings",
    [
        {"timeouts": 5},
        {"timeouts": Timeouts(connect="5")},  # type: ignore[arg-type]
        {"retries": 3},
        {"retries": Retries(attempts="3")},  # type: ignore[arg-type]
        {"retries": Retries(max_wait="3")},  # type: ignore[arg-type]
        {"location": 5},
        {"proxy": 5},
        {"search": "no"},
        {"prompt_limit": "5"},
        {"option_sets": "abc"},
        {"option_sets": ["\ud800"]},
        {"locale": "é-é"},
        {"locale": 5},
    ],
    ids=str,
)
def test_a_client_with_a_setting_of_another_type_is_refused(settings: dict[str, Any]) -> None:
    """Each bad setting is a ConfigurationError when the client is made, never an error of Python later."""
    with pytest.raises(ConfigurationError):
        BingClient(backend="emulator", **settings)


def test_good_settings_pass() -> None:
    """Whole numbers of seconds, lists and structs are what they should be."""
    BingClient(
        backend="emulator",
        timeouts=Timeouts(connect=5),
        retries=Retries(max_wait=3),
        option_sets=["deepleo"],
        location=Location(1.0, 2.0, hints=({"country": "X"},)),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": None},
        {"prompt": b"hi"},
        {"prompt": "hi \ud800"},
        {"prompt": "hi", "context": 5},
        {"prompt": "hi", "context": ["a"]},
        {"prompt": "hi", "context": "\ud800"},
        {"prompt": "hi", "images": None},
        {"prompt": "hi", "images": "x.png"},
        {"prompt": "hi", "images": b"GIF89a"},
        {"prompt": "hi", "images": [5]},
        {"prompt": "hi", "images": ["https://x.example/\ud800"]},
    ],
    ids=repr,
)
def test_a_request_of_another_type_is_refused(arguments: dict[str, Any]) -> None:
    """Each bad argument is an InvalidRequest at once, before anything is sent."""
    with pytest.raises(InvalidRequest):
        BingClient(backend="emulator").stream(**arguments)


async def test_a_conversation_id_is_text() -> None:
    """An id that cannot be sent is refused before anything is."""
    with pytest.raises(InvalidRequest, match="The conversation id"):
        await BingClient(backend="emulator").delete_conversation("\ud800")


@pytest.mark.parametrize("address", [None, "", "192.0.2.7", "2001:db8::1", "fe80::1%eth0"])
def test_an_address_is_an_address(address: str | None) -> None:
    """Of either family, with the name of an interface too."""
    check_address(address)


@pytest.mark.parametrize(
    "address", ["localhost", "fe80::1%", "fe80::1%a\r\nX-Evil: 1", "fe80::1%\u202e", "fe80::1%a b"]
)
def test_nothing_else_goes_into_the_header_of_an_address(address: str) -> None:
    """Python takes any text for the name of an interface, line breaks too."""
    with pytest.raises(ConfigurationError, match="not an IPv4 or IPv6 address"):
        check_address(address)
