"""What a supervisor hands to its scorers: an endpoint's specification as the serving island reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.processes import Post
from nbmlops.deployment.spec import Capture, EndpointSpec

FORMAT = 1  # of the serving island's configuration
MODES = {"on": "batched", "strict": "strict"}


@dataclass(frozen=True)
class Places:
    """Where scorers of an endpoint leave things.

    Attributes
    ----------
    errors : pathlib.Path
        Requests that failed, with their tracebacks.
    counts : pathlib.Path
        Their counts, so that each can tell those of all.
    collected : pathlib.Path
        The traffic that is kept.
    """

    errors: Path
    counts: Path
    collected: Path


@dataclass(frozen=True)
class Access:
    """The bearer token, and earlier ones that are still taken."""

    token: str
    earlier: tuple[str, ...] = field(default=())


Sockets = Mapping[Post, str]


def configuration(spec: EndpointSpec, slot: int, *, sockets: Sockets, access: Access, places: Places) -> dict[str, Any]:
    """Return the configuration of scorer number `slot`.

    Parameters
    ----------
    sockets : mapping of Post to str
        Where each worker serves; a model without one is loaded in the scorer.
    """
    return {
        "format": FORMAT,
        "endpoint": spec.endpoint,
        "token": access.token if spec.auth else None,
        "earlier_tokens": list(access.earlier) if spec.auth else [],
        "arms": [_arm(arm, slot, sockets) for arm in spec.arms],
        "limits": spec.limits.to_dict(),
        "errors": str(places.errors),
        "counts": str(places.counts),
        "capture": None if spec.capture is None else _capture(spec.capture, places.collected),
        "salt": spec.endpoint,
        "explain": spec.explain,
    }


def _arm(arm: ArmSpec, slot: int, sockets: Sockets) -> dict[str, Any]:
    loaded = [
        {"bundle": str(model.bundle), "socket": sockets.get(Post(slot, name, model.digest))}
        for name, model in arm.models.items()
    ]
    members = [
        {"model": member.model, "version": member.version, "weight": member.weight, **place}
        for member, place in zip(arm.members, loaded, strict=False)
    ]
    return {
        "name": arm.version,
        "model": arm.model,
        "version": arm.version,
        "weight": arm.weight,
        "shadow": arm.shadow,
        "members": members,
        "combine": arm.combine,
        **(loaded[0] if not members else {"bundle": str(arm.bundle), "socket": None}),
    }


def _capture(capture: Capture, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "mode": MODES[capture.mode],
        "sample": capture.sample,
        "redact": list(capture.redact),
    }
