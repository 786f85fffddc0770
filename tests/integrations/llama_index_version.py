"""What the LlamaIndex that is installed can do: `pyproject.toml` allows older ones, which lack some of it.

Tests of such things assert by these names what an older one does instead.
"""

from __future__ import annotations

from importlib.metadata import version

_VERSION = tuple(int(part) for part in version("llama-index-core").split(".")[:3])

STREAMS_OBJECTS_OF_TEXT = _VERSION >= (0, 14, 22)
"""Whether its text program streams, and a query that filters its answers. In an older one both refuse to."""

DUMPS_IN_SILENCE = _VERSION >= (0, 14, 22)
"""Whether a dump takes a setting that was assigned with another type. An older one warns, at each call."""

MOCKS_TOOLS_BETTER = _VERSION >= (0, 14, 22)
"""Whether its `MockFunctionCallingLLM` takes what the conformance suite lets it be asked."""
