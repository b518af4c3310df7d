"""The configuration that a supervisor hands to a scorer."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import ServingError

FORMAT = 1


class ArmConfig(msgspec.Struct, frozen=True):
    """One model version behind the endpoint.

    Attributes
    ----------
    weight : float
        Its share of the traffic, relative to the others'. At 0 it stays loaded and can be asked for by header.
    socket : str, optional
        The Unix socket of the worker process that holds the model; None loads it in the scorer.
    """

    name: str
    model: str
    version: str
    bundle: str
    weight: float = 100.0
    socket: str | None = None


class Limits(msgspec.Struct, frozen=True):
    """What a scorer bears: bytes of a body, requests in it at once, seconds to read a body and to score it."""

    body_bytes: int = 33_554_432
    queue: int = 1024
    timeout_s: float = 30.0


class ServingConfig(msgspec.Struct, frozen=True):
    """What a scorer serves.

    Attributes
    ----------
    token : str, optional
        The bearer token; None leaves the endpoint open.
    limits : Limits
    error_log : str, optional
        The file for tracebacks; None writes them to stderr.
    """

    endpoint: str
    arms: list[ArmConfig]
    token: str | None
    format: int = FORMAT
    limits: Limits = Limits()
    error_log: str | None = None


def parse_config(document: Any) -> ServingConfig:
    """Read and check a configuration.

    Raises
    ------
    ServingError
        ``invalid_configuration``.
    """
    try:
        config = msgspec.convert(document, ServingConfig)
    except msgspec.ValidationError as error:
        raise ServingError("invalid_configuration", f"the configuration can't be read: {error}") from error
    names = [arm.name for arm in config.arms]
    problems = {
        f"it has format {config.format}; this server reads {FORMAT}": config.format != FORMAT,
        "it names no arm": not names,
        f"it names an arm twice: {', '.join(names)}": len(set(names)) != len(names),
        "a weight is negative": any(arm.weight < 0 for arm in config.arms),
        "all weights are 0": bool(names) and sum(arm.weight for arm in config.arms) <= 0,
        "the token is empty": config.token == "",
        "a limit is not positive": min(config.limits.body_bytes, config.limits.queue, config.limits.timeout_s) <= 0,
    }
    for problem, found in problems.items():
        if found:
            raise ServingError("invalid_configuration", f"the configuration can't be served: {problem}")
    return config
