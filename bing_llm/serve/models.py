"""The models that may be asked for by name, and the client that asks each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Protocol, Self, runtime_checkable

from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError
from bing_llm.serve.errors import ApiError
from bing_llm.services import Service

AGENT: Final = "agent:"
"""How the name of a model begins that is an agent of Work IQ; its id follows."""

MOST_AGENTS: Final = 32
"""How many agents have connections at once: callers may name any number, and each has a few sockets."""


@runtime_checkable
class _WithAgents(Service, Protocol):
    def with_agent(self, agent: str, /) -> Self:
        """The same service, asking this agent."""


class Model(NamedTuple):
    """What answers a request.

    Attributes:
        name: Its name, as answers show it.
        client: The client that asks it.
    """

    name: str
    client: BingClient


class _Agent:
    def __init__(self, client: BingClient) -> None:
        self.client = client
        self.users = 0


class Models:
    """The models of a client's service, and with Work IQ its agents.

    Args:
        client: The client. It is not closed here.
        agents: The ids of agents that the list of models names. Others may be asked, too: the service has no list.
        any_model: Whether an unknown name means the client's own model. False refuses it.

    Raises:
        ConfigurationError: Agents are named, and the service has none.
    """

    def __init__(self, client: BingClient, *, agents: Sequence[str] = (), any_model: bool = False) -> None:
        self._client = client
        self._any_model = any_model
        service = client.service
        self._service = service if isinstance(service, _WithAgents) else None
        self._own_agent: str | None = getattr(service, "agent", None)
        listed = dict.fromkeys([*([self._own_agent] if self._own_agent else []), *agents])
        if agents and self._service is None:
            msg = f"The backend {service.name} has no agents to offer: only workiq has."
            raise ConfigurationError(msg, hint="Leave --offer-agent out, or use workiq; in Python, leave agents= out.")
        self.names = (*service.models, *(f"{AGENT}{agent}" for agent in listed))
        self._agents = OrderedDict[str, _Agent]()

    def entries(self, created: int) -> list[dict[str, Any]]:
        """The list of models as OpenAI's API has it.

        Args:
            created: When this server began, in seconds since 1970.
        """
        return [self.entry(name, created) for name in self.names]

    def entry(self, name: str, created: int) -> dict[str, Any]:
        """One of them.

        Raises:
            ApiError: It is not there.
        """
        if name not in self.names and not self._is_agent(name):
            raise self._unknown(name)
        return {"id": name, "object": "model", "created": created, "owned_by": self._client.backend_name}

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[Model]:
        """The model of this name; None and "" mean the client's own.

        Raises:
            ApiError: There is no such model.
        """
        own = self._client.model
        if name and self._is_agent(name):
            async with self._use_agent(name) as client:
                yield Model(name, client)
        elif not name or name == own:
            yield Model(own, self._client)
        elif name in self._client.service.models:
            yield Model(name, self._client.with_options(model=name))
        elif self._any_model:
            yield Model(own, self._client)
        else:
            raise self._unknown(name)

    @asynccontextmanager
    async def _use_agent(self, name: str) -> AsyncIterator[BingClient]:
        agent_id = name.removeprefix(AGENT)
        if agent_id == self._own_agent:
            yield self._client
            return
        agent = self._agents.get(agent_id) or self._open_agent(agent_id)
        self._agents.move_to_end(agent_id)
        agent.users += 1
        try:
            await self._close_idle()
            yield agent.client
        finally:
            agent.users -= 1

    def _is_agent(self, name: str) -> bool:
        return self._service is not None and name.startswith(AGENT) and name != AGENT

    def _open_agent(self, agent_id: str) -> _Agent:
        assert self._service is not None  # noqa: S101 - by the callers
        try:
            asked = self._service.with_agent(agent_id)
        except ConfigurationError as exc:
            raise ApiError(400, str(exc), code="invalid_value", param="model") from exc
        agent = self._agents[agent_id] = _Agent(self._client.with_service(asked))
        return agent

    async def _close_idle(self) -> None:
        """Close what was used the longest ago, if there are too many; not what is in use."""
        idle = [agent_id for agent_id, agent in self._agents.items() if not agent.users]
        for agent_id in idle[: max(0, len(self._agents) - MOST_AGENTS)]:
            await self._agents.pop(agent_id).client.aclose()

    def _unknown(self, name: str) -> ApiError:
        known = ", ".join(self.names)
        more = f", and {AGENT}<id> for any agent" if self._service is not None else ""
        msg = f"The model {name!r:.200} does not exist here. There are: {known}{more}."
        return ApiError(404, msg, code="model_not_found", param="model")

    async def aclose(self) -> None:
        """Close the connections to agents."""
        while self._agents:
            _, agent = self._agents.popitem()
            await agent.client.aclose()
