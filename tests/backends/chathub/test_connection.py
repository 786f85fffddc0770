"""The state table, from both ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import encode
from bing_llm.backends.chathub.connection import EOF, NEED_DATA, TRANSITIONS, Connection, Role, Sentinel, State
from bing_llm.errors import ProtocolError
from bing_llm.limits import Limits

CLIENT_FRAMES: list[frames.ClientFrame] = [
    frames.HANDSHAKE,
    frames.Chat([frames.ChatArguments()], "0"),
    frames.Invocation("stop", "0", [{}]),
]
SERVER_FRAMES: list[frames.ServerFrame] = [
    frames.HandshakeAck(),
    frames.Update(),
    frames.Final(frames.FinalItem(), "0"),
    frames.Completion("0"),
    frames.Close(),
]
STATELESS: list[frames.Ping | frames.UnknownFrame] = [frames.Ping(), frames.UnknownFrame({"type": 99})]
EVERY_FRAME = [*CLIENT_FRAMES, *SERVER_FRAMES, *STATELESS]

UNANSWERED = (State.HANDSHAKING, State.REQUESTED, State.STOPPED_EARLY)


def in_state(role: Role, state: State) -> Connection:
    """A connection in this state."""
    connection = Connection(role)
    connection.state = state
    return connection


def next_state(state: State, frame: object) -> State | None:
    """What the table says of a frame: the state after it, None if it may not come."""
    if isinstance(frame, (frames.Ping, frames.UnknownFrame)):
        return None if state is State.NEW else state
    return TRANSITIONS[state].get(type(frame))


def test_the_table_has_a_row_for_each_state() -> None:
    """Every state has its row, and leads only to states; a closed connection leads nowhere."""
    assert list(TRANSITIONS) == list(State)
    assert {after for row in TRANSITIONS.values() for after in row.values()} == set(State) - {State.NEW}
    assert not TRANSITIONS[State.CLOSED]


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("state", State)
def test_a_frame_is_sent_where_the_table_has_it(state: State, frame: frames.ServerFrame | frames.ClientFrame) -> None:
    """Each pair of state and frame is in the table, or sending it raises ProtocolError that names both."""
    connection = in_state(Role.CLIENT, state)
    after = next_state(state, frame)
    if after is None:
        with pytest.raises(ProtocolError, match=f"{type(frame).__name__} cannot be sent in state {state.name}"):
            connection.send(frame)
        assert connection.state is state
    else:
        assert connection.send(frame) == encode(frame)
        assert connection.state is after


@pytest.mark.parametrize("frame", [*SERVER_FRAMES[1:], *STATELESS], ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("state", [state for state in State if state not in UNANSWERED])
def test_a_client_receives_where_the_table_has_it(state: State, frame: frames.ServerFrame) -> None:
    """Each pair of state and server frame is in the table, or receiving it raises ProtocolError that names both."""
    connection = in_state(Role.CLIENT, state)
    connection.receive(encode(frame))
    after = next_state(state, frame)
    if after is None:
        with pytest.raises(ProtocolError, match=f"{type(frame).__name__} cannot be received in state {state.name}"):
            connection.next_frame()
        assert connection.state is state
    else:
        assert connection.next_frame() == frame
        assert connection.state is after


@pytest.mark.parametrize("frame", [*SERVER_FRAMES, *STATELESS], ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("state", UNANSWERED)
def test_before_the_handshake_is_answered_only_that_or_a_close_comes(state: State, frame: frames.ServerFrame) -> None:
    """A client that waits for the handshake's answer takes it, or a close; anything else raises ProtocolError."""
    connection = in_state(Role.CLIENT, state)
    connection.receive(encode(frame))
    if isinstance(frame, (frames.HandshakeAck, frames.Close)):
        assert connection.next_frame() == frame
        assert connection.state is next_state(state, frame)
    else:
        with pytest.raises(ProtocolError, match="before it answered the handshake"):
            connection.next_frame()


@pytest.mark.parametrize("frame", [*CLIENT_FRAMES[1:], *STATELESS], ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("state", [state for state in State if state is not State.NEW])
def test_a_server_receives_where_the_table_has_it(state: State, frame: frames.ClientFrame) -> None:
    """Each pair of state and client frame is in the table, or receiving it raises ProtocolError that names both."""
    connection = in_state(Role.SERVER, state)
    connection.receive(encode(frame))
    after = next_state(state, frame)
    if after is None:
        with pytest.raises(ProtocolError, match=f"{type(frame).__name__} cannot be received in state {state.name}"):
            connection.next_frame()
    else:
        assert connection.next_frame() == frame
        assert connection.state is after


def test_a_server_wants_the_handshake_first() -> None:
    """The first record of a client is its handshake; anything else raises ProtocolError."""
    connection = Connection(Role.SERVER)
    connection.receive(encode(frames.HANDSHAKE))
    assert connection.next_frame() == frames.HANDSHAKE
    assert connection.state is State.HANDSHAKING
    other = Connection(Role.SERVER)
    other.receive(encode(CLIENT_FRAMES[1]))
    with pytest.raises(ProtocolError, match="does not parse"):
        other.next_frame()


@pytest.mark.parametrize("state", UNANSWERED)
def test_a_refused_handshake_closes(state: State) -> None:
    """An answer to the handshake that holds an error closes the connection, at both ends."""
    refusal = frames.HandshakeAck("no such protocol")
    server, client = in_state(Role.SERVER, state), in_state(Role.CLIENT, state)
    client.receive(server.send(refusal))
    assert client.next_frame() == refusal
    assert client.state is server.state is State.CLOSED


def talk(client: Connection, server: Connection) -> None:
    """One whole turn between the two ends, each frame checked where it arrives."""
    for sender, receiver, outgoing in (
        (client, server, [*CLIENT_FRAMES[:2], frames.Ping()]),
        (server, client, [frames.HandshakeAck()]),
        (client, server, CLIENT_FRAMES[2:]),
        (server, client, [*STATELESS, *SERVER_FRAMES[1:4]]),
        (client, server, CLIENT_FRAMES[1:2]),
        (server, client, [SERVER_FRAMES[3], SERVER_FRAMES[4]]),
    ):
        receiver.receive(sender.send(*outgoing))
        assert [receiver.next_frame() for _ in outgoing] == outgoing
        assert receiver.next_frame() is NEED_DATA
        assert receiver.state is sender.state


def test_both_ends_agree() -> None:
    """After each exchange the client and the server are in the same state."""
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    talk(client, server)
    assert client.state is State.CLOSED


def test_the_record_of_the_last_frame_is_kept() -> None:
    """`record` has the bytes of the frame that came last."""
    connection = in_state(Role.CLIENT, State.ANSWERING)
    connection.receive(b'{"type":6}\x1e{"type":99,"a":1}\x1e')
    connection.next_frame()
    assert connection.record == b'{"type":6}'
    connection.next_frame()
    assert connection.record == b'{"type":99,"a":1}'


def test_pings_do_not_count() -> None:
    """`frames_received` counts every frame but pings, which show a live socket and no more."""
    connection = in_state(Role.CLIENT, State.ANSWERING)
    pings = [frames.Ping()] * 5
    connection.receive(encode(*pings, frames.Update(), *pings, frames.UnknownFrame({"type": 99})))
    while connection.next_frame() is not NEED_DATA:
        pass
    assert connection.frames_received == 2


def test_the_end_comes_after_the_last_frame() -> None:
    """At the end of the socket whole frames still come out, a torn one does not, and then only EOF."""
    connection = in_state(Role.CLIENT, State.ANSWERING)
    connection.receive(encode(frames.Ping()) + b'{"type":')
    connection.receive_eof()
    seen = [(connection.next_frame(), connection.state) for _ in range(3)]
    assert seen == [(frames.Ping(), State.ANSWERING), (EOF, State.CLOSED), (EOF, State.CLOSED)]


def test_a_record_may_not_be_too_long() -> None:
    """The longest record that is accepted can be set."""
    connection = Connection(Role.SERVER, Limits(frame_bytes=10))
    connection.receive(b"x" * 11)
    with pytest.raises(ProtocolError, match="over 10 bytes"):
        connection.next_frame()


@pytest.mark.parametrize("role", Role)
@given(
    st.lists(
        st.sampled_from([*map(encode, EVERY_FRAME), b'{"type":', b"\x1e", b"nope\x1e"]) | st.binary(max_size=20),
        max_size=8,
    )
)
def test_anything_gives_frames_or_a_protocol_error(role: Role, messages: list[bytes]) -> None:
    """Whatever comes, at either end, the only exception is ProtocolError."""
    connection = in_state(role, State.NEW if role is Role.SERVER else State.HANDSHAKING)
    for message in messages:
        connection.receive(message)
    connection.receive_eof()
    assert pull(connection.next_frame) is EOF


def pull(next_frame: Callable[[], object]) -> object:
    """The first result that is not a frame; records that cannot be read are passed over."""
    while True:
        try:
            frame = next_frame()
        except ProtocolError:
            continue
        if isinstance(frame, Sentinel):
            return frame
