"""Whatever a service says, and wherever it says it, nothing of it steers the terminal."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from pathlib import Path

import pytest

from bing_llm.cli import ask, chat
from tests.backends.chathub.wire import ACK, apology, bot, final, update, wire
from tests.backends.serving import Request, Talk, reply, served, silent, upgraded
from tests.cli.conftest import Command
from tests.echoing import message

EVIL = "\x1b]8;;javascript:x\x07click\x1b]8;;\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\r\x08\x00 [a](javascript:alert)\
\u200f\u061c\ufff9\U000e0041\u2029"
"""A link of a terminal's own, an erased screen, colours, and text that is read backwards or not seen."""

SOURCES = f'[1]: https://e.example/{EVIL} "{EVIL}"\n[2]: https://e.example "{EVIL}"'
PAGES = json.dumps({"web_search_results": [{"title": EVIL, "url": f"https://e.example/{EVIL}", "snippets": [EVIL]}]})
ANSWER = bot(
    f"Hello. {EVIL}\n\n| {EVIL} |\n| - |\n\n```{EVIL}\n{EVIL}\n```",
    message_id=EVIL,
    adaptiveCards=[{"body": [{"text": SOURCES}]}],
    suggestedResponses=[{"text": EVIL}],
)
ASIDES = [
    bot(EVIL, message_id="p", messageType="Progress"),
    bot(None, message_id="q", messageType="InternalSearchQuery", hiddenText=EVIL),
    bot(PAGES, message_id="r", messageType="InternalSearchResult"),
    bot(EVIL, message_id="i", messageType="GenerateContentQuery", contentType="IMAGE"),
    bot(EVIL, message_id="u", messageType=EVIL, contentType=EVIL),
]
QUOTA = {"maxNumUserMessagesInConversation": 30, "numUserMessagesInConversation": 1}

ENDS: dict[str, str] = {
    "an answer": update(*ASIDES) + final(*ASIDES, ANSWER, conversationId=EVIL, throttling=QUOTA),
    "a rewrite": update(bot("Other.")) + final(ANSWER),
    "a withdrawal": update(ANSWER) + final(ANSWER, apology(EVIL)),
    "a refusal": update(apology(EVIL)),
    "an error": final(result={"value": EVIL, "message": EVIL}),
    "a close": wire({"type": 7, "error": EVIL}),
    "a completion": wire({"type": 3, "invocationId": "0", "error": EVIL}),
    "no JSON": f"{EVIL}\n[turn 1] a line of one's own\x1e",
    "frames that are not known": wire({"type": EVIL, EVIL: EVIL}, {"type": 7}),
}


def saying(end: str) -> Talk:
    """A ChatHub whose turns end so."""

    async def talk(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "upgrade" not in request.headers:
            body = {"conversationId": f"c1 {EVIL}", "clientId": EVIL, "conversationSignature": "signature"}
            writer.write(reply(json.dumps(body).encode(), headers={"Connection": "close"}))
            return

        async def speak(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.writelines([message(ACK), message(end)])
            await silent(request, reader, writer)

        await upgraded(speak)(request, reader, writer)

    return talk


@pytest.mark.parametrize("in_terminal", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_a_service_steers_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str, *, in_terminal: bool
) -> None:
    """No control character comes out but line feeds and tabs: from no command, in no file, log, table or row."""
    monkeypatch.setattr("random.random", lambda: 0.0)  # no wait between attempts
    for module in (ask, chat):
        monkeypatch.setattr(module, "is_terminal", lambda _stream: in_terminal)
    monkeypatch.setattr(chat, "is_dumb", lambda: True)  # the editor of a terminal has tests of its own
    with served(saying(ENDS[end])) as url:
        monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
        monkeypatch.setenv("BING_LLM_ENDPOINT", url)
        row = json.dumps({"id": EVIL, "prompt": "Hi", EVIL: EVIL}, ensure_ascii=False).encode()
        for arguments, stdin in (
            (["ask", "Hi"], b""),
            (["logs"], b""),
            (["logs", "search", ""], b""),
            (["logs", "show"], b""),
            (["ask", "Hi", "--json"], b""),
            (["ask", "Hi", "--verbose"], b""),
            (["chat", "--verbose"], f"Hi\n/save {tmp_path / 'saved.md'}\n/quit\n".encode()),
            (["batch", "-", "-", "--verbose"], row),
            (["batch", "-", str(tmp_path / "out.jsonl")], row),
        ):
            done = command(*arguments, stdin=stdin)
            files = "".join(path.read_text() for path in tmp_path.iterdir())
            shown = done.out + done.err + files
            assert done.out + done.err
            assert {sign for sign in shown if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"}} <= {"\n", "\t"}
            assert not any(line.startswith("[turn 1]") for line in shown.splitlines())
