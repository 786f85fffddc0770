"""The messages of a turn as the service writes them (recordings 02, 03, 05; docs/protocol/chathub.md, section e)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.emulator.chathub import shapes
from bing_llm.emulator.sources import Sources
from bing_llm.emulator.wire import new_id, timestamp
from bing_llm.events import SearchResult

_APOLOGY = "I'd rather not go on with this one. What else can we talk about?"
_LIMITED = "This conversation has had all its turns. Start a new one to go on."
_DISENGAGED = "> Conversation disengaged"


class MessageWriter:
    """Writes the messages of one request.

    Args:
        request_id: The request.
        clock: The time, in seconds since 1970.
    """

    def __init__(self, request_id: str, clock: Callable[[], float]) -> None:
        self._request_id = request_id
        self._clock = clock

    def user(self, arguments: frames.ChatArguments) -> shapes.Message:
        """The user's message as the service echoes it, always the first of a final frame."""
        said = arguments.message or frames.UserMessage()
        now = timestamp(self._clock())
        return shapes.Message(
            text=said.text,
            author="user",
            from_={"id": arguments.participant and arguments.participant.id, "name": None, "partnerId": None},
            created_at=now,
            timestamp=said.timestamp or now,
            locale=said.locale,
            market=said.market,
            region=said.region,
            location_hints=said.location_hints,
            message_id=self._request_id,
            request_id=self._request_id,
            nlu={"scoredClassification": {"classification": "CHAT_GPT", "score": None}},
            offense="None",
            feedback=shapes.feedback(),
            content_origin="cib",
            input_method=said.input_method,
        )

    def answer(self, message_id: str, text: str, sources: Sources, *, final: bool) -> shapes.Message:
        """The answer as it is so far: the whole text each time."""
        blocks = shapes.text_blocks(sources.card_text(text), sources.learn_more(text))
        return self._bot(
            text,
            message_id=message_id,
            offense="None" if final else "Unknown",
            adaptive_cards=shapes.card(*blocks),
            source_attributions=shapes.raw(sources.attributions(text)),
        )

    def search_query(self, query: str) -> shapes.Message:
        """The message that a search begins."""
        text = f"Searching the web for: `{query}`"
        return self._bot(
            text,
            message_type="InternalSearchQuery",
            hidden_text=query,
            invocation=f'search_web(query="{query}")',
            adaptive_cards=shapes.subtle_card(text),
        )

    def search_result(self, results: tuple[SearchResult, ...]) -> shapes.Message:
        """What a search found, as JSON in the text."""
        found = {"web_search_results": results, "recipe_search_results": []}
        text = msgspec.json.encode(found).decode()
        return self._bot(
            text,
            message_type="InternalSearchResult",
            hidden_text=f"```json\n{text}\n```",
            adaptive_cards=shapes.subtle_card("Reading what was found..."),
        )

    def loader(self, text: str) -> shapes.Message:
        """A line that is shown while the service works."""
        return self._bot(text, message_type="InternalLoaderMessage", adaptive_cards=shapes.subtle_card(text))

    def image_request(self, prompt: str) -> shapes.Message:
        """The model asks for a picture (recording 02). Such a message has no card."""
        return self._bot(
            prompt,
            content_type="IMAGE",
            message_type="GenerateContentQuery",
            invocation=f'graphic_art(prompt="{prompt}")',
        )

    def apology(self, notice: str) -> shapes.Message:
        """The message of moderation in place of the answer."""
        text = notice or _APOLOGY
        return self._bot(text, content_origin="Apology", adaptive_cards=shapes.card(*shapes.text_blocks(text, "")))

    def disengaged(self, notice: str) -> shapes.Message:
        """The message that the service ended the conversation (recording 22)."""
        return self._bot(notice or None, message_type="Disengaged", hidden_text=_DISENGAGED)

    def turn_limiter(self) -> shapes.Message:
        """The message that the conversation has had all its turns."""
        blocks = shapes.text_blocks(_LIMITED, "")
        return self._bot(_LIMITED, content_origin="TurnLimiter", adaptive_cards=shapes.card(*blocks))

    def suggestion(self, text: str) -> shapes.Message:
        """One suggested next user message."""
        return self._bot(
            text,
            author="user",
            message_type="Suggestion",
            content_origin="SuggestionChipsFalconService",
            offense="Unknown",
        )

    def _bot(self, text: str | None, *, message_id: str = "", **fields: Any) -> shapes.Message:
        now = timestamp(self._clock())
        usual = {
            "author": "bot",
            "content_origin": "DeepLeo",
            "offense": "None",
            "feedback": shapes.feedback(),
        }
        message_id = message_id or new_id()
        return shapes.Message(text=text, message_id=message_id, created_at=now, timestamp=now, **(usual | fields))
