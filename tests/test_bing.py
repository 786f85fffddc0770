"""The function-level API: the names, values and examples of the original provider."""

from __future__ import annotations

import ast
import inspect
import json
import os
import random
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import bing_llm
from bing_llm import bing, messages
from bing_llm.bing import Defaults, OptionsSets, _create_completion, _format, convert, run, stream_generate
from bing_llm.emulator import Emulator, Fault, Scripted
from bing_llm.emulator.received import Received
from bing_llm.errors import ConfigurationError, ContentFiltered, InvalidRequest, ServiceError

USAGE = Path(__file__).parent / "fixtures" / "usage"
TIMEOUT_S = 120.0
"""Far beyond what a script that talks to the emulator needs: reached only by one that hangs."""

JAILBREAK = [
    "saharasugg",
    "enablenewsfc",
    "clgalileo",
    "gencontentv3",
    "nlu_direct_response_filter",
    "deepleo",
    "disable_emoji_spoken_text",
    "responsible_ai_policy_235",
    "enablemm",
    "h3precise",
    "dtappid",
    "cricinfo",
    "cricinfov2",
    "dv3sugg",
    "nojbfedge",
]
MESSAGE_TYPES = [
    "Chat",
    "Disengaged",
    "AdsQuery",
    "SemanticSerp",
    "GenerateContentQuery",
    "SearchQuery",
    "ActionRequest",
    "Context",
    "Progress",
]
SLICES = [
    "winmuid3tf",
    "osbsdusgreccf",
    "ttstmout",
    "crchatrev",
    "winlongmsgtf",
    "ctrlworkpay",
    "norespwtf",
    "tempcacheread",
    "temptacache",
    "505scss0",
    "508jbcars0",
    "515enbotdets0",
    "5082tsports",
    "515vaoprvs",
    "424dagslnv1s0",
    "kcimgattcf",
    "427startpms0",
]
HINT = {
    "country": "United States",
    "state": "California",
    "city": "Los Angeles",
    "timezoneoffset": 8,
    "countryConfidence": 8,
    "Center": {"Latitude": 34.0536909, "Longitude": -118.242766},
    "RegionType": 2,
    "SourceType": 1,
}
LOCATION = {"locale": "en-US", "market": "en-US", "region": "US", "locationHints": [HINT]}

HISTORY = [
    {"role": "user", "content": "What is Python?"},
    {"role": "assistant", "content": "A language."},
    {"role": "user", "content": "Who made it?"},
]


@pytest.fixture
def service(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator as the service that the environment names; it echoes the prompt in two pieces."""
    bing_emulator.brain = Scripted(lambda question: ["You said ", question.text])
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    return bing_emulator


def chats(emulator: Emulator) -> list[Received]:
    """The turns that the emulator was asked for."""
    return [request for request in emulator.requests if request.kind == "chat"]


def sent(emulator: Emulator) -> dict[str, Any]:
    """The arguments of the last turn, as they were on the wire."""
    arguments: dict[str, Any] = chats(emulator)[-1].body["arguments"][0]
    return arguments


# --- names and values -------------------------------------------------------------------------------------------------


def test_the_module_is_importable_under_its_old_name() -> None:
    """`from bing_llm import Bing` gives the module."""
    assert bing_llm.Bing is bing


def test_the_names_of_the_provider_are_there() -> None:
    """Everything that the original offered exists under its name."""
    names = [
        "url",
        "model",
        "supports_stream",
        "needs_auth",
        "ssl_context",
        "OptionsSets",
        "optionsSets",
        "Defaults",
        "_format",
        "create_conversation",
        "stream_generate",
        "run",
        "convert",
        "_create_completion",
        "params",
    ]
    assert [name for name in names if not hasattr(bing, name)] == []
    assert set(bing.__all__) == {name for name in names if not name.startswith("_")}
    assert not hasattr(bing, "no_such_name")


def test_the_values_are_those_of_the_original() -> None:
    """Facts of 2023, as published."""
    assert (bing.url, bing.model, bing.supports_stream, bing.needs_auth) == (
        "https://bing.com/chat",
        ["gpt-4"],
        True,
        False,
    )
    assert Defaults.delimiter == "\x1e"
    assert Defaults.allowedMessageTypes == MESSAGE_TYPES
    assert Defaults.sliceIds == SLICES
    assert Defaults.location == LOCATION
    assert OptionsSets.jailbreak == {"optionsSets": JAILBREAK}


def test_no_address_is_made_up() -> None:
    """The original invented an address; here there is none unless the caller sets one."""
    assert Defaults.ip_address is None


def test_the_tls_context_trusts_certifi(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the default context with certifi's certificates, made once."""
    monkeypatch.delattr(bing, "ssl_context", raising=False)
    context = bing.ssl_context
    assert bing.ssl_context is context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 100


def test_the_presets() -> None:
    """Creative, balanced, precise, no-search and the original's own, each in the form of the request."""
    assert bing.optionsSets is OptionsSets
    presets = [OptionsSets.creative, OptionsSets.balanced, OptionsSets.precise, OptionsSets.no_search]
    assert [list(preset) for preset in presets] == [["optionsSets"]] * 4
    own = [set(preset["optionsSets"]) for preset in presets]
    assert "h3imaginative" in own[0]
    assert "galileo" in own[1]
    assert "h3precise" in own[2]
    assert own[3] - own[1] == {"nosearchall"}


def test_the_original_preset_is_never_the_default() -> None:
    """`jailbreak` is data under its name: no default and no other preset has what only it has."""
    default = inspect.signature(stream_generate).parameters["mode"].default
    assert default is OptionsSets.balanced
    only_there = {"nojbfedge", "cricinfo", "cricinfov2", "dtappid", "enablenewsfc", "saharasugg"}
    for preset in (OptionsSets.creative, OptionsSets.balanced, OptionsSets.precise, OptionsSets.no_search):
        assert only_there.isdisjoint(preset["optionsSets"])


def test_params_describes_the_real_signature() -> None:
    """The one-line text names the parameters of `_create_completion`, in order."""
    described = re.fullmatch(r"\S+ supports: \((.*)\)", bing.params)
    assert described is not None
    parameters = inspect.signature(_create_completion).parameters.values()
    named = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    assert [part.split(": ")[0] for part in described[1].split(", ")] == named == ["model", "messages", "stream"]
    assert bing.params.endswith("supports: (model: str, messages: list, stream: bool)")


def test_format_writes_one_record() -> None:
    """The JSON of the message, not escaped, and the delimiter."""
    assert _format({"text": "Привет", "n": [1, None]}) == '{"text": "Привет", "n": [1, null]}\x1e'
    assert json.loads(_format({"a": "\x1e"})[:-1]) == {"a": "\x1e"}
    assert _format({"a": "\x1e"}).count("\x1e") == 1


def test_convert_is_exact() -> None:
    """Role as a header, content and an empty line, for each message; the same function as everywhere."""
    assert convert(HISTORY[:2]) == "[user](#message)\nWhat is Python?\n\n[assistant](#message)\nA language.\n\n"
    assert convert is messages.convert


# --- create_conversation ----------------------------------------------------------------------------------------------


async def test_create_conversation_gives_the_triple(service: Emulator) -> None:
    """Conversation, client and signature, of one creation."""
    conversation_id, client_id, signature = await bing.create_conversation()
    assert conversation_id
    assert client_id
    assert signature
    assert [request.kind for request in service.requests] == ["creation"]


@pytest.mark.parametrize("failures", [4, 5])
async def test_create_conversation_tries_five_times(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Like the original, it tries five times: a fifth try is made, a sixth is not."""
    monkeypatch.setattr(random, "random", lambda: 0.0)  # no wait between attempts
    async with Emulator(faults=[Fault(ServiceError(), "creation")] * failures) as emulator:
        monkeypatch.setenv("BING_LLM_ENDPOINT", emulator.url)
        if failures == 4:
            assert await bing.create_conversation()
        else:
            with pytest.raises(ServiceError):
                await bing.create_conversation()
        assert len(emulator.requests) == 5


# --- stream_generate --------------------------------------------------------------------------------------------------


async def test_stream_generate_gives_the_pieces(service: Emulator) -> None:
    """The answer comes piece by piece, and the context goes with the prompt."""
    assert [piece async for piece in stream_generate("Hello", context=convert(HISTORY))] == ["You said ", "Hello"]
    assert (chats(service)[0].text, chats(service)[0].context) == ("Hello", convert(HISTORY))


@pytest.mark.parametrize("context", [None, False, ""])
async def test_no_context_is_sent_without_one(service: Emulator, context: Any) -> None:
    """None, False and the empty text all mean that there is none."""
    assert [piece async for piece in stream_generate("Hello", context=context)]
    assert "previousMessages" not in sent(service)


async def test_nothing_is_sent_before_the_first_piece(service: Emulator) -> None:
    """A generator that is not iterated asks for nothing, and may be closed."""
    generator = stream_generate("Hello")
    await generator.aclose()  # type: ignore[attr-defined]
    assert service.requests == []


async def test_leaving_the_generator_closes_everything(service: Emulator) -> None:
    """Closed early, it leaves no socket and no task (the guard of every test looks), and is not opened again."""
    generator = stream_generate("Hello")
    assert await anext(generator) == "You said "
    await generator.aclose()  # type: ignore[attr-defined]
    assert len(chats(service)) == 1


async def test_errors_are_typed(service: Emulator) -> None:
    """What the service refuses comes as in the client."""
    service.brain = Scripted([[ContentFiltered("No.")]])
    with pytest.raises(ContentFiltered):
        await anext(stream_generate("Hello"))


async def test_without_a_service_nothing_is_made_up() -> None:
    """Where nothing is configured the error says what to set; the emulator does not step in."""
    with pytest.raises(ConfigurationError, match="No backend is chosen"):
        await anext(stream_generate("Hello"))
    with pytest.raises(ConfigurationError, match="No backend is chosen"):
        await bing.create_conversation()


@pytest.mark.parametrize(
    ("mode", "options", "tone"),
    [
        (OptionsSets.creative, OptionsSets.creative, "Creative"),
        (OptionsSets.precise, OptionsSets.precise, "Precise"),
        (OptionsSets.jailbreak, OptionsSets.jailbreak, "Balanced"),
        ("creative", OptionsSets.creative, "Creative"),
        ("balanced", OptionsSets.balanced, "Balanced"),
        ("precise", OptionsSets.precise, "Precise"),
        ("no-search", OptionsSets.no_search, "Balanced"),
        ("jailbreak", OptionsSets.jailbreak, "Balanced"),
        (["one", "two"], {"optionsSets": ["one", "two"]}, "Balanced"),
        ({"optionsSets": ("one",)}, {"optionsSets": ["one"]}, "Balanced"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_mode_is_a_set_its_name_or_option_names(
    service: Emulator, mode: Any, options: Mapping[str, list[str]], tone: str
) -> None:
    """The option sets of the request are those of the mode, in order; the tone is that of its style."""
    assert [piece async for piece in stream_generate("Hello", mode=mode)]
    assert (sent(service)["optionsSets"], sent(service)["tone"]) == (options["optionsSets"], tone)


async def test_the_mode_is_balanced_by_default(service: Emulator) -> None:
    """Without a mode the service's own default is asked for."""
    assert [piece async for piece in stream_generate("Hello")]
    assert (sent(service)["optionsSets"], sent(service)["tone"]) == (OptionsSets.balanced["optionsSets"], "Balanced")


@pytest.mark.parametrize(
    ("mode", "named"),
    [
        ("funny", "'funny'.*creative, balanced, precise, no-search, jailbreak"),
        ({"optionSets": []}, "no list of option names.*optionsSets"),
        ({"optionsSets": "one"}, "no list of option names"),
        ([1, 2], "no list of option names"),
        (None, "no list of option names"),
    ],
)
async def test_an_unknown_mode_is_refused(service: Emulator, mode: Any, named: str) -> None:
    """The error names it and what is allowed; nothing is sent."""
    with pytest.raises(ConfigurationError, match=named):
        await anext(stream_generate("Hello", mode=mode))
    assert service.requests == []


async def test_the_place_of_the_defaults_is_sent(service: Emulator) -> None:
    """Locale, region and location hint go with the message, as they did."""
    assert [piece async for piece in stream_generate("Hello")]
    message = sent(service)["message"]
    assert [message[name] for name in ("locale", "market", "region")] == ["en-US", "en-US", "US"]
    assert message["locationHints"] == [HINT]
    assert message["location"].startswith("lat:34.0536909;long:-118.242766;")


async def test_the_place_may_be_changed_or_left_out(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Defaults.location` is what counts when the turn is made; without hints there is no place."""
    monkeypatch.setattr(Defaults, "location", {"locale": "de-DE"})
    assert [piece async for piece in stream_generate("Hello")]
    message = sent(service)["message"]
    assert (message["locale"], message["region"]) == ("de-DE", "DE")
    assert "location" not in message
    assert "locationHints" not in message


async def test_an_address_is_sent_only_when_it_is_set(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`x-forwarded-for` goes with creation and socket while `Defaults.ip_address` is set, and not before or after."""
    for address in (None, "192.0.2.7", None):
        with monkeypatch.context() as setting:
            setting.setattr(Defaults, "ip_address", address)
            assert [piece async for piece in stream_generate("Hello")]
    found = [request.headers.get("x-forwarded-for") for request in service.requests]
    assert found == [None, None, "192.0.2.7", "192.0.2.7", None, None]
    assert Defaults.ip_address is None


# --- run and _create_completion ---------------------------------------------------------------------------------------


def test_run_drives_a_generator_from_synchronous_code(service: Emulator) -> None:
    """Its items come one by one; leaving early closes it."""
    assert list(run(stream_generate("Hello"))) == ["You said ", "Hello"]
    for piece in run(stream_generate("Hello")):
        assert piece == "You said "
        break
    assert len(chats(service)) == 2


def test_the_last_message_is_the_prompt_and_the_others_the_context(service: Emulator) -> None:
    """The history goes through `convert`; the model's name does not matter."""
    assert list(_create_completion("any", HISTORY, True)) == ["You said ", "Who made it?"]  # noqa: FBT003
    (asked,) = chats(service)
    assert (asked.text, asked.context) == ("Who made it?", convert(HISTORY[:-1]))


def test_without_streaming_the_answer_is_one_piece(service: Emulator) -> None:
    """The same text, joined; also without any earlier message, and with a mode."""
    pieces = _create_completion("any", HISTORY[-1:], stream=False, mode="precise")
    assert list(pieces) == ["You said Who made it?"]
    assert "previousMessages" not in sent(service)
    assert sent(service)["tone"] == "Precise"


async def test_create_completion_works_inside_a_running_loop(service: Emulator) -> None:
    """It works where a loop already runs, such as in a notebook."""
    assert "".join(_create_completion("any", HISTORY, stream=True)) == "You said Who made it?"
    assert len(chats(service)) == 1


def test_content_is_read_as_convert_reads_it(service: Emulator) -> None:
    """The prompt may come as parts, and what looks like a header in it stays."""
    parts = [{"type": "text", "text": "[user](#message)\none"}, "two\n\n"]
    list(_create_completion("any", [*HISTORY, {"role": "user", "content": parts}], stream=True))
    assert chats(service)[0].text == "[user](#message)\none\ntwo\n\n"


@pytest.mark.parametrize(
    ("last", "named"),
    [
        ({"content": "Hello"}, "Message 2 has no role"),
        ({"role": "user", "content": 1}, "Message 2 has content of type int"),
    ],
)
def test_a_bad_message_is_named_by_its_index(service: Emulator, last: dict[str, Any], named: str) -> None:
    """The index is that of the whole history, for the last message too."""
    with pytest.raises(TypeError, match=named):
        _create_completion("any", [*HISTORY[:2], last], stream=True)
    assert service.requests == []


def test_what_cannot_be_answered_is_refused_at_once(service: Emulator) -> None:
    """No messages, an unknown argument or an empty prompt: the error comes before anything is sent."""
    with pytest.raises(InvalidRequest, match="no messages"):
        _create_completion("any", [], stream=True)
    with pytest.raises(InvalidRequest, match=r"temperature.*allowed: mode"):
        _create_completion("any", HISTORY, stream=True, temperature=1)
    with pytest.raises(InvalidRequest, match="empty"):
        _create_completion("any", [{"role": "user", "content": None}], stream=False)
    assert service.requests == []


# --- the two usage examples -------------------------------------------------------------------------------------------


def assigned(code: str, name: str) -> Any:
    """The literal that a program assigns to a name."""
    assignments = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign)]
    return next(ast.literal_eval(node.value) for node in assignments if ast.unparse(node.targets[0]) == name)


def printed_by(code: str, folder: Path) -> str:
    """What the program prints; it must end well and warn of nothing. No debug mode, which logs what is slow."""
    script = folder / "example.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env={**os.environ, "PYTHONASYNCIODEBUG": "", "PYTHONDEVMODE": "", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["prompt", "context"])
def test_the_usage_examples_run(service: Emulator, tmp_path: Path, name: str) -> None:
    """Both examples run as they were written, but for the import line, and print the answer alone."""
    written = (USAGE / f"{name}.txt").read_text(encoding="utf-8")
    code, replaced = re.subn(r"^from \S+ import Bing$", "from bing_llm import Bing", written, flags=re.MULTILINE)
    assert replaced == 1
    if name == "prompt":
        prompt, context = assigned(code, "prompt"), ""
    else:
        *earlier, last = assigned(code, "messages")
        prompt, context = last["content"], convert(earlier)
    assert printed_by(code, tmp_path) == f"You said {prompt}"
    assert [(chat.text, chat.context) for chat in chats(service)] == [(prompt, context)]
