"""Records to frames and back."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.codec import MAX_RECORDS_A_MESSAGE, SEPARATOR, RecordReader
from bing_llm.errors import ProtocolError
from bing_llm.limits import Limits
from tests.backends.chathub import wire

RECORDINGS = sorted(path.stem for path in wire.RECORDED.glob("*.jsonl") if path.stem[:2] not in {"14", "22"})
RECORDS = [record.encode().removesuffix(SEPARATOR) for name in RECORDINGS for record in wire.recorded(name)]

FRAMES: list[frames.ServerFrame | frames.ClientFrame] = [
    frames.Update(
        arguments=[
            frames.UpdateArguments(messages=[frames.UpdateMessage(text="Hi", author="bot")], write_at_cursor="Hi")
        ]
    ),
    frames.Final(frames.FinalItem(result=frames.Result(value="Success")), "0"),
    frames.Completion("0"),
    frames.Ping(),
    frames.Close("no", allow_reconnect=True),
    frames.UnknownFrame({"type": 8, "sequenceId": 3}),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def mutations(value: Any) -> st.SearchStrategy[Any]:
    """A JSON value with one part of it replaced, taken out or put under another name."""

    @st.composite
    def mutated(draw: st.DrawFn) -> Any:
        root = {"": copy.deepcopy(value)}
        holder: Any = root
        key: Any = ""
        while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.integers(0, 5)):
            holder = holder[key]
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if holder is not root and draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = draw(JSON)
        return root.get("")

    return mutated()


@pytest.mark.parametrize("frame", FRAMES)
def test_server_frames_come_back(frame: frames.ServerFrame) -> None:
    """What the server's end writes, the client's end reads."""
    assert codec.decode_server(codec.encode(frame).removesuffix(SEPARATOR)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        frames.Chat([frames.ChatArguments(source="cib", is_start_of_session=True)], "0"),
        frames.Invocation("stop", "0", [{}]),
        frames.Invocation("Metrics"),
        frames.Ping(),
        frames.UnknownFrame({"type": 5, "invocationId": "0"}),
    ],
)
def test_client_frames_come_back(frame: frames.ClientFrame) -> None:
    """What the client's end writes, the server's end reads."""
    assert codec.decode_client(codec.encode(frame).removesuffix(SEPARATOR)) == frame


def test_the_handshake_comes_back() -> None:
    """Both sides of the handshake are read as they were written."""
    assert codec.decode_handshake(codec.encode(frames.HANDSHAKE)[:-1]) == frames.HANDSHAKE
    assert codec.decode_ack(b"{}") == frames.HandshakeAck()
    assert codec.decode_ack(b'{"error":"no"}') == frames.HandshakeAck("no")
    assert codec.decode_ack(b'{"type":7,"error":"no"}') == frames.Close("no")


def test_many_frames_make_one_message() -> None:
    """Each frame is ended by the separator, so that several can be sent at once."""
    assert codec.encode(frames.HandshakeAck(), frames.Ping()) == b'{}\x1e{"type":6}\x1e'
    assert codec.encode() == b""


@pytest.mark.parametrize("record", RECORDS)
def test_recorded_frames_are_known(record: bytes) -> None:
    """Every recorded frame is read as a frame of a known kind."""
    kinds = {1: frames.Update, 2: frames.Final, 3: frames.Completion, 7: frames.Close}
    assert isinstance(codec.decode_server(record), kinds[json.loads(record)["type"]])


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": 99, "text": "?"},
        {"type": 8, "sequenceId": 1},
        {"type": None},
        {"type": "1"},
        {"type": 1.5},
        {"type": True},
        {"type": 1, "target": "Metrics", "arguments": [{}]},
        {"type": 1, "target": "update", "arguments": "none"},
        {"type": 1, "target": "update", "arguments": [{"messages": [{"text": 7}]}]},
    ],
)
def test_unknown_frames_are_kept_whole(value: dict[str, Any]) -> None:
    """A frame of an unknown type, target or shape is kept with all its fields."""
    assert codec.decode_server(json.dumps(value).encode()) == frames.UnknownFrame(value)


@pytest.mark.parametrize("value", [{}, {"type": 5}, {"type": 1}, {"type": 1, "target": 7}])
def test_unknown_frames_of_clients_are_kept_whole(value: dict[str, Any]) -> None:
    """A client's frame of an unknown type or shape is kept with all its fields."""
    assert codec.decode_client(json.dumps(value).encode()) == frames.UnknownFrame(value)


NOT_JSON = [
    b"",
    b"nope",
    b"{",
    b"\xff",
    b'{"type":1,"target":"\xff"}',
    b'{"a":"\\ud83d"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]
BROKEN = [*NOT_JSON, b"[1]", b"7", b'"text"', b"null"]


@pytest.mark.parametrize("record", BROKEN)
@pytest.mark.parametrize("decode", [codec.decode_server, codec.decode_client, codec.decode_ack, codec.decode_handshake])
def test_what_is_not_a_json_object_is_not_a_frame(decode: Callable[[bytes], object], record: bytes) -> None:
    """A record that is no JSON object raises ProtocolError, whose cause is the parser's own error."""
    with pytest.raises(ProtocolError) as caught:
        decode(record)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (b'{"type":2}', 2),
        (b'{"type":2,"item":{"messages":7}}', 2),
        (b'{"type":3,"invocationId":7}', 3),
        (b'{"type":7,"error":7}', 7),
    ],
)
def test_a_frame_whose_loss_would_lose_a_turn_must_have_its_shape(record: bytes, kind: int) -> None:
    """A final, completion or close frame of another shape raises ProtocolError that names its type."""
    with pytest.raises(ProtocolError, match=f"of type {kind} with another shape"):
        codec.decode_server(record)


def test_a_chat_request_must_have_its_shape() -> None:
    """A client's request of another shape raises ProtocolError."""
    with pytest.raises(ProtocolError, match="of type 4 with another shape"):
        codec.decode_client(b'{"type":4,"arguments":[{"message":{"text":7}}],"invocationId":"0"}')


@pytest.mark.parametrize(
    "record", [b'{"type":1,"arguments":[]}', b'{"type":6}', b'{"type":99}', b'{"type":2,"item":{}}']
)
def test_no_frame_goes_before_the_answer_to_the_handshake(record: bytes) -> None:
    """Any frame but a close raises ProtocolError where the handshake's answer is awaited."""
    with pytest.raises(ProtocolError, match="before it answered the handshake"):
        codec.decode_ack(record)


@pytest.mark.parametrize("record", [b"{}", b'{"protocol":"json"}', b'{"protocol":"json","version":"1"}'])
def test_a_handshake_names_protocol_and_version(record: bytes) -> None:
    """A client's first record that is not a handshake raises ProtocolError."""
    with pytest.raises(ProtocolError, match="does not parse"):
        codec.decode_handshake(record)


TEXTS = st.none() | st.text()
FIELDS = dict.fromkeys(("text", "author", "message_id", "content_origin", "message_type"), TEXTS)
SENT: st.SearchStrategy[frames.ServerFrame] = st.one_of(
    st.builds(
        frames.Update,
        arguments=st.lists(
            st.builds(frames.UpdateArguments, messages=st.lists(st.builds(frames.UpdateMessage, **FIELDS), max_size=2)),
            max_size=2,
        ),
    ),
    st.builds(
        frames.Final,
        st.builds(frames.FinalItem, messages=st.lists(st.builds(frames.WireMessage, **FIELDS), max_size=2)),
        st.text(),
    ),
    st.builds(frames.Completion, st.text(), TEXTS),
    st.builds(frames.Close, TEXTS, allow_reconnect=st.none() | st.booleans()),
    st.just(frames.Ping()),
)


@given(st.lists(SENT, max_size=3), st.data())
def test_any_frames_are_read_as_they_were_written(sent: list[frames.ServerFrame], data: st.DataObject) -> None:
    """Any texts come through encoding, cutting and decoding unchanged: the separator is escaped inside a record."""
    text = codec.encode(*sent)
    cut = data.draw(st.integers(0, len(text)))
    assert [codec.decode_server(record) for record in read([text[:cut], text[cut:]])] == sent


ABROAD = "Ночь тиха, и море спит. " * 30
SIGNS = st.sampled_from('Луна "\\/\n\u2028😀a')


@st.composite
def spellings(draw: st.DrawFn, value: str) -> str:
    """A JSON string that says this, in one of the ways in which that can be written."""
    way = draw(st.sampled_from(["escaped", "upper", "plain", "slashes"]))
    literal = json.dumps(value, ensure_ascii=way == "plain")
    if way == "upper":
        return re.sub(r"(?<!\\)((?:\\\\)*\\u)([0-9a-f]{4})", lambda found: found[1] + found[2].upper(), literal)
    return literal.replace("/", "\\/") if way == "slashes" else literal


@st.composite
def series(draw: st.DrawFn) -> list[bytes]:
    """Updates of one answer, each of which has its text in some places, spelled in some way."""
    text, records = ABROAD, []
    for _ in range(draw(st.integers(2, 6))):
        text = draw(st.sampled_from([text, text, text, text[:-1], ABROAD, "Кошки"])) + draw(st.text(SIGNS, max_size=5))
        literal = draw(spellings(text))
        fields = {"text": literal, "author": '"bot"', "adaptiveCards": f'[{{"body":[{{"text":{literal}}}]}}]'}
        for name in ("hiddenText", "spokenText", "messageId"):
            if not draw(st.integers(0, 7)):
                fields[name] = literal
        if not draw(st.integers(0, 7)):
            fields["suggestedResponses"] = f'[{{"text":{literal}}}]'
        names = draw(st.permutations(sorted(fields)))
        message = "{" + ", ".join(f'"{name}": {fields[name]}' for name in names) + "}"
        records.append(f'{{"type": 1, "target": "update", "arguments": [{{"messages": [{message}]}}]}}'.encode())
    return records


@given(series())
def test_the_same_frames_come_however_they_are_spelled(records: list[bytes]) -> None:
    """A decoder that has seen the text before gives what one gives that has seen nothing."""
    decoder = codec.ServerDecoder()
    for record in records:
        assert codec.encode(decoder.decode(record)) == codec.encode(codec.decode_server(record))


REPEATED: list[tuple[str, Callable[[str], str]]] = [
    *((name, str) for name in ("author", "messageId", "messageType", "hiddenText", "invocation", "spokenText")),
    ("suggestedResponses", lambda literal: f'[{{"text":{literal}}}]'),
    ("searchQueries", lambda literal: f"[{literal}]"),
    ("references", lambda literal: f'{{"a":{{"targetLink":{literal}}}}}'),
]


@pytest.mark.parametrize(("name", "part"), REPEATED)
@pytest.mark.parametrize("beside", [False, True])
def test_a_part_that_repeats_the_text_is_whole(name: str, part: Callable[[str], str], *, beside: bool) -> None:
    """What is decoded later, or is not the text, is never without its beginning, in the message and beside it."""
    decoder = codec.ServerDecoder()
    for end in ("", "!", "!!"):
        literal = json.dumps(ABROAD + end)
        more = f',"{name}":{part(literal)}'
        message = f'{{"author":"bot","text":{literal}{"" if beside else more}}}'
        holder = f'{{"messages":[{message}]{more if beside else ""}}}'
        record = f'{{"type":1,"target":"update","arguments":[{holder}]}}'.encode()
        assert codec.encode(decoder.decode(record)) == codec.encode(codec.decode_server(record))


@given(
    st.binary()
    | (JSON | st.sampled_from(RECORDS).flatmap(lambda record: mutations(json.loads(record)))).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_record_gives_a_frame_or_a_protocol_error(record: bytes) -> None:
    """Whatever a peer sends, the readers raise nothing but ProtocolError."""
    for decode in (
        codec.decode_server,
        codec.decode_client,
        codec.decode_ack,
        codec.decode_handshake,
    ):
        with contextlib.suppress(ProtocolError):
            decode(record)


# --- records out of bytes ---------------------------------------------------------------------------------------------

CHUNKS = st.lists(st.lists(st.sampled_from([b"a", b"b", SEPARATOR]), max_size=6).map(b"".join), max_size=8)


def read(chunks: list[bytes], max_bytes: int = 1000) -> list[bytes]:
    """The records of these chunks.

    Raises:
        ProtocolError: The reader has failed; the records before are lost.
    """
    reader = RecordReader(Limits(frame_bytes=max_bytes))
    for chunk in chunks:
        reader.receive(chunk)
    if reader.failure is not None:
        raise reader.failure
    return [bytes(record) for record in reader.records]


def singles(data: bytes) -> list[bytes]:
    """Each byte by itself."""
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("chunks", "records"),
    [
        ([], []),
        ([b"one\x1e"], [b"one"]),
        ([b"one\x1etwo\x1e"], [b"one", b"two"]),
        ([b"o", b"n", b"e", b"\x1e"], [b"one"]),
        ([b"one\x1etw", b"o\x1e"], [b"one", b"two"]),
        ([b"one"], []),
        ([b"one\x1etwo"], [b"one"]),
        ([b"\x1e\x1eone\x1e\x1e", b"\x1e"], [b"one"]),
        ([b"", b"one\x1e", b""], [b"one"]),
    ],
)
def test_a_record_ends_with_its_separator(chunks: list[bytes], records: list[bytes]) -> None:
    """A record is complete when its separator has come; empty ones are left out."""
    assert read(chunks) == records


@given(CHUNKS)
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    """The records follow from the bytes alone, not from the pieces in which they came."""
    whole = b"".join(chunks)
    assert read(chunks) == [record for record in whole.split(b"\x1e")[:-1] if record]
    assert read(chunks) == read([whole]) == read(singles(whole))


@given(CHUNKS, st.integers(1, 6))
def test_the_limit_does_not_depend_on_chunks(chunks: list[bytes], limit: int) -> None:
    """A record that is too long is refused, in whatever pieces it comes; others are not."""
    whole = b"".join(chunks)
    too_long = max(map(len, whole.split(b"\x1e"))) > limit
    for pieces in (chunks, [whole], singles(whole)):
        if too_long:
            with pytest.raises(ProtocolError, match=f"over {limit} bytes in one record"):
                read(pieces, limit)
        else:
            assert read(pieces, limit) == read([whole])


@pytest.mark.parametrize(
    "chunks", [[b"abcd"], [b"abc", b"d"], [b"abcd\x1e"], [b"abc", b"d\x1e"], [b"a\x1eabcd\x1ea\x1e"]]
)
def test_a_record_may_have_so_many_bytes(chunks: list[bytes]) -> None:
    """A record of the longest length passes; one byte more is refused before its end has come."""
    with pytest.raises(ProtocolError):
        read(chunks, 3)
    read(chunks, 4)


@pytest.mark.parametrize(
    "chunks", [[b"one\x1etwo\x1e" + b"x" * 9], [b"one\x1e", b"two\x1ex", b"x" * 8, b"\x1ethree\x1e"]]
)
def test_what_came_before_a_failure_is_read(chunks: list[bytes]) -> None:
    """The records before one that is too long, and nothing after it, in whatever pieces they come."""
    reader = RecordReader(Limits(frame_bytes=8))
    for chunk in chunks:
        reader.receive(chunk)
    assert (list(reader.records), type(reader.failure)) == ([b"one", b"two"], ProtocolError)


def test_a_message_holds_so_many_records() -> None:
    """A message full of tiny records is refused; empty ones count too."""
    assert len(read([b"{}\x1e" * MAX_RECORDS_A_MESSAGE])) == MAX_RECORDS_A_MESSAGE
    with pytest.raises(ProtocolError, match="over 10,000 records in one message"):
        read([b"\x1e" * (MAX_RECORDS_A_MESSAGE + 1)])


def test_a_record_in_thousands_of_pieces_is_whole() -> None:
    """Pieces are joined now and then, and nothing of them is lost."""
    pieces = [b"%d" % number for number in range(3000)]
    assert read([*pieces, b"\x1e"], 20_000) == [b"".join(pieces)]
