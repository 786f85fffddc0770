"""The backend of a client: made once, at its first use, and shared by all models."""

from __future__ import annotations

import threading

import pytest

from bing_llm.backends.base import AnyBackend
from bing_llm.backends.chathub.options import MODELS
from bing_llm.client import _Backends
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Limits, Timeouts
from bing_llm.services import SERVICES
from tests.backends.serving import GRACE_S
from tests.fakes import FakeBackend

OWN, OTHER = "bing-balanced", "bing-precise"


def unused(name: str = "chathub") -> _Backends:
    """Those of a client that was not used yet."""
    return _Backends(SERVICES[name](model=OWN), Timeouts(), Limits())


@pytest.mark.parametrize("name", ["chathub", "emulator"])
async def test_each_model_has_one_backend(name: str) -> None:
    """A model's backend is made once, and takes the prompts of its model."""
    backend = unused(name)
    assert backend.opened == {}
    for model, style in MODELS.items():
        assert backend.of(model) is backend.of(model)
        assert backend.of(model).prompt_limit == style.prompt_limit
    assert len(set(map(id, backend.opened.values()))) == len(MODELS)
    await backend.aclose()


@pytest.mark.parametrize("model", [OWN, OTHER])
def test_threads_get_the_same_backend(model: str) -> None:
    """Of threads that use a client for the first time none gets a backend of its own."""
    backend, given = unused(), list[AnyBackend]()
    together = threading.Barrier(8, timeout=GRACE_S)

    def use() -> None:
        together.wait()
        given.append(backend.of(model))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert set(map(id, given)) == {id(backend.of(model))}


async def test_closing_closes_the_one_that_holds_the_connections() -> None:
    """However many models were used, their connections are closed once; then no model has a backend."""
    backend, fake = unused(), FakeBackend()
    backend.opened[OWN] = fake
    backend.of(OTHER)
    await backend.aclose()
    assert fake.calls == ["close"]
    for model in (OWN, OTHER):
        with pytest.raises(ConfigurationError, match="This client was closed"):
            backend.of(model)


async def test_what_was_never_used_has_nothing_to_close() -> None:
    """Closing makes no backend."""
    backend = unused()
    await backend.aclose()
    assert backend.opened == {}
