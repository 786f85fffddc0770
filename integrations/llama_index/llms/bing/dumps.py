"""What a dump of an LLM says of the service or the client that it was given, which are no fields of a dump."""

from __future__ import annotations

from bing_llm.client import BingClient
from bing_llm.completion.fields import SERVICE_FIELDS
from bing_llm.errors import ConfigurationError
from bing_llm.services import SERVICES, Service, default_of
from bing_llm.tools.prompt import ToolPrompt

_STORED = frozenset((*SERVICE_FIELDS, "model"))
_NEVER_STORED = frozenset(("cookies", "token"))


def dump_owner(client: BingClient | None, service: Service | None) -> dict[str, object]:
    """The part of a dump that stands for a client or a service.

    A service of this package becomes `backend` and its settings, without its credential, if the LLM has a field for
    each of them. Else the dump names the class, and `refuse_dumped` says at reading that the object is needed.
    """
    if client is not None:
        return {"client": _name_of(client)}
    if service is None:
        return {}
    kind = SERVICES.get(service.name)
    if kind is None or type(service) is not kind:
        return {"service": _name_of(service)}
    given = {name: getattr(service, name) for name in kind.__struct_fields__}
    changed = {name: value for name, value in given.items() if value != default_of(kind, name)}
    if not changed.keys() <= _STORED:
        return {"service": _name_of(service)}
    settings = {name: value for name, value in changed.items() if name not in _NEVER_STORED}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return {"backend": service.name, **plain}


def dump_prompt(tool_prompt: ToolPrompt | None) -> dict[str, object]:
    """The part of a dump that stands for a tool prompt of one's own: its class."""
    return {} if tool_prompt is None else {"tool_prompt": _name_of(tool_prompt)}


def refuse_dumped(name: str, value: object) -> object:
    """The value of the field `client`, `service` or `tool_prompt`.

    Raises:
        ConfigurationError: It is what a dump says of such an object.
    """
    if isinstance(value, str):
        msg = f"This dump is of a Bing with a {name} of its own, {value:.200}, which a dump does not hold."
        raise ConfigurationError(msg, hint=f"Pass it: Bing.from_dict(dump, {name}=...).")
    return value


def _name_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
