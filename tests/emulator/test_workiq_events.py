"""Server-sent events of Work IQ."""

from __future__ import annotations

import re

from bing_llm.emulator.brains.sse import EventReader
from bing_llm.emulator.workiq_events import EventWriter


def test_an_event_is_data_and_id() -> None:
    """A line with the data, one with the id, and an empty one."""
    assert EventWriter().event(b'{"a":1}') == b'data: {"a":1}\nid:137\n\n'


def test_a_stream_has_what_clients_must_take() -> None:
    """Both kinds of line ends, comments, and ids that grow with gaps; a reader finds the data all the same."""
    writer = EventWriter()
    written = b"".join(writer.event(b"%d" % number) for number in range(9))
    assert EventReader().feed(written) == [str(number) for number in range(9)]
    ids = [int(found) for found in re.findall(rb"id:(\d+)", written)]
    assert ids == sorted(set(ids))
    assert ids[-1] - ids[0] > len(ids)
    assert b"\r\n\r\n" in written
    assert b"\n\n" in written
    assert written.count(b": keep-alive") == 3
