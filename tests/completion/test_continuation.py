"""Which live conversation a history extends, and the turn that goes on there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.client import BingClient
from bing_llm.completion.continuation import HistoryTurn
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completed, Completion
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import (
    BingError,
    ConnectionLost,
    ContentFiltered,
    ConversationBusy,
    ConversationEnded,
    InvalidRequest,
    PromptTooLong,
    ServiceError,
    SessionExpired,
    TurnLimitReached,
    Unauthorized,
    UploadFailed,
)
from bing_llm.messages import Message
from bing_llm.tools.calls import Call, Tool, Toolbox
from bing_llm.tools.prompt import DEFAULT_PROMPT, FencedJson, Instructions, JsonFormat, render_result
from bing_llm.turn import TurnStream
from tests.fakes import FakeBackend, Handle, Line, Pause, Time, Turn, answer, client_of

render_call = DEFAULT_PROMPT.call

HANDLE = Handle("c")
ADD = Call("add", {"a": 1})
BOX = Toolbox(tools=(Tool("add", "Adds."),))
ONE_CALL = Toolbox(tools=BOX.tools, parallel=False)


def user(text: str) -> Message:
    """What a user says."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """What was answered."""
    return Message("assistant", text)


A, B = user("A?"), user("B?")
SYSTEM = Message("system", "Be kind.")
RESULT = Message("tool", render_result("add", "2"))


async def say(client: BingClient, *messages: Message, **request: Any) -> Completed:
    """One answer to a history."""
    *_, end = await Completion(client, Request(messages=messages, **request)).whole()
    assert isinstance(end, Completed)
    return end


async def second_turn(
    backend: FakeBackend,
    first: Sequence[Message] = (A,),
    second: Sequence[Message] = (A, assistant("a"), B),
    **request: Any,
) -> list[str]:
    """What is asked of the service for a history, and for another after it."""
    client = client_of(backend)
    await say(client, *first, **request)
    await say(client, *second, **request)
    return backend.calls


WENT_ON = ["create", "turn 0 of conversation-1", "turn 1 of conversation-1"]
ANEW = ["create", "turn 0 of conversation-1", "create", "turn 0 of conversation-2"]


# --- what goes on -----------------------------------------------------------------------------------------------------


async def test_a_history_goes_on_in_its_conversation() -> None:
    """Only what is new is sent, and the turn says what was."""
    backend = FakeBackend(answer("a"), answer("b"), answer("c"))
    client = client_of(backend)
    await say(client, SYSTEM, A)
    await say(client, SYSTEM, A, assistant("a"), B)
    end = await say(client, SYSTEM, A, assistant("a"), B, assistant("b"), user("C?"))
    assert backend.calls == [*WENT_ON, "turn 2 of conversation-1"]
    sent = [(prompt.text, prompt.context) for prompt in backend.prompts]
    assert sent[1:] == [("B?", None), ("C?", None)]
    assert [(prompt.text, prompt.context) for prompt in end.prompts] == sent[2:]


@pytest.mark.parametrize("shown", ["a b", " a b\n", "a\nb", "Ada: a b"], ids=["same", "spaced", "lines", "named"])
async def test_an_answer_is_known_however_it_is_shown(shown: str) -> None:
    """Adapters move whitespace, and some put a name before the text."""
    assert await second_turn(FakeBackend(answer("a ", "b"), answer("c")), second=(A, assistant(shown), B)) == WENT_ON


async def test_a_name_ends_at_its_first_colon() -> None:
    """The answer may have colons of its own."""
    history = (A, assistant("Ada: The sum: 5"), B)
    assert await second_turn(FakeBackend(answer("The sum: 5"), answer("c")), second=history) == WENT_ON


@pytest.mark.parametrize("box", [BOX, ONE_CALL], ids=["calls", "one call"])
async def test_results_of_tools_go_on_too(box: Toolbox) -> None:
    """The tools were sent already, and so was how to call them."""
    backend = FakeBackend(answer("Let me see. ", render_call(ADD)), answer("2"))
    history = (A, assistant(f"Let me see.\n{render_call(ADD)}"), RESULT)
    assert await second_turn(backend, second=history, toolbox=box) == WENT_ON
    first, second = backend.prompts
    said = FencedJson().instructions(box, None)
    assert first.text == f"{said.prefix}\n\n{A.content}\n\n{said.reminder}"
    assert second.text == f"{RESULT.content}\n\n{said.after_results}".strip()
    assert second.context is None


async def test_a_model_that_repeats_its_call_is_told() -> None:
    """Also where only the new results are sent."""
    backend = FakeBackend(answer(render_call(ADD)), answer(render_call(ADD)), answer("2"))
    client, history = client_of(backend), [A]
    for _ in range(2):
        await say(client, *history, toolbox=BOX)
        history += [assistant(render_call(ADD)), RESULT]
    await say(client, *history, toolbox=BOX)
    said = FencedJson().instructions(BOX, None)
    assert backend.calls[1:] == [f"turn {number} of conversation-1" for number in range(3)]
    assert backend.prompts[2].text == f"{RESULT.content}\n\n{said.after_repeat}"


async def test_json_goes_on_too() -> None:
    """The schema was sent already."""
    form = JsonFormat({"type": "object", "properties": {"a": {"type": "integer"}}})
    backend = FakeBackend(answer('Here: {"a": 1}'), answer('{"a": 2}'))
    assert await second_turn(backend, second=(A, assistant('{"a": 1}'), B), json_format=form) == WENT_ON
    assert "integer" not in backend.prompts[1].text


async def test_new_words_of_the_system_go_along() -> None:
    """A system message between the answer and the question is sent along with the question."""
    backend = FakeBackend(answer("a"), answer("b"))
    assert await second_turn(backend, second=(A, assistant("a"), SYSTEM, B)) == WENT_ON
    assert (backend.prompts[1].text, backend.prompts[1].context) == ("B?", "[system](#message)\nBe kind.\n\n")


async def test_a_service_that_forgets_the_context_is_sent_it_again() -> None:
    """The words of the system, what was said before the conversation, and what came between; never the turns in it."""
    backend = FakeBackend(answer("b"), answer("c"), answer("d"))
    backend.keeps_context = False
    client = client_of(backend)
    history = [SYSTEM, A, assistant("a"), B]
    await say(client, *history)
    context = backend.prompts[0].context
    assert context is not None
    history += [assistant("b"), Message("system", "Be brief."), user("C?")]
    await say(client, *history)
    await say(client, *history, assistant("c"), user("D?"))
    assert backend.calls == [*WENT_ON, "turn 2 of conversation-1"]
    brief = "[system](#message)\nBe brief.\n\n"
    sent = [(prompt.text, prompt.context) for prompt in backend.prompts[1:]]
    assert sent == [("C?", context + brief), ("D?", context + brief)]


# --- what does not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "history",
    [
        (A, assistant("another"), B),
        (user("Another?"), assistant("a"), B),
        (SYSTEM, A, assistant("a"), B),
        (A, A, assistant("a"), B),
        (Message("user", "A?a"), assistant(""), B),
        (A, assistant("a")),
        (A, assistant("a"), SYSTEM),
        (B,),
    ],
    ids=["answer", "question", "system", "more", "moved", "asked to continue", "nothing asked", "no answer"],
)
async def test_another_history_is_another_conversation(history: tuple[Message, ...]) -> None:
    """Every message before the last answer counts, and that answer."""
    assert await second_turn(FakeBackend(answer("a"), answer("b")), second=history) == ANEW


async def test_no_answer_passes_for_several_messages() -> None:
    """Whatever a model is made to write, its conversation is not that of a longer history."""
    backend = FakeBackend(answer("9:assistant1:b4:user2:B?c"), answer("d"))
    longer = (A, assistant("b"), B, assistant("c"), user("C?"))
    assert await second_turn(backend, second=longer) == ANEW


async def test_who_was_asked_for_json_is_not_asked_for_prose() -> None:
    """A model continues in the format that it was asked for."""
    backend = FakeBackend(answer('{"a": 1}'), answer("b"))
    client = client_of(backend)
    await say(client, A, json_format=JsonFormat())
    await say(client, A, assistant('{"a": 1}'), B)
    assert backend.calls == ANEW


async def test_another_model_or_other_tools_are_another_conversation() -> None:
    """The model and the tools are part of what the conversation was sent."""
    backend = FakeBackend(answer("a"), answer("b"), answer("a"), answer("b"))
    client = client_of(backend)
    await say(client, A)
    await say(client.with_options(model="bing-precise"), A, assistant("a"), B)
    assert backend.calls == ANEW
    await say(client, A, toolbox=BOX)
    await say(client, A, assistant("a"), B)
    assert len([call for call in backend.calls if call == "create"]) == 3


async def test_from_one_point_only_one_goes_on() -> None:
    """Who goes on from there again, or asks the last question again, gets a conversation of its own."""
    backend = FakeBackend(answer("a"), *(answer(text) for text in "bcd"))
    client = client_of(backend)
    await say(client, A)
    both = [say(client, A, assistant("a"), B), say(client, A, assistant("a"), user("C?"))]
    await asyncio.gather(*both)
    await say(client, A, assistant("a"), B)
    assert sorted(backend.calls) == sorted(
        [*WENT_ON, "create", "turn 0 of conversation-2", "create", "turn 0 of conversation-3"]
    )
    for prompt in backend.prompts[2:]:
        assert prompt.context == "[user](#message)\nA?\n\n[assistant](#message)\na\n\n"


WITHDRAWN: list[Line] = [
    ev.TextDelta("a"),
    ev.TextRevoked("No."),
    ev.TurnCompleted(ev.Reply(text="a", finish_reason="content_filter", revoked=True)),
]
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.mark.parametrize(
    ("first", "request_"),
    [
        (WITHDRAWN, {}),
        (answer("a", conversation_ended=True), {}),
        (answer("a", quota=ev.Quota(5, 5)), {}),
        (answer("ab"), {"stop": ("b",)}),
        (answer("ab"), {"max_characters": 1}),
        (answer("a"), {"images": (PICTURE,)}),
        (answer(render_call(ADD), render_call(ADD)), {"toolbox": ONE_CALL}),
    ],
    ids=["withdrawn", "ended", "last turn", "stop", "length", "picture", "a second call"],
)
async def test_what_holds_something_else_is_not_kept(first: Turn, request_: dict[str, Any]) -> None:
    """The history does not say what the conversation knows, or the conversation takes no further turn."""
    client = client_of(FakeBackend(first))
    await say(client, A, **request_)
    assert client.continuations is not None
    assert len(client.continuations) == 0


URLS = ("https://example.com/a.png", "https://example.com/b.png")


@pytest.mark.parametrize(("allowed", "sent"), [(0, ()), (1, URLS[:1]), (None, URLS)])
async def test_spare_pictures_go_as_far_as_the_service_takes_them(allowed: int | None, sent: tuple[str, ...]) -> None:
    """A tool's picture never makes a turn fail; one that is not a picture is passed over."""
    backend = FakeBackend(answer("a"))
    backend.max_images = allowed
    await say(client_of(backend), A, spare_images=(b"no picture", *URLS))
    assert tuple(image.url for image in backend.prompts[0].images) == sent


async def test_the_authors_pictures_are_refused_where_spare_ones_are_not() -> None:
    """The author of the turn can send another one."""
    backend = FakeBackend(answer("a"))
    backend.max_images = 0
    with pytest.raises(InvalidRequest, match="too many images"):
        await say(client_of(backend), A, images=(PICTURE,))
    assert backend.calls == []


async def test_a_spare_picture_that_the_service_refuses_is_left_out() -> None:
    """The upload of a tool's picture failed: the turn is sent without it. An author's picture raises."""
    backend = FakeBackend(UploadFailed("No."), answer("a"))
    await say(client_of(backend), A, spare_images=(PICTURE,))
    assert [len(prompt.images) for prompt in backend.prompts] == [1, 0]
    with pytest.raises(UploadFailed):
        await say(client_of(FakeBackend(UploadFailed("No."))), A, images=(PICTURE,))


async def test_a_turn_without_the_spare_pictures_continues() -> None:
    """On a service that takes no pictures, nothing else is said in the conversation than in the history."""
    backend = FakeBackend(answer("a"), answer("b"))
    backend.max_images = 0
    client = client_of(backend)
    await say(client, A, spare_images=(PICTURE,))
    await say(client, A, assistant("a"), B)
    assert backend.calls == WENT_ON


async def test_what_a_model_makes_up_after_its_calls_is_not_kept() -> None:
    """It believes that it has seen the results."""
    client = client_of(FakeBackend(answer(render_call(ADD), "\nThe result is 7.")))
    await say(client, A, toolbox=BOX)
    assert client.continuations is not None
    assert len(client.continuations) == 0


async def test_a_turn_that_failed_is_not_kept() -> None:
    """Not even where all that was wanted had come: the service may still write."""
    client = client_of(FakeBackend([ConnectionLost("Lost.")]), attempts=1)
    source = HistoryTurn(client, (A,), Instructions())
    async with TurnStream(source) as turn:
        with pytest.raises(ConnectionLost):
            await turn.reply()
    source.keep("a", ev.Reply())
    assert client.continuations is not None
    assert len(client.continuations) == 0


async def test_an_answer_that_was_left_is_not_kept() -> None:
    """Nobody knows how it ended."""
    client = client_of(FakeBackend([ev.TextDelta("a"), Pause(), *answer("b")]))
    completion = Completion(client, Request(messages=(A,)), join=False)
    assert await anext(completion) == "a"
    completion.close()
    assert client.continuations is not None
    assert len(client.continuations) == 0


async def test_it_may_be_turned_off() -> None:
    """Then each history has a conversation of its own."""
    backend = FakeBackend(answer("a"), answer("b"))
    client = client_of(backend, continue_conversations=False)
    await say(client, A)
    await say(client, A, assistant("a"), B)
    assert backend.calls == ANEW


# --- what is gone -----------------------------------------------------------------------------------------------------

QUOTA = ev.Quota(5, 5)
FELL_BACK = [*WENT_ON, "create", "turn 0 of conversation-2"]


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize(
    "gone",
    [
        TurnLimitReached("No more."),
        SessionExpired("Expired."),
        ConnectionLost("Lost."),
        Unauthorized("Your signature has expired."),
        [PromptTooLong("Closed without a word.")],
        [ConversationBusy("A turn still runs.")],
        [ConnectionLost("Lost.")],
        [QUOTA, TurnLimitReached("No more.")],
    ],
    ids=["turns", "expired", "connection", "signature", "no word", "busy", "lost amid", "turns amid"],
)
async def test_a_conversation_that_is_gone_is_replaced(gone: Turn, attempts: int) -> None:
    """A new conversation, sent the whole history, replaces it at once, only once, and without using up an attempt."""
    time = Time()
    backend = FakeBackend(answer("a"), gone, answer("b"))
    client = client_of(backend, time, attempts=attempts)
    await say(client, A)
    end = await say(client, A, assistant("a"), B)
    assert (end.reply.text, end.reply.quota) == ("b", None)
    assert backend.calls == FELL_BACK
    assert backend.prompts[2].context == "[user](#message)\nA?\n\n[assistant](#message)\na\n\n"
    assert [prompt.context for prompt in end.prompts] == [backend.prompts[2].context]
    assert time.waits == []
    assert backend.open_channels == 0


async def test_the_new_conversation_goes_on_in_turn() -> None:
    """It is known by the same history."""
    backend = FakeBackend(answer("a"), SessionExpired(), answer("b"), answer("c"))
    client = client_of(backend)
    await say(client, A)
    await say(client, A, assistant("a"), B)
    await say(client, A, assistant("a"), B, assistant("b"), user("C?"))
    assert backend.calls == [*FELL_BACK, "turn 1 of conversation-2"]


@pytest.mark.parametrize("last", [ServiceError("Down."), ConnectionLost("Lost.")])
async def test_the_way_back_is_taken_once(last: BingError) -> None:
    """From then on failures count as everywhere."""
    backend = FakeBackend(answer("a"), ConnectionLost("Lost."), last)
    client = client_of(backend, attempts=1)
    await say(client, A)
    with pytest.raises(type(last)):
        await say(client, A, assistant("a"), B)
    assert backend.calls == FELL_BACK


async def test_a_failing_service_is_tried_again_in_a_new_conversation() -> None:
    """A fault of the service does not mean that the conversation is gone: it costs an attempt and a wait."""
    time = Time()
    backend = FakeBackend(answer("a"), ServiceError("Down."), answer("b"))
    client = client_of(backend, time)
    await say(client, A)
    await say(client, A, assistant("a"), B)
    assert backend.calls == FELL_BACK
    assert time.waits == [0.5]


@pytest.mark.parametrize("failure", [ConversationEnded("Enough."), ContentFiltered("No.")])
async def test_what_the_service_answers_is_raised(failure: BingError) -> None:
    """To end a conversation is an answer, and not asked for again elsewhere."""
    backend = FakeBackend(answer("a"), [failure])
    client = client_of(backend)
    await say(client, A)
    with pytest.raises(type(failure)):
        await say(client, A, assistant("a"), B)
    assert backend.calls == WENT_ON


async def test_after_text_a_loss_is_raised() -> None:
    """What was given cannot be recalled, whichever conversation it came from."""
    backend = FakeBackend(answer("a"), [ev.TextDelta("b"), ConnectionLost("Lost.", partial_text="b")])
    client = client_of(backend)
    await say(client, A)
    with pytest.raises(ConnectionLost) as lost:
        await say(client, A, assistant("a"), B)
    assert lost.value.partial_text == "b"
    assert backend.calls == WENT_ON


@pytest.mark.parametrize("service", ["chathub", "workiq"])
@pytest.mark.parametrize("turn_limit", [2, 30])
async def test_services_forget_and_nobody_notices(service: str, turn_limit: int) -> None:
    """At the turn limit, and after it has expired, the real protocols lead to a new conversation with the history."""
    now = [0.0]
    brain = Scripted(lambda question: [f"{question.number}: {question.text}"])
    async with Emulator(brain, turn_limit=turn_limit, clock=lambda: now[0]) as emulator:
        if service == "workiq":
            client = BingClient(endpoint=emulator.workiq_url, token=emulator.token, time_zone="UTC")
        else:
            client = BingClient(endpoint=emulator.url)
        history: list[Message] = []
        async with client:
            for number in range(5):
                history.append(user(f"Question {number}"))
                end = await say(client, *history)
                history.append(assistant(end.reply.text))
                now[0] += 7 * 3600 if number == 2 else 1.0
        texts = [message.content for message in history[1::2]]
        numbers = [int(text.partition(":")[0]) for text in texts]
        assert numbers == ([0, 1, 0, 0, 1] if turn_limit == 2 else [0, 1, 2, 0, 1])
        chats = [request for request in emulator.requests if request.kind == "chat"]
        contexts = [request.context for request in chats if request.context]
        assert contexts
        assert all("Question 0" in context for context in contexts)
