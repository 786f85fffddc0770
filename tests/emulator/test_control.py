"""Inspection and reset over HTTP."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any, get_args

import aiohttp
import msgspec
import pytest

from bing_llm import errors
from bing_llm.emulator import Cut, Emulator, Fault, HttpAnswer, Obedient, Script, Scripted
from bing_llm.emulator.control import _LARGEST_BODY
from bing_llm.emulator.fault_plan import KINDS, Step
from bing_llm.emulator.received import Received
from bing_llm.emulator.script import rendered_fault
from bing_llm.emulator.script_text import LONGEST
from tests.emulator.chathub.visitor import Visitor
from tests.emulator.test_script import OPTIONS
from tests.emulator.workiq.visitor import WorkIQVisitor


class Control:
    """Talks to `/_emulator/`."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self._url = f"{emulator.url}/_emulator"
        self._http = http

    async def __call__(self, method: str, path: str, data: bytes | str = b"", **headers: str) -> tuple[int, Any]:
        """The status and the JSON of one call; its text where that is not JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "text/plain", **named}
        async with self._http.request(method, f"{self._url}/{path}", data=_opened(data), headers=sent) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text


def _opened(data: bytes | str) -> io.BytesIO | None:
    content = data.encode() if isinstance(data, str) else data
    return io.BytesIO(content) if content else None


@pytest.fixture
async def control(emulator: Emulator) -> AsyncIterator[Control]:
    """Controls `emulator`."""
    async with aiohttp.ClientSession() as http:
        yield Control(emulator, http)


async def test_requests_are_shown_with_what_became_of_them(
    emulator: Emulator, control: Control, visitor: Visitor, workiq: WorkIQVisitor
) -> None:
    """Of each service, in their order; the calls of this page are not among them."""
    created = await visitor.create(_U="the-cookie-of-an-account")
    await visitor.ask("Hello", created)
    emulator.brain = Scripted([[errors.Throttled(service_message="Not now.")]])
    conversation = await workiq.create()
    await workiq.chat("Bye", conversation, additionalContext=[{"text": "some context"}])
    status, shown = await control("GET", "requests")
    assert status == 200
    parts = [{key: each[key] for key in each if key not in {"path", "body"}} for each in shown["requests"]]
    usual = {"turn": None, "outcome": "ok", "detail": "", "text": "", "context": ""}
    assert parts == [
        {**usual, "kind": "creation", "method": "GET", "conversation": created.id},
        {**usual, "kind": "chat", "method": "WS", "conversation": created.id, "turn": 1, "text": "Hello"},
        {**usual, "kind": "creation", "method": "POST", "conversation": conversation},
        {
            "kind": "chat",
            "method": "POST",
            "conversation": conversation,
            "turn": 1,
            "outcome": "error",
            "detail": "throttled: Not now.",
            "text": "Bye",
            "context": "some context",
        },
    ]
    assert shown["requests"][3]["body"]["message"] == {"text": "Bye"}


async def test_no_secret_is_shown(emulator: Emulator, control: Control, visitor: Visitor) -> None:
    """No header and no query; and no signature, cookie or token in a body, a text or a path, however it is spelled."""
    created = await visitor.create(_U="the-cookie-of-an-account")
    text = f"{created.token} {emulator.token} the-cookie-of-an-account {created.signature}"
    await visitor.ask(text, created, sessionToken="made-up-token", nested=[{"Password": {"any": "thing"}}])
    _, shown = await control("GET", "requests")
    chat = shown["requests"][-1]
    [arguments] = chat["body"]["arguments"]
    assert arguments["conversationSignature"] == "***"
    said = json.dumps(shown)
    for secret in (created.token, created.signature, emulator.token, "the-cookie-of-an-account", "made-up-token"):
        assert secret not in said
    assert chat["text"].count("***") >= 3
    assert all("headers" not in each and "query" not in each for each in shown["requests"])


async def test_large_and_deep_bodies_are_left_out(emulator: Emulator, control: Control) -> None:
    """1,000 requests are shown at once; texts are cut."""
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    for each in ("x" * _LARGEST_BODY, deep, {"a": "\ud800"}, {"a": ["b", 1, None, 1.5, True]}):
        emulator._state.note(Received(kind="chat", body=each))
    _, shown = await control("GET", "requests")
    assert [each["body"] for each in shown["requests"]] == [None, None, None, {"a": ["b", 1, None, 1.5, True]}]


async def test_requests_are_forgotten(emulator: Emulator, control: Control, visitor: Visitor) -> None:
    """And nothing else: conversations and the script stay."""
    created = await visitor.create()
    emulator.play(Script(answers=["one", "two"]))
    await visitor.ask("Hello", created)
    assert await control("DELETE", "requests") == (204, "")
    assert await control("GET", "requests") == (200, {"requests": []})
    assert (await visitor.reply("more", created, 1)).text == "two"


@pytest.mark.parametrize(
    "content", ["answers: [scripted]\nfaults: [{fault: cut, step: mid, after: 9}]",
                '{"answers": ["scripted"], "faults": [{"fault": "cut", "step": "mid", "after": 9}]}']
)  # fmt: skip
async def test_a_script_is_played(emulator: Emulator, control: Control, visitor: Visitor, content: str) -> None:
    """YAML or JSON; the answer says what is left, as the page of the script does later."""
    cut = {"fault": "cut", "step": "mid", "after": 9, "how": "abort"}
    begun = {"answers_given": 0, "answers_left": 1, "faults_left": [cut]}
    assert await control("POST", "script", content) == (200, begun)
    assert (await visitor.reply("Hello")).text == "scripted"
    assert await control("GET", "script") == (200, {**begun, "answers_given": 1, "answers_left": 0})
    with pytest.raises(errors.InvalidRequest, match="has no turn number 2; it has 1"):
        await visitor.reply("Hello")
    assert (await control("GET", "script"))[1]["answers_left"] == 0
    assert emulator.faults == [Fault(Cut(), "mid", after=9)]


async def test_an_empty_script_brings_the_start_back(emulator: Emulator, control: Control, visitor: Visitor) -> None:
    """The brain that the emulator was made with, and no faults."""
    await control("POST", "script", "answers: [scripted]\nfaults: [{fault: cut, step: mid, after: 9}]")
    nothing: dict[str, Any] = {"answers_given": None, "answers_left": None, "faults_left": []}
    assert await control("POST", "script", "{}") == (200, {**nothing, "answers_given": 0})
    emulator.brain = Obedient()
    assert await control("GET", "script") == (200, nothing)
    assert (await visitor.reply("What is 2 + 3?")).text == "5"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The script: the script must be a mapping, and is empty."),
        (b"answers: [{txt: a}]", "The script, line 1: answers[0] has the key 'txt'; it may have: text, searches, "),
        (b"\xff", "The script is not UTF-8 text."),
        (b"x" * (LONGEST + 1), "The script is longer than 1,048,576 characters."),
    ],
)
async def test_a_wrong_script_changes_nothing(emulator: Emulator, control: Control, content: bytes, said: str) -> None:
    """It is refused with the error that a file has."""
    before = emulator.brain
    status, shown = await control("POST", "script", content)
    assert status == 400
    assert shown["error"].startswith(said)
    assert emulator.brain is before


async def test_what_curl_does_to_a_file_is_explained(control: Control) -> None:
    """`curl -d @FILE` removes the line breaks that YAML needs."""
    form = "application/x-www-form-urlencoded"
    _, shown = await control("POST", "script", "answers:  - a  - b", Content_Type=form)
    assert shown["error"].endswith("With curl, send a file by --data-binary @FILE: -d @FILE removes its line breaks.")
    _, shown = await control("POST", "script", "answers:\n- [", Content_Type=form)
    assert "curl" not in shown["error"]


async def test_a_huge_script_is_not_read(control: Control) -> None:
    """Nor one that becomes huge when it is decompressed."""
    assert (await control("POST", "script", b" " * (4 * LONGEST + 1)))[0] == 413
    bomb = gzip.compress(b" " * (8 * LONGEST))
    assert (await control("POST", "script", bomb, Content_Encoding="gzip"))[0] == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://www.bing.com"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 200),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "requests"), ("DELETE", "requests"), ("POST", "script")])
async def test_no_page_controls_the_emulator(
    control: Control, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """A browser names the page in `Origin` or `Sec-Fetch-Site`; the services' own pages are not allowed either."""
    answered, _ = await control(method, path, b"{}" if method == "POST" else b"", **headers)
    assert answered == (204 if status == 200 and method == "DELETE" else status)


async def test_a_page_that_the_user_allows_does() -> None:
    """Its origin is one of `allowed_origins`."""
    page = "http://localhost:3000"
    async with Emulator(allowed_origins=[page]) as emulator, aiohttp.ClientSession() as http:
        control = Control(emulator, http)
        assert (await control("POST", "script", "{}", Origin=page, Sec_Fetch_Site="same-site"))[0] == 200


@pytest.mark.parametrize("name", KINDS)
def test_a_fault_is_shown_as_a_script_has_it(name: str) -> None:
    """What is shown can be played again."""
    for step in get_args(Step):
        place = {"turn": 2, "optional": True, **({"after": 3} if step == "mid" else {})}
        line = {"fault": name, "step": step, **place, **OPTIONS.get(name, {})}
        try:
            [fault] = Script.parse(json.dumps({"faults": [line]})).plan()
        except errors.ConfigurationError:
            continue
        shown = msgspec.json.decode(msgspec.json.encode(rendered_fault(fault)))
        assert {key: shown[key] for key in line if key not in {"results", "reply"}} == {
            key: value for key, value in line.items() if key not in {"results", "reply"}
        }
        [again] = Script.parse(json.dumps({"faults": [shown]})).plan()
        assert rendered_fault(again) == rendered_fault(fault)


def test_an_error_is_shown_with_its_options() -> None:
    """Those that it has."""
    fault = Fault(errors.Throttled(service_message="Not now.", retry_after=2), "creation")
    shown = {"fault": "throttled", "step": "creation", "message": "Not now.", "retry_after": 2}
    assert rendered_fault(fault) == shown
    answer = rendered_fault(Fault(HttpAnswer(503), "upgrade"))
    assert answer == {"fault": "http answer", "step": "upgrade", "status": 503, "body": ""}
