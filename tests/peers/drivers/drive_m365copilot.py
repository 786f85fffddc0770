"""Talk to the Copilot Chat API through Microsoft's own SDK and write what it gave as one line of JSON.

    python drive_m365copilot.py BASE_URL {chat,stream,refused} PROMPT [PROMPT ...]

All prompts go into one conversation. Only the host is another, and the token comes from no identity provider; both are
settings of the SDK.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kiota_abstractions.request_information import RequestInformation
from microsoft_agents_m365copilot_beta.agents_m365_copilot_beta_request_adapter import (
    AgentsM365CopilotBetaRequestAdapter,
)
from microsoft_agents_m365copilot_beta.agents_m365_copilot_beta_service_client import (
    AgentsM365CopilotBetaServiceClient,
)
from microsoft_agents_m365copilot_beta.generated.copilot.conversations.item.microsoft_graph_copilot_chat import (
    chat_post_request_body,
)
from microsoft_agents_m365copilot_beta.generated.copilot.conversations.item.microsoft_graph_copilot_chat_over_stream import (  # noqa: E501 - the SDK's own name
    chat_over_stream_post_request_body,
)
from microsoft_agents_m365copilot_beta.generated.models.copilot_context_message import CopilotContextMessage
from microsoft_agents_m365copilot_beta.generated.models.copilot_contextual_resources import CopilotContextualResources
from microsoft_agents_m365copilot_beta.generated.models.copilot_conversation import CopilotConversation
from microsoft_agents_m365copilot_beta.generated.models.copilot_conversation_location import (
    CopilotConversationLocation,
)
from microsoft_agents_m365copilot_beta.generated.models.copilot_conversation_request_message_parameter import (
    CopilotConversationRequestMessageParameter,
)
from microsoft_agents_m365copilot_beta.generated.models.copilot_web_context import CopilotWebContext
from microsoft_agents_m365copilot_beta.generated.models.o_data_errors.o_data_error import ODataError

TOKENS = {"chat": "emulator-token", "stream": "emulator-token", "refused": "another-token"}


class Bearer:
    """An authentication provider that sends one token. The SDK's own sends none over plain http."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate_request(
        self, request: RequestInformation, additional_authentication_context: dict[str, Any] | None = None
    ) -> None:
        """Put the token into the request."""
        del additional_authentication_context
        request.headers.add("Authorization", f"Bearer {self._token}")


def filled(body: Any, prompt: str) -> Any:
    """The body of a turn with everything that the SDK can say in it."""
    body.message = CopilotConversationRequestMessageParameter(
        odata_type="#microsoft.graph.copilotConversationRequestMessageParameter", text=prompt
    )
    body.location_hint = CopilotConversationLocation(time_zone="Europe/Zurich")
    body.additional_context = [CopilotContextMessage(text="Earlier words.", description="history")]
    body.contextual_resources = CopilotContextualResources(web_context=CopilotWebContext(is_web_enabled=False))
    return body


async def chat(conversation: Any, prompt: str) -> dict[str, object]:
    """The answer, as the SDK parses it."""
    body = filled(chat_post_request_body.ChatPostRequestBody(), prompt)
    answer = await conversation.microsoft_graph_copilot_chat.post(body)
    return {
        "id": answer.id,
        "state": answer.state.value,
        "title": answer.display_name,
        "turns": answer.turn_count,
        "dated": all(message.created_date_time.year for message in answer.messages),
        "messages": [message.text for message in answer.messages],
        "attributions": [
            [
                each.attribution_type.value,
                each.attribution_source.value,
                each.provider_display_name,
                each.see_more_web_url,
            ]
            for each in answer.messages[-1].attributions
        ],
    }


async def stream(conversation: Any, prompt: str) -> dict[str, object]:
    """The answer's bytes, which the SDK hands on as they are when all have come."""
    body = filled(chat_over_stream_post_request_body.ChatOverStreamPostRequestBody(), prompt)
    written = await conversation.microsoft_graph_copilot_chat_over_stream.post(body)
    return {"events": [json.loads(line[6:]) for line in written.decode().splitlines() if line.startswith("data: ")]}


async def main(base_url: str, way: str, *prompts: str) -> None:
    """Put each prompt in turn, in one conversation."""
    adapter = AgentsM365CopilotBetaRequestAdapter(Bearer(TOKENS[way]))
    adapter.base_url = base_url
    client = AgentsM365CopilotBetaServiceClient(request_adapter=adapter)
    put = stream if way == "stream" else chat
    try:
        created = await client.copilot.conversations.post(CopilotConversation())
        conversation = client.copilot.conversations.by_copilot_conversation_id(created.id)
        answers = [await put(conversation, prompt) for prompt in prompts]
    except ODataError as exc:
        answers = [{"status": exc.response_status_code, "code": exc.error.code, "message": exc.error.message}]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
