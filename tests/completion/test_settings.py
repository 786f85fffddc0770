"""The settings that make the client of an adapter's model."""

from __future__ import annotations

import msgspec
import pytest

from bing_llm.client import BingClient
from bing_llm.completion.settings import ClientSettings, connected, retries_of
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Retries
from bing_llm.services import ChatHub, WorkIQ

EMULATOR = ClientSettings(backend="emulator")


def test_settings_reach_the_client() -> None:
    """Each of them, by the client's own names."""
    settings = ClientSettings(
        model="bing-precise",
        backend="chathub",
        endpoint="https://chat.example.com",
        cookies="_U=secret",
        search=False,
        locale="de-DE",
        timeout=5,
    )
    client = settings.connect()
    assert isinstance(client.service, ChatHub)
    assert (client.backend_name, client.model, client.service.search) == ("chathub", "bing-precise", False)
    assert (client.service.locale, client.service.cookies, client.timeouts.turn) == ("de-DE", "_U=secret", 5)
    assert "secret" not in repr(settings)


def test_settings_of_work_iq_reach_the_client() -> None:
    """Each of them, by the client's own names; the token is not shown."""
    file = "https://contoso.sharepoint.com/sites/x/plan.docx"
    settings = ClientSettings(
        backend="workiq", token="secret", time_zone="Europe/Zurich", files=(file,), entity_tags="strip"
    )
    client = settings.connect()
    assert isinstance(client.service, WorkIQ)
    assert (client.backend_name, client.model, client.service.time_zone) == ("workiq", "copilot", "Europe/Zurich")
    assert (client.service.files, client.service.entity_tags) == ((file,), "strip")
    assert "secret" not in repr(settings)


def test_settings_for_speed_reach_the_client() -> None:
    """Going on, the limit of open turns, and what is kept ready."""
    client = ClientSettings(backend="emulator", continue_conversations=False, max_concurrency=3, warm=0).connect()
    assert client.continuations is None
    assert client.semaphore is not None
    with pytest.raises(ConfigurationError, match="warm is 33"):
        ClientSettings(backend="emulator", warm=33).connect()
    with pytest.raises(ConfigurationError, match="max_concurrency is 0"):
        ClientSettings(backend="emulator", max_concurrency=0).connect()


def test_what_stands_beside_a_client_is_refused() -> None:
    """It would be dropped in silence; the model is an option of a client, and what is as by default is not said."""
    client = EMULATOR.connect()
    ClientSettings(client=client, model="bing-precise", locale="de-DE").check_nothing_beside_client(
        ClientSettings(locale="de-DE")
    )
    with pytest.raises(ConfigurationError, match="client is given, and so is search"):
        ClientSettings(client=client, search=False).check_nothing_beside_client(ClientSettings())


def test_a_client_is_made_once() -> None:
    """Until a setting changes; another model has the same client."""
    first = connected(EMULATOR, None)
    assert connected(msgspec.structs.replace(EMULATOR, model="bing-precise"), first) is first
    assert connected(msgspec.structs.replace(EMULATOR, search=False), first).client is not first.client


async def test_a_client_of_the_users_own_stays_open() -> None:
    """We close only what we opened."""
    own = BingClient(backend="emulator")
    await connected(ClientSettings(client=own), None).aclose()
    assert own.prompt_limit
    made = connected(EMULATOR, None)
    await made.aclose()
    with pytest.raises(ConfigurationError):
        made.client.backend  # noqa: B018 - it raises
    await own.aclose()


@pytest.mark.parametrize(("max_retries", "attempts"), [(None, 3), (0, 1), (4, 5)])
def test_the_number_of_retries_may_be_given(max_retries: int | None, attempts: int) -> None:
    """All else is the client's."""
    client = BingClient(backend="emulator", retries=Retries(attempts=3, first_wait=0.25))
    retries = retries_of(client, max_retries)
    assert (retries.attempts, retries.first_wait) == (attempts, 0.25)
