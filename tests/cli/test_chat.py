"""`bing-llm chat`."""

from __future__ import annotations

import asyncio
import builtins
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.cli import chat as module
from bing_llm.cli.chat import HELP
from bing_llm.cli.input import LineInput, read_piped_line
from bing_llm.cli.options import SERVICE_OPTIONS, NewClient
from bing_llm.cli.recorder import Beginning
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Command, Interrupting, Outcome
from tests.cli.screen import Screen

GREETING = "bing-balanced on chathub. /help lists the commands, Ctrl-D leaves.\n"

Talk = Callable[..., Outcome]


@pytest.fixture
def talk(command: Command, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """A chat in which a person types these lines; the greeting is left out."""
    monkeypatch.setattr(module, "is_terminal", lambda stream: stream is sys.stdin)
    monkeypatch.setattr(module, "_new_input", lambda **_: LineInput(read_piped_line))

    def type_lines(*lines: str, options: tuple[str, ...] = ()) -> Outcome:
        text = "".join(f"{line}\n" for line in lines)
        done = command("chat", *options, stdin=text.encode(errors="surrogateescape"))
        assert done.out.startswith(GREETING)
        return Outcome(done.code, done.out.removeprefix(GREETING), done.err)

    return type_lines


def pipe(command: Command, *lines: str) -> Outcome:
    """A chat into which these lines are piped."""
    return command("chat", stdin="".join(f"{line}\n" for line in lines).encode())


def begin(**options: object) -> Beginning:
    """Where a chat with these options begins."""
    return Beginning(new_client=NewClient.of({**dict.fromkeys(option.name for option in SERVICE_OPTIONS), **options}))


def test_each_line_is_a_turn_of_one_conversation(talk: Talk, service: Emulator) -> None:
    """Lines are sent in one conversation; empty ones are not."""
    service.brain = Scripted(lambda question: [f"{question.number}: {question.text}"])
    done = talk("one", "", "  ", "two")
    assert done == Outcome(0, "0: one\n\n1 of 30 turns\n\n1: two\n\n2 of 30 turns\n\n", "")
    assert [request.kind for request in service.requests] == ["creation", "chat", "chat"]


def test_what_comes_with_an_answer_is_below_it(talk: Talk, service: Emulator) -> None:
    """Sources, suggestions and quota follow the answer."""
    reply = ev.Reply(citations=(ev.Citation(1, "https://a.example", "A\x1b"),), suggestions=("Why?", "How?"))
    service.brain = Scripted([["Hello [^1^].", ev.TurnCompleted(reply)]])
    assert talk("Hi").out == ("Hello [^1^].\n\n[^1^] A\\u001b https://a.example\n1> Why?\n2> How?\n1 of 30 turns\n\n")


def test_a_number_sends_that_suggestion(talk: Talk, service: Emulator) -> None:
    """A number alone that a suggestion has is that suggestion; any other is a message."""
    service.brain = Scripted(lambda _: ["Hello.", ev.Suggestions(("Why?", "/quit\x1b", "How?"))])
    done = talk("2", "1", "2", "4", "3 ", " 1", "33")
    assert [request.text for request in service.requests if request.kind == "chat"] == [
        *("2", "Why?", "/quit\x1b", "4", "How?", "1", "33")
    ]
    assert "> Why?\n" in done.out
    assert "> /quit\\u001b\n" in done.out


def test_new_begins_another_conversation(talk: Talk, service: Emulator, tmp_path: Path) -> None:
    """After /new the service knows nothing of what was said, and its suggestions are gone."""
    service.brain = Scripted(lambda question: [f"{question.number}.", ev.Suggestions(("Why?",))])
    done = talk("one", "/new", "1", f"/save {tmp_path / 'new.md'}")
    assert [request.text for request in service.requests if request.kind == "chat"] == ["one", "1"]
    assert "A new conversation begins.\n" in done.out
    assert "1." not in done.out


def test_model_changes_the_model(talk: Talk, service: Emulator) -> None:
    """/model takes another model, in a new conversation; an unknown one changes nothing."""
    service.brain = Scripted(lambda question: [f"{question.tone} {question.number}"])
    done = talk("/model", "one", "/model bing-precise", "two", "/model gpt", "three")
    shown = " ".join(done.out.split())
    assert shown.startswith("The model is bing-balanced; there are bing-creative, bing-balanced, bing-precise. ")
    assert [line for line in done.out.splitlines() if line[-2:] in {" 0", " 1"}] == [
        *("Balanced 0", "Precise 0", "Precise 1")
    ]
    assert done.err.startswith("bing-llm: The model 'gpt' is not known; allowed: ")


def test_an_image_goes_with_the_next_message(
    talk: Talk, service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/image takes a path, `~` included, or a URL, and counts for one message."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "my image.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    service.brain = Scripted(lambda question: [f"{len(question.images)} images"])
    done = talk("/image ~/my image.png", "one", "two", "/image https://x.example/i.png", "three")
    assert [line for line in done.out.splitlines() if "images" in line] == ["1 images", "0 images", "1 images"]


def test_save_writes_the_conversation_once(talk: Talk, service: Emulator, tmp_path: Path) -> None:
    """/save writes what was said so far; a second time it leaves the file alone and says so."""
    service.brain = Scripted([["Hello."]])
    path = tmp_path / "my chat.md"
    done = talk(f"/save {path}", "Hi", f"/save {path}", f"/save {path}")
    assert path.read_text(encoding="utf-8") == "# Chat with bing-balanced\n\n## You\n\nHi\n\n## Bing\n\nHello.\n"
    assert "Saved to" in done.out
    first, second = done.err.splitlines()
    assert first == "bing-llm: There is nothing to save yet."
    assert second.endswith("my chat.md' exists and was not touched. Choose another name.")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("/nope\x1b now", "bing-llm: /nope\\u001b is not a command; /help lists them.\n"),
        ("/", "bing-llm: / is not a command; /help lists them.\n"),
        ("/image", "bing-llm: /image needs a path or a URL.\n"),
        ("/save", "bing-llm: /save needs the name of a file.\n"),
        (
            "/image ~nobody-of-that-name/x.png",
            "bing-llm: The image '~nobody-of-that-name/x.png' cannot be read: No such ",
        ),
        ("/image none.png", "bing-llm: The image 'none.png' cannot be read: No such file or directory. Allowed: "),
        ("x" * 4001, "bing-llm: The prompt has 4,001 characters; bing-balanced takes at most 4,000. "),
    ],
)
def test_a_mistake_is_one_line(talk: Talk, service: Emulator, line: str, error: str) -> None:
    """What cannot be done is an error of one line, and the chat goes on."""
    service.brain = Scripted(lambda _: ["Hello."])
    done = talk(line, "Hi")
    assert done.err.startswith(error)
    assert done.err.count("\n") == 1
    assert "Hello." in done.out


def test_help_and_quit(talk: Talk, service: Emulator) -> None:
    """/help lists the commands, /quit ends the chat with 0, and a blank before a line makes it a message."""
    service.brain = Scripted(lambda question: [question.text])
    done = talk("/help", " /quit it is", "/quit", "not sent")
    assert done.code == 0
    assert done.out.startswith(HELP)
    assert [request.text for request in service.requests if request.kind == "chat"] == ["/quit it is"]
    assert all(word in HELP for word in ("/new", "/model", "/image", "/save", "/help", "/quit"))


@pytest.mark.parametrize(
    "error",
    [errors.SessionExpired(), errors.ConversationEnded(), errors.TurnLimitReached()],
    ids=lambda error: type(error).__name__,
)
def test_an_ended_conversation_offers_a_new_one(talk: Talk, service: Emulator, error: errors.BingError) -> None:
    """Where the conversation takes no turn, one line offers /new, which helps."""
    service.brain = Scripted([[error], ["Hello."]])
    done = talk("one", "/new", "two")
    assert done.code == 0
    assert done.err.endswith(" Type /new to start another conversation.\n")
    assert done.err.count("\n") == 1
    assert "Hello." in done.out


def test_the_last_turn_says_that_it_is(talk: Talk, service: Emulator) -> None:
    """When the quota is used up, or the service ended the conversation, the line comes right away."""
    service.brain = Scripted([["Hello.", ev.TextRevoked("Bye.", ended=True)]])
    done = talk("one", "two")
    assert done.err.splitlines() == [
        "bing-llm: The service withdrew this answer. Bye.",
        "bing-llm: This conversation takes no further message. Type /new to start another.",
        "bing-llm: This conversation has ended; it takes no further turn. Type /new to start another conversation.",
    ]


def test_a_failure_keeps_the_conversation(talk: Talk, service: Emulator) -> None:
    """An error is one line with its hint; the conversation goes on."""
    service.brain = Scripted([[errors.Throttled()], ["Hello."]])
    done = talk("one", "two")
    assert done.err.startswith("bing-llm: The service refused the turn (Throttled")
    assert done.err.count("\n") == 1
    assert "Hello." in done.out
    assert [request.kind for request in service.requests] == ["creation", "chat", "chat"]


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(talk: Talk, service: Emulator) -> None:
    """The first Ctrl-C asks the service to stop; what arrived is kept, and the next message continues."""
    service.brain = Interrupting()
    done = talk("one", "two")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("It begins\n(stopped)\n") == 2
    assert [request.kind for request in service.requests] == ["creation", "chat", "stop", "chat", "stop"]


def test_ctrl_c_twice_leaves_the_answer(talk: Talk, service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service does not stop, the second Ctrl-C leaves the answer; the chat goes on."""

    async def unheard(_turn: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("bing_llm.turn.TurnStream.stop", unheard)
    service.brain = Interrupting()
    done = talk("one", "/help")
    assert (done.code, done.err) == (0, "")
    assert "(left unfinished)\n" in done.out
    assert HELP in done.out


def test_ctrl_c_before_the_answer_leaves_it(talk: Talk, service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the conversation is being created there is nothing to stop; the next message tries again."""
    create = BingClient.create_conversation
    presses = iter([True])

    async def slow(client: BingClient) -> object:
        if next(presses, False):
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()
        return await create(client)

    monkeypatch.setattr(BingClient, "create_conversation", slow)
    service.brain = Scripted([["Hello."]])
    done = talk("one", "two")
    assert done.out.startswith("(left unfinished)\nHello.\n")


def test_a_line_that_is_not_text_is_an_error(talk: Talk, service: Emulator) -> None:
    """Bytes that are not UTF-8 are one line on stderr; the chat goes on."""
    service.brain = Scripted([["Hello."]])
    done = talk("\udcff", "Hi")
    assert (done.code, done.err) == (0, "bing-llm: The message is not UTF-8 text. Convert it to UTF-8.\n")
    assert done.out.startswith("Hello.\n")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_breaks_nothing(service: Emulator, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """Any standard stream may be closed: then nothing is read or shown there."""
    service.brain = Scripted([["Hello."], [errors.Throttled()]])
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n/nope\n"))
    monkeypatch.setattr(sys, stream, None)
    assert module.chat(begin(endpoint=service.url)) == (0 if stream == "stdin" else 1)  # as in any pipe
    assert len(service.requests) == (0 if stream == "stdin" else 3)


# --- in a pipe --------------------------------------------------------------------------------------------------------


def test_stdout_of_a_pipe_has_the_answers_alone(command: Command, service: Emulator, tmp_path: Path) -> None:
    """What commands say and the sources go to stderr; there are no suggestions and no quota."""
    reply = ev.Reply(citations=(ev.Citation(1, "https://a.example", "A"),), suggestions=("Why?",))
    service.brain = Scripted([["One [^1^].", ev.TurnCompleted(reply)], ["Two."]])
    done = pipe(command, "/model", "one", "", "1", f"/save {tmp_path / 'a.md'}", "/quit", "three")
    assert (done.code, done.out) == (0, "One [^1^].\nTwo.\n")
    assert [request.text for request in service.requests if request.kind == "chat"] == ["one", "1"]
    assert "[^1^] A https://a.example\n" in done.err
    assert "The model is bing-balanced; there are bing-creative, bing-balanced, bing-precise.\n" in done.err
    assert "Why?" not in done.err
    assert "turns" not in done.err


def test_quotes_join_the_lines_of_a_pipe(command: Command, service: Emulator) -> None:
    """Lines between three quotes are one message, whatever they look like."""
    service.brain = Scripted(lambda question: [f"{len(question.text)}"])
    done = pipe(command, '"""def f():', "    /quit", "1", '"""', '"""one line"""', '"""', "never closed")
    assert (done.code, done.err) == (0, "")
    assert [request.text for request in service.requests if request.kind == "chat"] == [
        *("def f():\n    /quit\n1", "one line", "never closed")
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [[errors.Throttled()]],
        [["It begins", errors.ConnectionLost()]],
        [["I will", ev.TextRevoked("Sorry.")]],
        [[errors.ConversationEnded()]],
    ],
    ids=["refused", "lost", "withdrawn", "ended"],
)
def test_an_error_in_a_pipe_ends_it(command: Command, service: Emulator, answers: list[list[ev.Event | str]]) -> None:
    """Nobody can react to it, so no further message is sent; the exit code is 1."""
    service.brain = Scripted([*answers, ["Hello."]])
    done = pipe(command, "one", "two")
    assert done.code == 1
    assert done.err.startswith("bing-llm: ")
    assert len([request for request in service.requests if request.kind == "chat"]) == 1


@pytest.mark.parametrize("line", ["/nope", "/save", "x" * 4001, "\udcff"])
def test_a_mistake_in_a_pipe_ends_it(command: Command, service: Emulator, line: str) -> None:
    """A command that is not one, or a message that cannot be sent, too."""
    service.brain = Scripted([["Hello."]])
    done = command("chat", stdin=f"{line}\nHi\n".encode(errors="surrogateescape"))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert not [request for request in service.requests if request.kind == "chat"]


def test_ctrl_c_in_a_pipe_ends_it(command: Command, service: Emulator) -> None:
    """There is no prompt to come back to: the exit code is 130."""
    service.brain = Interrupting()
    done = pipe(command, "one", "two")
    assert (done.code, done.err) == (130, "")
    assert len([request for request in service.requests if request.kind == "chat"]) == 1


# --- in a terminal ----------------------------------------------------------------------------------------------------


class Keyboard:
    """Stands in for `input`: gives the lines, then raises.

    Attributes:
        prompts: With what it was called.
    """

    def __init__(self, *lines: str, end: type[BaseException]) -> None:
        self._lines = iter(lines)
        self._end = end
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        """The next line."""
        self.prompts.append(prompt)
        for line in self._lines:
            return line
        raise self._end


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_in_a_terminal(
    end: type[BaseException], service: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person gets a greeting, a prompt and Markdown with plain numbers; Ctrl-D and Ctrl-C at the prompt leave."""
    screen = Screen()
    console = Console(file=screen, force_terminal=True, width=80, height=24, markup=False, highlight=False)  # type: ignore[arg-type]
    keyboard = Keyboard("Hi", end=end)
    monkeypatch.setattr(module, "is_terminal", lambda _stream: True)
    monkeypatch.setattr(module, "new_console", lambda: console)
    monkeypatch.setattr(builtins, "input", keyboard)
    monkeypatch.setattr(module, "is_dumb", lambda: True)  # no editor
    reply = ev.Reply(citations=(ev.Citation(1, "https://a.example", "A"),), suggestions=("Why?",))
    service.brain = Scripted([["**Hello** [^1^].", ev.TurnCompleted(reply)]])
    assert module.chat(begin(endpoint=service.url)) == 0
    assert screen.lines == [
        "bing-balanced on chathub. /help lists the commands, Ctrl-D leaves.",
        *("Hello [1].", "", "[1] A https://a.example", "1> Why?", "1 of 30 turns"),
    ]
    assert keyboard.prompts == ["> ", "> "]
    assert capsys.readouterr() == ("\n", "")


@pytest.mark.parametrize("name", ["missing/chat.md", "nul\0.md"])
def test_a_place_that_cannot_be_written_is_named(talk: Talk, service: Emulator, tmp_path: Path, name: str) -> None:
    """A file that cannot be made is an error with the file's name, and the chat goes on."""
    service.brain = Scripted(lambda _: ["Hello."])
    done = talk("Hi", f"/save {tmp_path / name}", "Hi")
    assert done.code == 0
    assert ".md' cannot be written" in done.err
    assert done.out.count("Hello.") == 2
