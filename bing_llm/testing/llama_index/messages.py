"""Messages: every role, every block, nothing lost, and nothing of the caller's changed."""

from __future__ import annotations

import base64
import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms import LLM

from bing_llm.testing.llama_index.calls import each_chat, said, user
from bing_llm.testing.llama_index.recording import recorded
from bing_llm.testing.llama_index.subject import Subject, smoke

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""

WORD = "Zanzibar"
"""A word that is in no prompt of anybody: where it is heard, the message was sent."""

TOOL_CALL_ID = "call_conformance_1"


def block_of(kind: str) -> Any:
    """A content block of this kind, with `WORD` in it where it holds text."""
    blocks: dict[str, Callable[[], Any]] = {
        "audio": lambda: AudioBlock(audio=b"RIFF\x24\x00\x00\x00WAVEfmt ", format="wav"),
        "cache": lambda: CachePoint(cache_control=CacheControl(type="ephemeral")),
        "citable": lambda: CitableBlock(
            title="Islands", source="https://islands.example/", content=[TextBlock(text=f"On {WORD}.")]
        ),
        "citation": lambda: CitationBlock(
            cited_content=TextBlock(text=f"On {WORD}."),
            source="https://islands.example/",
            title="Islands",
            additional_location_info={},
        ),
        "document": lambda: DocumentBlock(
            data=f"On {WORD}.".encode(), title="islands.txt", document_mimetype="text/plain"
        ),
        "image": lambda: ImageBlock(image=PNG, image_mimetype="image/png"),
        "text": lambda: TextBlock(text=f"On {WORD}."),
        "thinking": lambda: ThinkingBlock(content="The user likes islands."),
        "tool_call": lambda: ToolCallBlock(
            tool_call_id=TOOL_CALL_ID, tool_name="find_island", tool_kwargs={"name": WORD}
        ),
        "video": lambda: VideoBlock(video=b"\x00\x00\x00\x18ftypmp42", video_mimetype="video/mp4"),
    }
    return blocks[kind]()


SPOKEN = ("citable", "document", "text", "tool_call")
"""The kinds of blocks whose text the model must be given."""

OF_THE_ASSISTANT = ("citation", "thinking", "tool_call")
"""The kinds of blocks that an assistant's message holds."""


def result_of_call() -> ChatMessage:
    """What the tool called in `block_of("tool_call")` gave back."""
    return ChatMessage(role="tool", content=f"{WORD} it is.", additional_kwargs={"tool_call_id": TOOL_CALL_ID})


def conversation_with(message: ChatMessage, prompt: str) -> list[ChatMessage]:
    """A conversation in which the message has its place, and which ends with the prompt."""
    kinds = {block.block_type for block in message.blocks}
    if message.role in {MessageRole.TOOL, MessageRole.FUNCTION}:
        call = ChatMessage(role="assistant", blocks=[block_of("tool_call")])
        return [user("Which island?"), call, message, user(prompt)]
    if "tool_call" in kinds:
        return [user("Which island?"), message, result_of_call(), user(prompt)]
    return [user("Hello."), message, user(prompt)]


class MessageConformance(Subject):
    """An LLM takes every message that LlamaIndex can make, and leaves it as it was."""

    def _heard(self, llm: LLM, messages: list[ChatMessage]) -> str:
        with recorded() as events:
            said(llm, "chat", messages)
            return self.heard(events)

    @each_chat
    def test_messages_are_left_as_they_were(self, method: str) -> None:
        """Neither the caller's list nor a message in it is changed, nor what a message holds."""
        messages = [
            ChatMessage(role="system", content="Be brief."),
            user("Which island?"),
            ChatMessage(role="assistant", blocks=[block_of("tool_call")], additional_kwargs={"kept": ["as it is"]}),
            result_of_call(),
            ChatMessage(role="user", blocks=[TextBlock(text=self.prompt), TextBlock(text="Please.")]),
        ]
        before, same = copy.deepcopy(messages), list(messages)
        said(self.make_llm(), method, messages)
        assert messages == before, f"{method} changed a message"
        assert all(one is other for one, other in zip(messages, same, strict=True)), f"{method} replaced a message"

    @each_chat
    def test_any_sequence_of_messages_is_taken(self, method: str) -> None:
        """Messages come as any sequence, a tuple for one."""
        assert self.is_answer(said(self.make_llm(), method, (user("Hello."), user(self.prompt))))

    @smoke
    def test_earlier_messages_are_heard(self) -> None:
        """The model is given the whole conversation, not its last message alone."""
        messages = [user(f"I live in {WORD}."), ChatMessage(role="assistant", content="I see."), user(self.prompt)]
        assert WORD in self._heard(self.make_llm(), messages)

    @pytest.mark.parametrize("role", list(MessageRole), ids=lambda role: str(role.value))
    def test_a_role_is_taken_or_refused(self, role: MessageRole) -> None:
        """A message in each role is heard; where the LLM does not take the role, it is refused, and not lost."""
        message = ChatMessage(role=role, content=f"On {WORD}.", additional_kwargs={"tool_call_id": TOOL_CALL_ID})
        if role not in {MessageRole.TOOL, MessageRole.FUNCTION}:
            message.additional_kwargs.clear()
        messages = conversation_with(message, self.prompt)
        if role in self.roles:
            assert WORD in self._heard(self.make_llm(), messages), f"the message of the {role.value} was lost"
        else:
            assert _is_refused(self.make_llm(), messages), f"the role {role.value} is neither taken nor refused"

    @pytest.mark.parametrize("kind", ["audio", "cache", "citable", "citation", "document", "image", "text", "thinking",
                                      "tool_call", "video"])  # fmt: skip
    def test_a_block_is_taken_or_refused(self, kind: str) -> None:
        """A content block of each kind is taken, and its text heard; or it is refused, and not lost.

        It is refused in the newest message of the user. An LLM may pass over it in an older one.
        """
        blocks = [TextBlock(text="About islands:"), block_of(kind)]
        role = "assistant" if kind in OF_THE_ASSISTANT else "user"
        messages = conversation_with(ChatMessage(role=role, blocks=blocks), self.prompt)
        if kind not in self.block_kinds:
            messages = messages if role == "assistant" else messages[:-1]
            assert _is_refused(self.make_llm(), messages), f"a block of kind {kind} is neither taken nor refused"
            return
        heard = self._heard(self.make_llm(), messages)
        assert kind not in SPOKEN or WORD in heard or _in_base64(WORD, heard), f"the text of the {kind} block was lost"

    @each_chat
    @pytest.mark.parametrize("content", [None, "", " \n"], ids=["none", "empty", "blank"])
    def test_a_message_may_be_empty(self, method: str, content: str | None) -> None:
        """A message in the history may have no content, empty content, or only space: stored chats hold such ones."""
        messages = [user("Hello."), ChatMessage(role="assistant", content=content), user(self.prompt)]
        assert self.is_answer(said(self.make_llm(), method, messages))

    @each_chat
    def test_a_call_without_text_is_taken(self, method: str) -> None:
        """An assistant's message may hold calls alone: its content is None."""
        messages = conversation_with(ChatMessage(role="assistant", blocks=[block_of("tool_call")]), self.prompt)
        assert messages[1].content is None
        assert self.is_answer(said(self.make_llm(), method, messages))

    @smoke
    @each_chat
    def test_a_system_message_may_come_last(self, method: str) -> None:
        """An agent that stops early asks for its answer by a system message after all others."""
        messages = [user(self.prompt), ChatMessage(role="system", content="Answer now, with what you have.")]
        assert said(self.make_llm(), method, messages).strip()

    @each_chat
    def test_several_system_messages_are_taken(self, method: str) -> None:
        """System messages may be many, and may stand anywhere: engines put theirs beside the user's."""
        system = [ChatMessage(role="system", content=text) for text in ("Be brief.", "Be kind.")]
        assert self.is_answer(said(self.make_llm(), method, [system[0], user("Hello."), system[1], user(self.prompt)]))

    def test_texts_of_one_message_are_all_heard(self) -> None:
        """A message of several text blocks is heard whole."""
        blocks = [TextBlock(text=f"First {WORD}."), TextBlock(text="Second Madagascar."), TextBlock(text=self.prompt)]
        heard = self._heard(self.make_llm(), [ChatMessage(role="user", blocks=blocks)])
        assert WORD in heard
        assert "Madagascar" in heard


def _is_refused(llm: LLM, messages: list[ChatMessage]) -> bool:
    """Whether the LLM raises, or warns at least."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            said(llm, "chat", messages)
        except Exception as exc:  # noqa: BLE001 - which one is the LLM's own affair
            return not isinstance(exc, RuntimeError)
    return any(issubclass(one.category, UserWarning) for one in warned)


def _in_base64(word: str, heard: str) -> bool:
    """Whether the word, as part of `On <word>.`, was sent as base64."""
    return base64.b64encode(f"On {word}.".encode()).decode().rstrip("=") in heard
