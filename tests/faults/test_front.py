"""Every fault at every step through the OpenAI-compatible front: its status or its last event, and no turn too many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import aiohttp
import pytest

from bing_llm import errors
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.emulator.fault_plan import Service
from bing_llm.limits import Retries
from bing_llm.serve import Server
from tests.faults.table import Ends, Row
from tests.faults.test_matrix import ATTEMPTS, QUESTION, TRIALS, Trial, always, attempts, settings_of
from tests.serve.test_errors import EXPECTED

SERVICES: tuple[Service, ...] = ("chathub", "workiq", "a2a")
REFUSED = (errors.ContentFiltered, errors.ConversationEnded)


class Form(NamedTuple):
    """How a caller asks."""

    path: str
    stream: bool

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        if self.path == "responses":
            return {"input": QUESTION, "stream": self.stream}
        return {"messages": [{"role": "user", "content": QUESTION}], "stream": self.stream}


FORMS = [Form(path, stream) for path in ("chat/completions", "responses") for stream in (False, True)]


class Seen(NamedTuple):
    """What a caller saw.

    Attributes:
        status: The HTTP status.
        text: The text that was given.
        reason: Why the answer ended.
        error: The code of the error, before or after text.
    """

    status: int
    text: str
    reason: str
    error: str | None


def seen_of(form: Form, status: int, body: bytes) -> Seen:
    """What an answer says, in the form that was asked for."""
    if status != 200:
        return Seen(status, "", "", json.loads(body)["error"]["code"])
    if form.path == "responses":
        return _of_response(form, body)
    if not form.stream:
        (choice,) = json.loads(body)["choices"]
        return Seen(status, choice["message"]["content"], choice["finish_reason"], None)
    data = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    chunks = [json.loads(line) for line in data if line != "[DONE]"]
    broken = chunks[-1].get("error")
    assert (data[-1] == "[DONE]") is (broken is None)
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Seen(status, text, choices[-1]["finish_reason"] or "", broken and broken["code"])


def _of_response(form: Form, body: bytes) -> Seen:
    if form.stream:
        events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]
        response = events[-1]["response"]
        text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    else:
        response = json.loads(body)
        parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
        text = "".join(part.get("text", "") for part in parts)
    reason = (response["incomplete_details"] or {"reason": "stop"})["reason"]
    return Seen(200, text, reason, response["error"] and response["error"]["code"])


def expected(row: Row, form: Form, *, fails: bool) -> Seen:
    """What the table says of this row."""
    if fails:
        assert row.ends.error is not None
        status, code = EXPECTED[row.ends.error]
        if row.ends.error in REFUSED:  # a whole answer has nothing of what the service refused to go on with
            return Seen(200, row.partial if form.stream else "", "content_filter", None)
        return Seen(200, row.partial, "", code) if row.partial and form.stream else Seen(status, "", "", code)
    ends = Ends() if row.ends.error is not None else row.ends  # another attempt was made
    final = row.partial if ends.final is None else ends.final
    text = (ends.given if form.stream else None) or final
    return Seen(200, text, "content_filter" if ends.withdrawn else "stop", None)


@pytest.fixture
async def urls(emulator: Emulator) -> AsyncIterator[dict[Service, str]]:
    """A front over each service, which waits for nothing between its attempts."""

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    async with AsyncExitStack() as stack:
        found: dict[Service, str] = {}
        for service in SERVICES:
            retries = Retries(attempts=ATTEMPTS, first_wait=0.0, sleep=sleep)
            client = await stack.enter_async_context(BingClient(retries=retries, **settings_of(emulator, service)))
            found[service] = (await stack.enter_async_context(Server(client, port=0))).url
        yield found


@pytest.mark.system
@pytest.mark.parametrize("service", SERVICES)
async def test_each_fault_has_its_documented_end(
    service: Service, emulator: Emulator, urls: dict[Service, str]
) -> None:
    """In each form, after as many attempts as the table says."""
    trials = [trial for trial in TRIALS if trial.row.service == service and not is_card(trial.row)]
    assert len(trials) > 50
    async with aiohttp.ClientSession() as http:
        for trial in trials:
            for form in FORMS:
                await check(trial, form, emulator, f"{urls[service]}/{form.path}", http)


def is_card(row: Row) -> bool:
    """Whether it hits an agent's card, which a client asks for once and keeps, and these fronts ask many times."""
    return row.service == "a2a" and row.step == "creation"


async def check(trial: Trial, form: Form, emulator: Emulator, url: str, http: aiohttp.ClientSession) -> None:
    """Ask in this form, and look at how it ended."""
    row, each_time = trial
    emulator.clear()
    emulator.faults = always(row) if each_time else row.faults
    async with http.post(url, json=form.body) as response:
        seen = seen_of(form, response.status, await response.read())
        may_retry = response.headers.get("x-should-retry")
    tried_again = row.ends.again and not row.partial
    fails = row.ends.error is not None and (each_time or not tried_again)
    wanted = expected(row, form, fails=fails)
    where = f"{trial}, {form}"
    assert (seen.status, seen.text, seen.error) == (wanted.status, wanted.text, wanted.error), where
    assert seen.reason == wanted.reason or wanted.error, where
    assert may_retry == (None if seen.status == 200 else "false"), where
    assert attempts(emulator, row) == (2 if tried_again else 1), where
