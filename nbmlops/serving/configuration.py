"""The configuration that a supervisor hands to a scorer."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .errors import ServingError
from .guardrails import Rules

FORMAT = 1


class MemberConfig(msgspec.Struct, frozen=True):
    """One model of an ensemble; `weight` is its share of the combined answer, relative to the others'."""

    model: str
    version: str
    bundle: str
    weight: float = 1.0
    socket: str | None = None


class ArmConfig(msgspec.Struct, frozen=True):
    """One model version behind the endpoint, or an ensemble of several.

    Attributes
    ----------
    weight : float
        Its share of the traffic, relative to the others'. At 0 it stays loaded and can be asked for by header.
    socket : str, optional
        The Unix socket of the worker process that holds the model; None loads it in the scorer.
    shadow : float, percent
        Share of the requests that other arms answer of which it gets a copy; no caller ever sees its answer.
    members : list of MemberConfig
        The models of an ensemble, of which `bundle` is that of the first; empty for a single model.
    combine : str
        How the members' answers become one: ``mean`` or ``vote``.
    """

    name: str
    model: str
    version: str
    bundle: str
    weight: float = 100.0
    socket: str | None = None
    shadow: float = 0.0
    members: list[MemberConfig] = []
    combine: str = "mean"


class CaptureConfig(msgspec.Struct, frozen=True):
    """What of the traffic is kept, and where.

    Attributes
    ----------
    folder : str
        The endpoint's folder of collected data; each scorer keeps a spool of its own in it.
    mode : {"batched", "strict"}
        Batched commits at most `window_s` after the answer; strict commits before it answers.
    sample : float
        Share of the requests that are kept, from 0 to 1.
    redact : list of str
        Columns that are never written.
    window_s : float, seconds
        The longest time from an answer to its commit: what a kill can lose.
    pending : int
        Records that may wait for their commit; more are dropped and counted.
    """

    folder: str
    mode: Literal["batched", "strict"] = "batched"
    sample: float = 1.0
    redact: list[str] = []
    window_s: float = 0.2
    pending: int = 20_000


class Limits(msgspec.Struct, frozen=True):
    """What a scorer bears.

    Attributes
    ----------
    body_bytes : int, bytes
    queue : int
        Requests that may be in it at once.
    timeout_s : float, seconds
        To score a request.
    read_s : float, seconds
        To receive a request, from its first byte to its last.
    idle_s : float, seconds
        That a connection may stay open between requests.
    connections : int
        Connections that may be open at once.
    buffered_bytes : int, bytes
        That the bodies of all requests under way may take; one body always fits.
    """

    body_bytes: int = 33_554_432
    queue: int = 1024
    timeout_s: float = 30.0
    read_s: float = 30.0
    idle_s: float = 75.0
    connections: int = 4096
    buffered_bytes: int = 268_435_456


LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ServingConfig(msgspec.Struct, frozen=True):
    """What a scorer serves.

    Attributes
    ----------
    token : str, optional
        The bearer token; None leaves the endpoint open.
    earlier_tokens : list of str
        Tokens from before a rotation that are still taken.
    limits : Limits
    errors : str, optional
        The folder of the error store: requests that failed, with their tracebacks, for the notebook.
    capture : CaptureConfig, optional
        None keeps nothing.
    hosts : tuple of str
        Names in the ``Host`` header that are answered; ``*`` takes any. A page elsewhere can't reach a loopback
        port under a name of its own then.
    origins : list of str
        Values of the ``Origin`` header that are answered: pages that may call. Requests without one are no page's.
    counts : str, optional
        The folder in which the scorers of an endpoint leave their counts, so that each can tell those of all.
    salt : str
        Makes which key falls on which arm differ between endpoints.
    guardrails : Rules, optional
        What a server that stands alone holds its versions to; a supervisor holds them itself.
    champion : str
        The arm that they are held against; "" is the one with the largest weight.
    explain : bool
        Answer ``/explain`` too.
    """

    endpoint: str
    arms: list[ArmConfig]
    token: str | None
    format: int = FORMAT
    limits: Limits = Limits()
    errors: str | None = None
    capture: CaptureConfig | None = None
    earlier_tokens: list[str] = []
    hosts: tuple[str, ...] = LOOPBACK
    origins: list[str] = []
    counts: str | None = None
    salt: str = ""
    guardrails: Rules | None = None
    champion: str = ""
    explain: bool = False


def parse_config(document: Any) -> ServingConfig:
    """Read and check a configuration.

    Raises
    ------
    ServingError
        ``invalid_configuration``.
    """
    try:
        config = msgspec.convert(document, ServingConfig)
    except (msgspec.ValidationError, ValueError) as error:
        raise ServingError("invalid_configuration", f"the configuration can't be read: {error}") from error
    names = [arm.name for arm in config.arms]
    problems = {
        f"it has format {config.format}; this server reads {FORMAT}": config.format != FORMAT,
        "it names no arm": not names,
        f"it names an arm twice: {', '.join(names)}": len(set(names)) != len(names),
        "a weight is negative": any(arm.weight < 0 for arm in config.arms),
        "all weights are 0": bool(names) and sum(arm.weight for arm in config.arms) <= 0,
        "the token is empty": config.token == "",
        "a limit is not positive": min(msgspec.structs.astuple(config.limits)) <= 0,
        "a shadow's share is no percentage": any(not 0 <= arm.shadow <= 100 for arm in config.arms),
        "an ensemble has one member": any(len(arm.members) == 1 for arm in config.arms),
        "a way to combine is neither mean nor vote": any(arm.combine not in ("mean", "vote") for arm in config.arms),
        "a member's weight is not positive": any(one.weight <= 0 for arm in config.arms for one in arm.members),
    }
    for problem, found in problems.items():
        if found:
            raise ServingError("invalid_configuration", f"the configuration can't be served: {problem}")
    return config
