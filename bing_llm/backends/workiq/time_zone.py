"""The time zone of this machine, by its IANA name."""

from __future__ import annotations

from bing_llm.errors import ConfigurationError

__all__ = ["local_time_zone"]

_HINT = "Pass time_zone= with an IANA name, such as 'Europe/Zurich'"


def local_time_zone() -> str:
    """The machine's time zone, such as `Europe/Zurich`; tzlocal of the extra `workiq` finds it.

    Raises:
        ConfigurationError: tzlocal is not installed, or finds none.
    """
    try:
        import tzlocal  # noqa: PLC0415 - an extra
    except ImportError as exc:
        msg = "The time zone of this machine cannot be told: tzlocal is not installed."
        raise ConfigurationError(msg, hint=f'{_HINT}, or: pip install "bing-llm[workiq]"') from exc
    try:
        name = tzlocal.get_localzone_name()
    except Exception as exc:  # its errors differ by platform: LookupError, ValueError, OSError
        raise ConfigurationError(f"The time zone of this machine cannot be told: {exc}", hint=f"{_HINT}.") from exc
    if not name:
        raise ConfigurationError("The time zone of this machine has no name.", hint=f"{_HINT}.")
    return str(name)
