"""One call of a model over a client: its items, its second turn, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from typing import Any

import msgspec
import pytest

from bing_llm import events as ev
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completed, Completion, Item
from bing_llm.errors import BingError, ConfigurationError, ConnectionLost, InvalidRequest, PromptTooLong, ServiceError
from bing_llm.messages import Message
from bing_llm.tools.calls import Call, InvalidCall, JsonObject, SchemaCheck, Tool, Toolbox
from bing_llm.tools.prompt import DEFAULT_PROMPT, FencedJson, JsonFormat
from tests.fakes import FakeBackend, Line, Pause, answer, client_of

render_call = DEFAULT_PROMPT.call

HELLO = (Message("user", "Hello"),)
ADD, MUL = Call("add", {"a": 1}), Call("mul", {"a": 2})
BOX = Toolbox(tools=(Tool("add"), Tool("mul")))
MUST = Toolbox(tools=BOX.tools, required=True)
SEARCH = ev.SearchStarted("weather")
LOGGER = "bing_llm.completion.stream"


def completion(backend: FakeBackend, *, join: bool = False, **request: Any) -> Completion:
    """A completion of one greeting."""
    return Completion(client_of(backend, attempts=3), Request(messages=HELLO, **request), join=join)


async def items_of(made: Completion) -> tuple[list[Item], Completed]:
    """All items but the last, and that."""
    *items, end = [item async for item in made]
    assert isinstance(end, Completed)
    assert not any(isinstance(item, Completed) for item in items)
    return items, end


async def whole_of(made: Completion) -> tuple[list[Item], Completed]:
    """Like `items_of`, but takes the whole answer at once."""
    *items, end = await made.whole()
    assert isinstance(end, Completed)
    return items, end


class Observer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def began(self) -> None:
        """A turn began."""
        self.seen.append("began")

    def ended(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """It ended."""
        self.seen.append(type(error) if error else reply.text if reply else None)


async def test_an_observer_sees_each_turn() -> None:
    """With its reply, its error, or neither if it was left; the one that asks once more is a turn of its own."""
    seen = Observer()
    backend = FakeBackend(answer("None."), answer(render_call(ADD)))
    made = Completion(client_of(backend), Request(messages=HELLO, toolbox=MUST), observer=seen)
    await made.whole()
    assert (seen.seen, made.turns) == (["began", "None.", "began", render_call(ADD)], 2)
    failed, left = Observer(), Observer()
    with pytest.raises(InvalidRequest):
        await Completion(
            client_of(FakeBackend(InvalidRequest("Bad."))), Request(messages=HELLO), observer=failed
        ).whole()
    assert failed.seen == ["began", InvalidRequest]
    Completion(client_of(FakeBackend()), Request(messages=HELLO), observer=left).close()
    assert left.seen == ["began", None]


# --- items ------------------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_before_the_first_item_is_asked_for() -> None:
    """A completion that is made and dropped costs nothing."""
    backend = FakeBackend(answer("Hi"))
    completion(backend).close()
    assert backend.calls == []


async def test_text_comes_as_it_comes_and_the_end_last() -> None:
    """With the service's own reply, what was sent, and no other final text."""
    backend = FakeBackend(answer("one", " two", conversation_id="c"))
    items, end = await items_of(completion(backend))
    assert items == ["one", " two"]
    assert (end.finish_reason, end.final, end.reply.conversation_id) == ("stop", None, "c")
    assert [(prompt.text, prompt.context) for prompt in end.prompts] == [("Hello", None)]
    assert backend.open_channels == 0


async def test_text_that_waits_is_joined() -> None:
    """What the service has sent already is one piece; it is never waited for."""
    pause = Pause()
    made = completion(
        FakeBackend([ev.TextDelta("one"), ev.TextDelta(" two"), pause, *answer(" three", " four")]), join=True
    )
    assert await anext(made) == "one two"
    pause.go.set()
    assert await anext(made) == " three four"
    assert isinstance(await anext(made), Completed)


@pytest.mark.parametrize("request_", [{}, {"stop": ("x",)}, {"toolbox": BOX}])
async def test_text_that_waits_is_taken_in_one_step(request_: Any) -> None:
    """Also where each delta is a piece of its own: the others are ready at once, until another thread closes it."""
    made = completion(FakeBackend(answer(" one", " two", " three")), **request_)
    assert made.pop_ready() is None
    assert await anext(made) == " one"
    assert made.pop_ready() == " two"
    made.close()
    assert made.pop_ready() is None


async def test_nothing_is_taken_after_the_end_that_a_stop_sequence_sets() -> None:
    """The service is stopped at once, even if more text waits."""
    backend = FakeBackend(answer("one", " END", " two", " three"))
    items, end = await items_of(completion(backend, stop=("END",)))
    assert "".join(map(str, items)).strip() == "one"
    assert end.finish_reason == "stop"
    assert (backend.channels[0].stops, backend.channels[0].pulled) == (1, 3)


async def test_what_the_service_does_comes_in_its_place() -> None:
    """Searches, reasoning and pictures between the texts."""
    results, picture = ev.SearchResults(()), ev.ImageCreated("https://example.com/p.png")
    lines: list[Line] = [ev.Progress("Hm."), SEARCH, results, ev.TextDelta("one"), picture, *answer(" two")]
    for join in (False, True):
        items, _ = await items_of(completion(FakeBackend(lines), join=join))
        assert items == [ev.Progress("Hm."), SEARCH, results, "one", picture, " two"]


async def test_what_comes_before_a_restart_is_forgotten() -> None:
    """It waits for the first text, since until then the turn may be opened again."""
    backend = FakeBackend([SEARCH, ServiceError("No.")], [ev.SearchStarted("kept"), *answer("one")])
    items, _ = await items_of(completion(backend))
    assert items == [ev.SearchStarted("kept"), "one"]


async def test_what_the_service_does_is_not_lost_without_text() -> None:
    """It comes before the end."""
    items, _ = await items_of(completion(FakeBackend([SEARCH, *answer()])))
    assert items == [SEARCH]


async def test_events_without_a_place_are_in_the_reply() -> None:
    """Suggestions, quota, unknown ones."""
    lines: list[Line] = [
        ev.Quota(1, 30),
        ev.Suggestions(("And?",)),
        ev.Unknown({}),
        *answer("one", suggestions=("And?",)),
    ]
    items, end = await items_of(completion(FakeBackend(lines)))
    assert items == ["one"]
    assert end.reply.suggestions == ("And?",)


async def test_after_its_end_it_stays_ended() -> None:
    """However often one asks."""
    made = completion(FakeBackend(answer("one")))
    await items_of(made)
    assert [item async for item in made] == []


# --- rewritten text ---------------------------------------------------------------------------------------------------

REWRITTEN: list[Line] = [
    ev.TextDelta("Hello"),
    ev.TextRevised("Help!"),
    ev.TurnCompleted(ev.Reply(text="Help!", revised=True)),
]


async def test_a_stream_keeps_what_it_gave_and_tells_the_final_text() -> None:
    """What was given cannot be recalled."""
    items, end = await items_of(completion(FakeBackend(REWRITTEN)))
    assert items == ["Hello"]
    assert end.final == ("Help!",)


async def test_the_whole_has_the_final_text() -> None:
    """With what the service did besides, and without text that would have to be given."""
    items, end = await whole_of(completion(FakeBackend([SEARCH, *REWRITTEN])))
    assert items == [SEARCH, "Help!"]
    assert end.final is None


async def test_the_final_text_is_shaped_too() -> None:
    """Cut, and read for calls."""
    final = f"Help END {render_call(ADD)}"
    lines: list[Line] = [*REWRITTEN[:1], ev.TextRevised(final), ev.TurnCompleted(ev.Reply(text=final, revised=True))]
    items, end = await whole_of(completion(FakeBackend(lines), stop=("END",)))
    assert items == ["Help "]
    assert end.finish_reason == "stop"
    items, end = await whole_of(completion(FakeBackend(lines), toolbox=BOX))
    assert items == ["Help END", ADD]
    assert end.finish_reason == "tool_calls"
    _, end = await items_of(completion(FakeBackend(lines), toolbox=BOX))
    assert end.final == ("Help END", ADD)


@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_a_required_call_may_come_by_a_rewrite(read: Any) -> None:
    """Nothing was given before it, so nothing needs to be recalled, and the service is not asked again."""
    final = render_call(ADD)
    lines: list[Line] = [
        ev.TextDelta("I would"),
        ev.TextRevised(final),
        ev.TurnCompleted(ev.Reply(text=final, revised=True)),
    ]
    backend = FakeBackend(lines)
    items, end = await read(completion(backend, toolbox=MUST))
    assert items == [ADD]
    assert (end.finish_reason, end.final) == ("tool_calls", None)
    assert len(backend.prompts) == 1


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_the_service_is_stopped_where_it_is_enough() -> None:
    """After a stop sequence; the reply is what had come, and the socket is closed."""
    backend = FakeBackend(answer("One. ", "END", " Two.", " Three."))
    items, end = await items_of(completion(backend, stop=("END",)))
    assert items == ["One. "]
    assert end.finish_reason == "stop"
    (channel,) = backend.channels
    assert (channel.stops, channel.closed) == (1, True)


async def test_a_longest_answer_says_that_it_was_cut() -> None:
    """By its finish reason."""
    items, end = await items_of(completion(FakeBackend(answer("One two")), max_characters=5))
    assert (items, end.finish_reason) == (["One t"], "length")


@pytest.mark.parametrize("fails", ["stop", "turn"])
async def test_an_answer_that_is_enough_survives_a_broken_end(
    fails: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All that is wanted had come; the service's last word is not worth an error."""
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    backend = FakeBackend([ev.TextDelta("One. END"), Pause() if fails == "stop" else ConnectionLost("It ended.")])
    made = completion(backend, stop=("END",))
    lost = ConnectionLost("The stop was not sent.")

    async def stop() -> None:
        channel = backend.channels[0]
        if fails == "stop":
            channel._lines.clear()
            raise lost

    monkeypatch.setattr("tests.fakes.FakeChannel.stop", lambda _channel: stop())
    items, end = await items_of(made)
    assert items == ["One. "]
    assert end.finish_reason == "stop"
    assert ("The stop was not sent." in caplog.text) == (fails == "stop")


async def test_a_failure_before_that_is_raised() -> None:
    """With what had come."""
    made = completion(FakeBackend([ev.TextDelta("One"), ConnectionLost("It ended.", partial_text="One")]))
    assert await anext(made) == "One"
    with pytest.raises(ConnectionLost) as caught:
        await anext(made)
    assert caught.value.partial_text == "One"


async def test_a_withdrawn_answer_says_so() -> None:
    """The finish reason is the service's."""
    lines: list[Line] = [ev.TextDelta("One"), *answer(revoked=True, finish_reason="content_filter")]
    items, end = await items_of(completion(FakeBackend(lines)))
    assert (items, end.finish_reason) == (["One"], "content_filter")


async def test_calls_are_the_reason_of_the_end() -> None:
    """One is enough, also one that stays invalid: its reason stands in the text."""
    items, end = await items_of(completion(FakeBackend(answer("Well.\n", render_call(ADD))), toolbox=BOX))
    assert (items, end.finish_reason) == (["Well.", ADD], "tool_calls")
    broken = answer('<tool_call>{"name": "add"')
    items, end = await items_of(completion(FakeBackend(broken, broken), toolbox=BOX))
    said, call = items
    assert isinstance(call, InvalidCall)
    assert said == f"[A tool call of the model cannot be used: {call.reason}]"
    assert end.finish_reason == "tool_calls"
    _, end = await items_of(completion(FakeBackend(broken), toolbox=BOX, max_characters=20))
    assert end.finish_reason == "length"


async def test_a_withdrawn_answer_is_not_one_of_calls() -> None:
    """The calls had been given; the reason of the end says that the service took them back."""
    lines: list[Line] = [*answer(render_call(ADD))[:-1], ev.TextRevoked("No.")]
    reply = ev.Reply(text=render_call(ADD), revoked=True, finish_reason="content_filter")
    items, end = await items_of(completion(FakeBackend([*lines, ev.TurnCompleted(reply)]), toolbox=BOX))
    assert (items, end.finish_reason) == ([ADD], "content_filter")


@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_a_broken_call_is_asked_for_once_more(read: Any) -> None:
    """Where none was required too: what was said before it stays, since it was given."""
    backend = FakeBackend(
        answer("Let me see. ", '<tool_call>{"name": "add", "arguments": {a}}</tool_call>'), answer(render_call(ADD))
    )
    items, end = await read(completion(backend, toolbox=BOX))
    assert (items, end.finish_reason) == (["Let me see.", ADD], "tool_calls")
    assert "or answer without one" in backend.prompts[1].text
    assert len(end.prompts) == 2


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"stop": ("",)}, "A stop sequence is empty"),
        ({"max_characters": 0}, "must be at least 1"),
        ({"messages": ()}, "There are no messages"),
        ({"messages": (Message("user", "x" * 5000),)}, "too long"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused_at_once(request_: dict[str, Any], match: str) -> None:
    """Before anything is sent, and when it is made."""
    backend = FakeBackend(answer("Hi"), prompt_limit=10)
    with pytest.raises((InvalidRequest, PromptTooLong), match=match):
        Completion(client_of(backend), Request(**{"messages": HELLO, **request_}))
    assert backend.calls == []


# --- once more --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_a_required_call_is_asked_for_once_more(read: Any, caplog: pytest.LogCaptureFixture) -> None:
    """In the conversation that knows the first answer; of that nothing is given."""
    caplog.set_level(logging.INFO, logger=LOGGER)
    backend = FakeBackend([SEARCH, *answer("I would rather not.")], answer(render_call(ADD)))
    items, end = await read(completion(backend, toolbox=MUST))
    assert items == [ADD]
    assert end.finish_reason == "tool_calls"
    first, second = backend.prompts
    assert second.text.startswith("Your last reply cannot be used")
    said = DEFAULT_PROMPT.instructions(MUST, None)
    assert said.prefix in first.text
    assert said.prefix not in second.text  # it is known there; that a call must come is said each time
    assert second.text.endswith(said.reminder)
    assert second.context is None
    assert backend.calls == ["create", "turn 0 of conversation-1", "turn 1 of conversation-1"]
    assert "The model is asked once more" in caplog.text
    assert [prompt.text for prompt in end.prompts][1:] == [second.text]
    assert backend.open_channels == 0


NEARLY = {
    "prose around it": (f"Sure!\n\n{json.dumps({'name': 'add', 'arguments': {'a': 1}})}\n\nOne moment.", ["Sure!"]),
    "a result that was made up": ('<tool_result name="add">\n3\n</tool_result>', []),
    "code": ("add(a=1)", []),
    "cut off": ('{"name": "add", "arguments": {"a": 1', []),
}


@pytest.mark.parametrize(("reply", "given"), NEARLY.values(), ids=NEARLY)
@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_what_is_nearly_a_call_is_asked_for_once_more(reply: str, given: list[str], read: Any) -> None:
    """It is never given as the answer, and the service is sent what is wrong with it."""
    backend = FakeBackend(answer(reply), answer(render_call(ADD)))
    items, end = await read(completion(backend, toolbox=Toolbox(tools=MUST.tools)))
    assert items == [*given, ADD]
    assert end.finish_reason == "tool_calls"
    assert "Your last reply cannot be used: " in backend.prompts[1].text


WEIGH = Tool("weigh", parameters={"type": "object", "properties": {"kg": {"type": "integer"}}, "required": ["kg"]})
HEAVY, LIGHT = Call("weigh", {"kg": "seven"}), Call("weigh", {"kg": 7})


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_arguments_that_do_not_fit_are_asked_for_once_more(read: Any, *, strict: bool) -> None:
    """Whether or not they must fit; a call that fits comes in place of the first one."""
    tool = msgspec.structs.replace(WEIGH, check=SchemaCheck(WEIGH.parameters), strict=strict)
    backend = FakeBackend(answer(render_call(HEAVY)), answer(render_call(LIGHT)))
    items, end = await read(completion(backend, toolbox=Toolbox(tools=(tool,))))
    assert items == [LIGHT]
    assert end.finish_reason == "tool_calls"
    assert "arguments['kg'] does not fit the schema: 'seven' is not of type 'integer'." in backend.prompts[1].text


@pytest.mark.parametrize("box", [{}, {"required": True}, {"only": "weigh"}], ids=["auto", "required", "only"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_what_still_does_not_fit_is_given_unless_it_must_fit(read: Any, box: Any, *, strict: bool) -> None:
    """A tool may take "5" for 5; with `strict` the call is invalid."""
    tool = msgspec.structs.replace(WEIGH, check=SchemaCheck(WEIGH.parameters), strict=strict)
    backend = FakeBackend(answer(render_call(HEAVY)), answer(render_call(HEAVY)))
    items, end = await read(completion(backend, toolbox=Toolbox(tools=(tool,), **box)))
    assert [type(item) for item in items] == ([str, InvalidCall] if strict else [Call])
    assert (items == [HEAVY]) is not strict
    assert end.finish_reason == "tool_calls"


async def test_without_going_on_it_is_asked_for_in_a_turn_that_is_sent_the_first_answer() -> None:
    """With the tools, since the conversation is a new one."""
    backend = FakeBackend(answer("I would rather not."), answer(render_call(ADD)))
    client = client_of(backend, continue_conversations=False)
    await items_of(Completion(client, Request(messages=HELLO, toolbox=MUST)))
    first, second = backend.prompts
    said = DEFAULT_PROMPT.instructions(MUST, None)
    assert first.text == f"{said.prefix}\n\nHello\n\n{said.reminder}"
    assert second.text.startswith(f"{said.prefix}\n\nYour last reply cannot be used: ")
    assert second.text.endswith(said.reminder)
    assert "I would rather not." in (second.context or "")
    assert backend.calls[2:] == ["create", "turn 0 of conversation-2"]


@pytest.mark.parametrize("read", [items_of, whole_of])
async def test_of_a_rewritten_answer_without_its_call_nothing_is_given(read: Any) -> None:
    """The first answer was held back, and is dropped when a call is asked for once more."""
    no: list[Line] = [
        ev.TextDelta("No"),
        ev.TextRevised("I would rather not."),
        ev.TurnCompleted(ev.Reply(text="I would rather not.", revised=True)),
    ]
    items, end = await read(completion(FakeBackend(no, answer(render_call(ADD))), toolbox=MUST))
    assert (items, end.finish_reason) == ([ADD], "tool_calls")
    items, end = await read(completion(FakeBackend(no, no), toolbox=MUST))
    assert (items, end.finish_reason) == (["I would rather not."], "stop")


async def test_a_wording_that_asks_once_more_with_no_text_is_refused() -> None:
    """Nothing is sent then."""

    class Wrong(FencedJson):
        def repair_json(self, problem: str) -> str:  # noqa: ARG002
            return None  # type: ignore[return-value]  # the test's point

    backend = FakeBackend(answer("No."))
    with pytest.raises(ConfigurationError, match=r"Wrong\.repair_json\(\) is a NoneType"):
        await items_of(completion(backend, json_format=JsonFormat(), tool_prompt=Wrong()))
    assert len(backend.prompts) == 1


async def test_json_is_asked_for_once_more() -> None:
    """Where the answer was none."""
    backend = FakeBackend(answer("One and two."), answer('{"a": 1}'))
    items, _ = await items_of(completion(backend, json_format=JsonFormat()))
    assert json.loads("".join(map(str, items))) == {"a": 1}
    assert "JSON" in backend.prompts[1].text.splitlines()[0]


@pytest.mark.parametrize("read", [items_of, whole_of])
@pytest.mark.parametrize("request_", [{"toolbox": MUST}, {"json_format": JsonFormat()}])
async def test_the_second_answer_is_given_as_it_is(
    read: Any, request_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """There is no third turn, and the log says what is missing."""
    backend = FakeBackend(answer("No."), answer("No!"))
    items, end = await read(completion(backend, **request_))
    assert items == ["No!"]
    assert end.finish_reason == "stop"
    assert len(backend.prompts) == 2
    assert "The model did not answer in the form that was asked for" in caplog.text


@pytest.mark.parametrize("more", [{"finish_reason": "content_filter", "revoked": True}, {"finish_reason": "length"}])
async def test_what_the_service_ended_is_not_asked_for_again(more: dict[str, Any]) -> None:
    """A withdrawn answer would be withdrawn again."""
    backend = FakeBackend(answer("I would", **more))
    items, end = await items_of(completion(backend, toolbox=MUST))
    assert (items, end.finish_reason) == (["I would"], more["finish_reason"])


def checked(schema: JsonObject) -> JsonFormat:
    """A format whose answers must fit the schema."""
    return JsonFormat(schema, SchemaCheck(schema, "the answer"))


NUMBER = checked({"properties": {"a": {"type": "integer"}}})


async def test_json_that_does_not_pass_its_check_is_asked_for_once_more() -> None:
    """With what is wrong. What was given cannot be recalled, so the second answer is the final text of the stream."""
    backend = FakeBackend(answer('{"a": ', '"x"}'), answer('{"a": 1}'))
    items, end = await items_of(completion(backend, json_format=NUMBER))
    assert "".join(map(str, items)) == '{"a": "x"}'
    assert end.final == ('{"a": 1}',)
    assert "the answer['a'] does not fit the schema: 'x' is not of type 'integer'." in backend.prompts[1].text
    items, end = await whole_of(completion(FakeBackend(answer('{"a": "x"}'), answer('{"a": 1}')), json_format=NUMBER))
    assert (items, end.final) == (['{"a": 1}'], None)


async def test_a_second_text_is_on_a_line_of_its_own() -> None:
    """Where the first one was given, before a call that could not be read."""
    broken = answer('Well.\n<tool_call>{"name": "add"')
    items, _ = await items_of(completion(FakeBackend(broken, answer("It is 3.")), toolbox=BOX))
    assert "".join(map(str, items)) == "Well.\nIt is 3."
    items, _ = await items_of(completion(FakeBackend(broken, answer(render_call(ADD))), toolbox=BOX))
    assert items == ["Well.", ADD]


async def test_json_that_ends_too_early_is_asked_for_once_more() -> None:
    """Though its beginning was given."""
    backend = FakeBackend(answer('{"a": 1'), answer('{"a": 1}'))
    items, _ = await whole_of(completion(backend, json_format=NUMBER))
    assert items == ['{"a": 1}']
    items, end = await whole_of(completion(FakeBackend(answer('{"a'), answer("No.")), json_format=NUMBER))
    assert items == ["No."]
    assert len(end.prompts) == 2


async def test_the_final_text_of_a_rewritten_answer_is_checked() -> None:
    """Not the text before, which was given."""
    rewritten: list[Line] = [
        ev.TextDelta('{"a": "x"'),
        ev.TextRevised('{"a": 1}'),
        ev.TurnCompleted(ev.Reply(text='{"a": 1}', revised=True)),
    ]
    items, end = await items_of(completion(FakeBackend(rewritten), json_format=NUMBER))
    assert (items, end.final) == (['{"a": "x"'], ('{"a": 1}',))
    wrong = [ev.TextDelta('{"b"'), *rewritten[:1], ev.TurnCompleted(ev.Reply(text='{"a": "y"}', revised=True))]
    backend = FakeBackend(wrong, answer('{"a": 1}'))
    _, end = await items_of(completion(backend, json_format=NUMBER))
    assert end.final == ('{"a": 1}',)
    assert "'y' is not of type 'integer'" in backend.prompts[1].text


async def test_what_was_cut_is_not_asked_for_again() -> None:
    """The limit would cut it again."""
    backend = FakeBackend(answer("I would rather not."))
    items, end = await items_of(completion(backend, toolbox=MUST, max_characters=7))
    assert (items, end.finish_reason) == (["I would"], "length")


async def test_an_optional_call_is_not_asked_for_again() -> None:
    """Text is an answer."""
    backend = FakeBackend(answer("No."))
    items, _ = await items_of(completion(backend, toolbox=BOX))
    assert items == ["No."]


async def test_pictures_go_along_with_the_second_turn() -> None:
    """It is about the same message."""
    backend = FakeBackend(answer("No."), answer(render_call(ADD)))
    await items_of(completion(backend, toolbox=MUST, images=("https://example.com/a.png",)))
    assert [len(prompt.images) for prompt in backend.prompts] == [1, 1]


# --- left early -------------------------------------------------------------------------------------------------------


async def test_leaving_closes_the_socket_at_once() -> None:
    """By `close` or `aclose`, twice too; what was left is not given any more."""
    for leave in (Completion.close, Completion.aclose):
        backend = FakeBackend(answer("one", " two"))
        made = completion(backend)
        assert await anext(made) == "one"
        for _ in range(2):
            done = leave(made)
            if done is not None:
                await done
        assert backend.open_channels == 0
        assert [item async for item in made] == []


async def test_being_dropped_closes_the_socket() -> None:
    """Without the collector."""
    gc.disable()
    try:
        backend = FakeBackend(answer("one", " two"))
        made = completion(backend)
        assert await anext(made) == "one"
        del made
        await asyncio.sleep(0)
        assert backend.open_channels == 0
    finally:
        gc.enable()


async def test_being_cancelled_closes_the_socket() -> None:
    """In the first turn and in the second."""
    pause = Pause()
    backend = FakeBackend(answer("No."), [pause, *answer(render_call(ADD))])
    task = asyncio.create_task(completion(backend, toolbox=MUST).whole())
    await asyncio.wait_for(pause.reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(backend.channels) == 2
    assert backend.open_channels == 0
