"""An answer that grows, read from the bytes of its updates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import decode_server
from bing_llm.backends.chathub.framing import SEPARATOR
from bing_llm.backends.chathub.growing import Growing, learn
from bing_llm.errors import ProtocolError
from tests.backends.chathub.test_codec import mutations
from tests.backends.chathub.wire import RECORDED, compact, snapshot
from tests.timing import cpu_seconds

PIECES = st.lists(
    st.sampled_from([" purr", "\n", '"', "\\", '\\"', "é", "😀", "\x1e", '","author":"bot","createdAt":"', '{"text":"'])
).map("".join)


def learned(message: bytes) -> Growing:
    """What is learned of an update."""
    growing = learn(message.removesuffix(SEPARATOR))
    assert growing is not None
    return growing


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The update of `Cats purr` with a change in its value."""
    value = json.loads(snapshot("Cats purr", number=1)[:-1])
    change(value)
    return compact(value)


def test_the_form_is_the_recorded_one() -> None:
    """An answer is learned from the recorded update; `snapshot` has its fields, in its order."""
    _, recorded = (RECORDED / "03-update-frames-2023-05-26.jsonl").read_bytes().splitlines()
    learned(recorded)
    shown, made = json.loads(recorded)["arguments"][0], json.loads(snapshot("你")[:-1])["arguments"][0]
    assert list(made) == list(shown)
    assert list(made["messages"][0]) == list(shown["messages"][0])


@given(PIECES, PIECES)
def test_more_is_what_the_text_goes_on_with(known: str, piece: str) -> None:
    """Whatever characters the text and its end have, an update that goes on with it gives the end."""
    growing = learned(snapshot(known))
    assert growing.take(snapshot(known + piece, number=1))
    assert growing.more() == piece
    assert growing.take(snapshot(f"{known}{piece} more", number=2))
    assert growing.more() == " more"


def test_the_newest_has_what_all_have() -> None:
    """Each update that is taken takes the place of the one before, and `more` is the end of the text since the last."""
    growing = learned(snapshot("Cats"))
    messages = [snapshot("Cats" + " purr" * number, number=number) for number in range(1, 4)]
    assert [growing.take(message) for message in messages] == [True] * 3
    assert (growing.newest, growing.taken) == (messages[-1], 3)
    assert growing.more() == " purr" * 3
    assert (growing.newest, growing.taken) == (b"", 0)


def test_the_card_may_say_it_in_another_way() -> None:
    """The card's text need not be that of the answer, as long as it goes on too."""
    growing = learned(snapshot("Cats[^1^]", "[1]: https://example.org\n\nCats[^1^][1]"))
    assert growing.take(snapshot("Cats[^1^] purr", "[1]: https://example.org\n\nCats[^1^][1] purr"))
    assert growing.more() == " purr"


@pytest.mark.parametrize(
    "message",
    [
        snapshot("Cat"),
        snapshot("Dogs purr"),
        snapshot("Cats purr", "Dogs purr"),
        snapshot("Cats purr", messageId="a2"),
        snapshot("Cats purr", contentOrigin="Apology"),
        snapshot("Cats purr", suggestedResponses=[{"text": "Why?"}]),
        snapshot("Cats purr", messageType="InternalSearchQuery"),
        snapshot("Cats purr")[:-1],
        snapshot("Cats purr") + snapshot("Cats purr"),
        snapshot("Cats purr")[:-20],
        snapshot("Cats purr")[20:],
        edited(lambda value: value["arguments"][0].update(throttling={"maxNumUserMessagesInConversation": 5})),
        edited(lambda value: value["arguments"][0]["messages"].append({"text": "Dogs", "author": "bot"})),
        edited(lambda value: value["arguments"][0]["messages"].insert(0, {"text": "Cats", "author": "bot"})),
        edited(lambda value: value["arguments"][0]["messages"][0].pop("timestamp")),
        edited(lambda value: value["arguments"][0]["messages"][0]["adaptiveCards"][0]["body"].append({})),
        edited(lambda value: value["arguments"].append({})),
        edited(lambda value: value.update(type=2)),
        b"",
        SEPARATOR,
        b'"' + SEPARATOR,
    ],
)
def test_what_says_anything_else_is_not_taken(message: bytes) -> None:
    """A message is taken only if it is the update that was learned, but for the four strings."""
    growing = learned(snapshot("Cats"))
    assert growing.take(snapshot("Cats!"))
    assert not growing.take(message)
    assert growing.more() == "!"


def without_strings(message: bytes) -> frames.UpdateArguments:
    """What a frame says, but for the four strings; it must be an update with one message."""
    update = decode_server(message.removesuffix(SEPARATOR))
    assert isinstance(update, frames.Update)
    (arguments,) = update.arguments
    assert arguments.messages is not None
    (answer,) = arguments.messages
    card = json.loads(answer.adaptive_cards)
    card[0]["body"][0]["text"] = answer.text = answer.created_at = answer.timestamp = ""
    answer.adaptive_cards = msgspec.Raw(json.dumps(card))
    return arguments


@given(mutations(json.loads(snapshot("Cats purr", number=1)[:-1])).map(compact))
def test_what_is_taken_has_no_other_news(message: bytes) -> None:
    """Of a changed update, one that is taken says the same as the one that was learned, but for the four strings."""
    growing = learned(snapshot("Cats"))
    if growing.take(message):
        assert growing.more() == json.loads(message[:-1])["arguments"][0]["messages"][0]["text"].removeprefix("Cats")
        assert without_strings(message) == without_strings(snapshot("Cats"))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        snapshot("Cats")[:-2].replace(b'"adaptiveCards"', b'"cards"'),
        json.dumps(json.loads(snapshot("Cats")[:-1])).encode(),
        snapshot("Cats")[:100],
        snapshot("Cats")[:-1].replace(b'"createdAt"', b'"madeAt"'),
        snapshot("Cats")[:-1].replace(b'"timestamp"', b'"time"'),
        b" " + snapshot("Cats")[:-1],
    ],
)
def test_another_form_is_not_learned(record: bytes) -> None:
    """Nothing is learned of a record that is not written as the service writes it."""
    assert learn(record) is None


@pytest.mark.parametrize("broken", [b"\\x", b"\\ud83d", b"\xff", b"\x1e"])
def test_an_end_that_is_no_json_is_an_error(broken: bytes) -> None:
    """An update whose text goes on with what no JSON string can have raises ProtocolError when it is read."""
    growing = learned(snapshot("Cats"))
    assert growing.take(snapshot("Cats").replace(b'"Cats"', b'"Cats%b"' % broken))
    with pytest.raises(ProtocolError, match="does not parse"):
        growing.more()


def test_a_text_full_of_quotation_marks_is_left_to_the_decoder() -> None:
    """A thousand quotation marks in what is new are passed over one by one; where there are more, nothing is taken."""
    growing = learned(snapshot("Cats"))
    assert growing.take(snapshot("Cats" + '"' * 900))
    assert not growing.take(snapshot("Cats" + '"' * 1100))
    assert learn(snapshot('"' * 1100)[:-1]) is None


@pytest.mark.parametrize("piece", ["x" * 100, '\\"' * 50, "\\" * 50, '","author":"bot","createdAt":"', '"text":"'])
def test_a_message_takes_linear_time(piece: str) -> None:
    """Eight times the message takes about eight times the work, not sixty-four."""

    def seconds(size: int) -> float:
        growing, message = learned(snapshot("Cats")), snapshot("Cats" + piece * size)

        def read() -> None:
            learn(message)
            if growing.take(message):
                growing.more()

        return cpu_seconds(read)

    short, long = (min(seconds(size) for _ in range(5)) for size in (2000, 16000))
    assert long < 25 * short
