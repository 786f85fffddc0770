"""The models that may be asked for by name."""

from __future__ import annotations

import pytest

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.errors import ConfigurationError
from bing_llm.serve import models
from bing_llm.serve.errors import ApiError
from bing_llm.serve.models import Models
from bing_llm.services import WorkIQ
from tests.fakes import FakeBackend, answer, client_of
from tests.serve.visitor import fronting, visiting

WRITER = "agent:P_writer.emulator"


def workiq(emulator: Emulator, agent: str | None = None) -> BingClient:
    """A client of the emulator's Work IQ."""
    url = emulator.a2a_url if agent else emulator.workiq_url
    return BingClient(WorkIQ(token=emulator.token, endpoint=url, time_zone="Europe/Zurich", agent=agent))


async def test_the_models_of_the_service_are_listed() -> None:
    """In OpenAI's form, and each by its name."""
    async with fronting(FakeBackend()) as visitor:
        listed = (await visitor.send("GET", "/v1/models")).json
        one = (await visitor.send("GET", "/v1/models/bing-precise")).json
        unknown = await visitor.send("GET", "/v1/models/gpt-4o")
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["bing-creative", "bing-balanced", "bing-precise"]
    assert one in listed["data"]
    assert (one["object"], one["owned_by"]) == ("model", "chathub")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


async def test_a_model_is_asked_by_its_name() -> None:
    """Without one, that of the client."""
    backend = FakeBackend(answer("one"), answer("two"))
    async with fronting(backend) as visitor:
        answered = [(await visitor.chat(model=name)).json["model"] for name in ("bing-precise", "")]
    assert answered == ["bing-precise", "bing-balanced"]
    assert backend.models == ["bing-precise", None]


async def test_an_unknown_model_does_not_exist() -> None:
    """The error names those that do."""
    async with fronting(FakeBackend()) as visitor:
        answered = await visitor.chat(model="gpt-4o")
        agent = await visitor.chat(model=WRITER)
    assert (answered.status, answered.error["code"], answered.error["param"]) == (404, "model_not_found", "model")
    assert "bing-precise" in answered.error["message"]
    assert agent.status == 404  # ChatHub has no agents


async def test_unknown_models_may_mean_that_of_the_client() -> None:
    """For tools whose model cannot be chosen; the answer says which one it was."""
    async with fronting(FakeBackend(answer("Hi")), any_model=True) as visitor:
        assert (await visitor.chat(model="gpt-4o")).json["model"] == "bing-balanced"


async def test_an_agent_is_asked_by_its_id(bing_emulator: Emulator) -> None:
    """Over the protocol that reaches agents, by one client for all its requests."""
    async with visiting(workiq(bing_emulator), agents=["P_writer.emulator"]) as visitor:
        listed = [model["id"] for model in (await visitor.send("GET", "/v1/models")).json["data"]]
        answered = [(await visitor.chat(model=WRITER, stream=False)).json for _ in range(2)]
        await visitor.chat(model="copilot")
        unlisted = (await visitor.send("GET", "/v1/models/agent:P_other")).json
    assert listed == ["copilot", WRITER]
    assert [each["model"] for each in answered] == [WRITER, WRITER]
    assert unlisted["id"] == "agent:P_other"
    paths = [request.path for request in bing_emulator.requests]
    assert sum("P_writer.emulator/.well-known" in path for path in paths) == 1
    assert any(path.startswith("/rest") for path in paths)


async def test_the_agent_of_the_client_is_one_of_its_models(bing_emulator: Emulator) -> None:
    """It is asked by the client itself."""
    async with visiting(workiq(bing_emulator, "P_writer.emulator")) as visitor:
        listed = [model["id"] for model in (await visitor.send("GET", "/v1/models")).json["data"]]
        assert (await visitor.chat(model=WRITER)).status == 200
    assert listed == ["copilot", WRITER]


async def test_an_unknown_agent_is_the_service_s_error(bing_emulator: Emulator) -> None:
    """In OpenAI's form; a name that no agent can have is refused at once."""
    async with visiting(workiq(bing_emulator)) as visitor:
        unknown = await visitor.chat(model="agent:P_nobody")
        nonsense = await visitor.chat(model="agent:..")
        empty = await visitor.chat(model="agent:")
    assert unknown.status == 400
    assert (nonsense.status, nonsense.error["param"]) == (400, "model")
    assert empty.status == 404


async def test_agents_that_are_not_used_are_closed(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was used the longest ago, and never one in use."""
    monkeypatch.setattr(models, "MOST_AGENTS", 1)
    async with workiq(bing_emulator) as client:
        known = Models(client)
        async with known.use("agent:a") as first:
            async with known.use("agent:b") as second:
                assert first.client.backend is not None
            assert second.client is not first.client
        async with known.use("agent:c"):
            pass
        for gone in (first, second):
            with pytest.raises(ConfigurationError, match="closed"):
                _ = gone.client.backend
        await known.aclose()


async def test_agents_of_a_service_that_has_none_are_refused() -> None:
    """When the server is made."""
    async with client_of(FakeBackend()) as client:
        with pytest.raises(ConfigurationError, match="only workiq has"):
            Models(client, agents=["P_writer"])


async def test_an_error_in_use_is_passed_on(bing_emulator: Emulator) -> None:
    """And the agent is free again."""
    async with workiq(bing_emulator) as client:
        known = Models(client)
        with pytest.raises(ApiError):
            async with known.use("agent:a"):
                raise ApiError(400, "x")
        assert not known._agents["a"].users
        await known.aclose()
