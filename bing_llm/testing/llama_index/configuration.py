"""Configuration: metadata, names, dumps and copies, and secrets in none of them."""

from __future__ import annotations

import copy
import json
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.llms import LLM

from bing_llm.testing.llama_index.calls import call, failure_of, said
from bing_llm.testing.llama_index.recording import CallbackRecorder, recorded
from bing_llm.testing.llama_index.subject import Subject, needs, smoke

SECRET = "conformance-4f1d-secret-9b7e"
"""A credential that is nobody's."""

DUMPS: dict[str, Any] = {
    "to_dict": lambda llm: str(llm.to_dict()),
    "to_json": lambda llm: llm.to_json(),
    "model_dump": lambda llm: str(llm.model_dump()),
    "model_dump_json": lambda llm: llm.model_dump_json(),
    "repr": repr,
    "str": str,
}
if hasattr(LLM, "to_payload"):  # from LlamaIndex 0.14.23 on
    DUMPS["to_payload"] = lambda llm: str(llm.to_payload())

COPIES: dict[str, Any] = {
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),  # noqa: S301 - our own pickle
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "model_copy": lambda llm: llm.model_copy(),
    "from_dict": lambda llm: type(llm).from_dict(llm.to_dict()),
    "from_json": lambda llm: type(llm).from_json(llm.to_json()),
}

each_copy = pytest.mark.parametrize("way", COPIES)


@contextmanager
def _no_network() -> Iterator[None]:
    """Any connection that is tried fails the test."""

    def refuse(*_args: Any, **_options: Any) -> Any:
        msg = "a connection was tried"
        raise AssertionError(msg)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


class ConfigurationConformance(Subject):
    """An LLM can be described, stored, copied and sent to another process, and gives away no secret."""

    @smoke
    def test_metadata_is_real(self) -> None:
        """The context window and the output have sizes that fit: prompts are cut and chat memory is made by them."""
        metadata = self.make_llm().metadata
        assert metadata.context_window > 0
        assert metadata.num_output != 0, "0 tokens of output leave nothing to say"
        assert metadata.num_output < metadata.context_window, "the output must fit the context window"

    def test_metadata_needs_no_network(self) -> None:
        """Metadata is read many times a call: no connection may be made for it."""
        llm = self.make_llm()
        with _no_network():
            assert llm.metadata == llm.metadata

    @pytest.mark.parametrize("dump", DUMPS)
    def test_every_dump_can_be_made(self, dump: str) -> None:
        """Each form in which an LLM is stored or shown, without a connection, and each time the same."""
        llm = self.make_llm()
        with _no_network():
            assert DUMPS[dump](llm) == DUMPS[dump](llm)

    def test_the_class_has_a_name_of_its_own(self) -> None:
        """`class_name` differs from that of every base class: by it a dump finds its class again."""
        llm_class = type(self.make_llm())
        inherited = {base.class_name() for base in llm_class.__mro__[1:] if hasattr(base, "class_name")}
        assert llm_class.class_name(), "class_name is empty"
        assert llm_class.class_name() not in inherited

    def test_a_dump_is_json(self) -> None:
        """`to_dict` is made of what JSON knows, and names the class."""
        llm = self.make_llm(**self.plain_settings())
        dump = llm.to_dict()
        assert dump["class_name"] == llm.class_name()
        assert json.loads(json.dumps(dump)) == dump

    def test_a_dump_makes_the_same_llm(self) -> None:
        """`from_dict` takes what `to_dict` gave, and changes nothing in it."""
        llm = self.make_llm(**self.plain_settings())
        dump = llm.to_dict()
        before = copy.deepcopy(dump)
        assert type(llm).from_dict(dump).to_dict() == before
        assert dump == before

    @each_copy
    def test_a_copy_has_the_settings(self, way: str) -> None:
        """Every plain setting is in a copy, however it was made."""
        settings = self.plain_settings()
        made = COPIES[way](self.make_llm(**settings))
        kept = {name: getattr(made, name) for name in settings}
        assert kept == settings, f"settings after {way}"

    @smoke
    @pytest.mark.parametrize("way", ["pickle", "deepcopy", "copy", "model_copy"])
    def test_a_copy_answers(self, way: str) -> None:
        """A copy of an LLM works as the LLM does, also where the original has been used."""
        llm = self.make_llm()
        said(llm, "chat", self.prompt)
        copied: LLM = COPIES[way](llm)
        assert self.is_answer(said(copied, "chat", self.prompt)), f"the copy made by {way} does not answer"
        assert self.is_answer(said(copied, "achat", self.prompt))
        assert self.is_answer(said(llm, "chat", self.prompt)), "the original does not answer any more"

    @smoke
    @pytest.mark.parametrize("dump", DUMPS)
    def test_no_dump_holds_a_secret(self, dump: str) -> None:
        """What is stored, logged or shown of an LLM holds none of its credentials."""
        shown = DUMPS[dump](self.make_llm(**self.secret_settings(SECRET)))
        assert SECRET not in shown, f"{dump} holds the secret"

    def test_no_event_holds_a_secret(self) -> None:
        """Observers are given calls, not credentials."""
        recorder = CallbackRecorder()
        llm = self.make_llm(**self.secret_settings(SECRET), callback_manager=recorder.manager())
        with recorded() as events:
            call(llm, "stream_chat", self.prompt)
            call(llm, "acomplete", self.prompt)
        assert SECRET not in str([event.model_dump() for event in events])
        assert SECRET not in str([*recorder.starts, *recorder.ends])

    @needs("pickles_no_secrets")
    def test_no_pickle_holds_a_secret(self) -> None:
        """A pickle, which may be stored or sent anywhere, holds no credentials."""
        assert SECRET.encode() not in pickle.dumps(self.make_llm(**self.secret_settings(SECRET)))

    @needs("can_fail")
    def test_no_error_holds_a_secret(self) -> None:
        """Errors are logged: neither their text nor their repr holds a credential."""
        failure = failure_of(self.make_failing_llm(**self.secret_settings(SECRET)), "chat", self.prompt)
        assert SECRET not in f"{failure} {failure!r}"
