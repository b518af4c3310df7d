"""Settings that every face shares: environment variables, overridden by ``%config NbMLOps``."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, replace
from typing import Any

from nbmlops.core.errors import InvalidInput

PREFIX = "NBMLOPS_"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a passwd entry, as in many containers
        return f"uid:{os.getuid()}"


@dataclass(frozen=True)
class Settings:
    """What may be set, each by ``NBMLOPS_<NAME>`` or ``%config NbMLOps.<name>``.

    Attributes
    ----------
    actor : str
        Who is recorded as having acted. Default: the login name.
    strict : bool
        Ask for a reason with every change.
    sample_rows : int
        Rows of the training data kept with a version as its reference sample.
    idle_hours : float, hours
        An endpoint that nobody calls for this long stops by itself.
    start_timeout : float, seconds
        How long an endpoint may take to give its first answer.
    request_timeout : float, seconds
        How long one request may take before it is answered with 504.
    body_limit : int, bytes
        Requests larger than this are answered with 413.
    collected_days : float, days
        Collected data older than this is deleted.
    collected_bytes : int, bytes
        The oldest collected data of an endpoint is deleted beyond this size.
    proof : bool
        Prove a version in a fresh environment before it is deployed.
    """

    actor: str = ""
    strict: bool = False
    sample_rows: int = 10_000
    idle_hours: float = 8.0
    start_timeout: float = 60.0
    request_timeout: float = 30.0
    body_limit: int = 32 * 1024 * 1024
    collected_days: float = 90.0
    collected_bytes: int = 20 * 1024**3
    proof: bool = True

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``NBMLOPS_*``; an unreadable value is an error that names the variable."""
        read: dict[str, Any] = {}
        for name, default in cls.defaults().items():
            text = os.environ.get(PREFIX + name.upper())
            if text is not None:
                read[name] = _parse(name, text, default)
        return replace(cls(actor=_user()), **read)

    @classmethod
    def defaults(cls) -> dict[str, object]:
        """Names and default values, in the order of declaration."""
        return {name: field.default for name, field in cls.__dataclass_fields__.items()}


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off", ""}:
            return False
    elif isinstance(default, (int, float)):
        try:
            value = type(default)(text)
        except ValueError:
            value = -1
        if value > 0:
            return value
    else:
        return text
    kind = "true or false" if isinstance(default, bool) else f"a positive {type(default).__name__}"
    raise InvalidInput(f"{PREFIX}{name.upper()} is {text!r}", expected=kind)


_overrides: dict[str, Any] = {}


def override(**values: object) -> None:
    """Set values for this process, above the environment (what ``%config`` does)."""
    unknown = set(values) - set(Settings.defaults())
    if unknown:
        raise InvalidInput(
            f"no setting is named {', '.join(sorted(unknown))}",
            expected=f"one of {', '.join(Settings.defaults())}",
        )
    _overrides.update(values)


def settings() -> Settings:
    """Return the settings in force now."""
    return replace(Settings.from_environment(), **_overrides)
