"""From what a deployment asks for to the endpoint as it shall be: shares, shadows, steps, guardrails, capture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.references import nearest
from nbmlops.core.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

    from nbmlops.deployment import ArmSpec, Capture, EndpointSpec, Guardrails

WHOLE = 100.0  # percent
RULES = {"errors": "error_margin", "latency": "latency_factor", "shift": "shift"}  # by the limit that None switches off


@dataclass(frozen=True)
class Wish:
    """How a version is to be rolled out; None where nothing was said.

    Attributes
    ----------
    traffic, shadow : float or None, percent
    progressive : sequence of float or None, percent
    hold : float or str, seconds
        Such as 600 or ``10m``.
    guardrails : bool
    rules : sequence of str or None
        The guardrails to keep, of `RULES`; None keeps all.
    """

    traffic: float | None = None
    shadow: float | None = None
    progressive: Sequence[float] | None = None
    hold: float | str = "10m"
    guardrails: bool = True
    rules: Sequence[str] | None = None

    @property
    def kept(self) -> Guardrails | None:
        """The guardrails that judge its candidates.

        Raises
        ------
        InvalidInput
            A rule has no such name, or rules are named although none shall judge.
        """
        from nbmlops.deployment import Guardrails

        if self.rules is None:
            return Guardrails() if self.guardrails else None
        if not self.guardrails:
            raise InvalidInput("--guardrails and --no-guardrails contradict each other", expected="one of them")
        unknown = [rule for rule in self.rules if rule not in RULES]
        if unknown or not self.rules:
            raise InvalidInput(
                f"there is no guardrail {unknown[0]!r}" if unknown else "no guardrail is named",
                expected=f"some of {', '.join(RULES)}",
                hint=nearest(unknown[0], RULES) if unknown else "To judge nothing: --no-guardrails",
            )
        return Guardrails({limit: None for rule, limit in RULES.items() if rule not in self.rules})

    @property
    def share(self) -> float:
        """The version's share of the traffic to begin with, percent.

        Raises
        ------
        InvalidInput
            More than one of traffic, shadow and steps is asked for.
        """
        asked = {"traffic": self.traffic, "shadow": self.shadow, "progressive": self.progressive}
        given = [f"--{name}" for name, value in asked.items() if value is not None]
        if len(given) > 1:
            raise InvalidInput(f"{' and '.join(given)} contradict each other", expected="one of them")
        if self.shadow is not None:
            return 0.0
        if self.progressive is not None:
            return next(iter(self.progressive), 0.0)
        return WHOLE if self.traffic is None else self.traffic


def arranged(now: EndpointSpec | None, arm: ArmSpec, wish: Wish, *, name: str) -> EndpointSpec:
    """Return the endpoint with `arm` beside what it serves; what served last stays loaded for a rollback.

    Raises
    ------
    InvalidInput
        The wish contradicts itself, or leaves a part of the traffic unanswered.
    Refused
        The endpoint serves another model.
    """
    from nbmlops.deployment import EndpointSpec, Limits, Progressive

    steps = None
    if wish.progressive is not None:
        from nbmlops.deployment.progressive import parse_duration

        steps = Progressive(arm.version, tuple(map(float, wish.progressive)), parse_duration(wish.hold))
    share, guardrails = wish.share, wish.kept
    if now is None:
        if share != WHOLE:
            raise InvalidInput(
                f"endpoint {name!r} serves nothing yet, and {share:g} % would leave the rest unanswered",
                expected="--traffic 100 for its first version",
            )
        limits = Limits.from_settings()
        return EndpointSpec(
            name, arm.model, (arm,), limits=limits, idle_hours=settings().idle_hours, guardrails=guardrails
        )
    if now.model != arm.model:
        raise Refused(
            f"endpoint {name!r} serves {now.model!r}, not {arm.model!r}",
            hint=f"Choose another: --endpoint NAME, or take it down first: %undeploy {name}",
        )
    now = replace(now, guardrails=guardrails)
    if wish.shadow is not None:
        return _shadowing(now, arm, wish.shadow)
    shares = now.shares_beside(arm.version, share)
    kept = [other for other in now.arms if other.version != arm.version and not other.is_idle]
    wanted = now.with_traffic(shares, [*kept, replace(arm, weight=share)])
    return replace(wanted, progressive=steps if steps and steps.next_share is not None else None)


def _shadowing(now: EndpointSpec, arm: ArmSpec, shadow: float) -> EndpointSpec:
    """Return the endpoint with `arm` as a shadow; its split, and a rollout under way, stay as they are."""
    if arm.version in now.traffic:
        raise InvalidInput(
            f"{arm.reference} has {now.traffic[arm.version]:g} % of the traffic, so it can be no shadow",
            hint="Take its traffic away first, or leave it as it is.",
        )
    others = tuple(other for other in now.arms if other.version != arm.version)
    return replace(now, arms=(*others, replace(arm, weight=0.0, shadow=shadow)))


def check_redacted(names: Sequence[str], bundle: Path) -> None:
    """Refuse to redact what the model does not take: a misspelt name would be kept under the right one.

    Raises
    ------
    InvalidInput
        With the nearest column.
    """
    from nbmlops.deployment.processes import manifest

    inputs = (manifest(bundle).get("signature") or {}).get("inputs")
    known = [column["name"] for column in inputs] if isinstance(inputs, list) else []
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"there is no column {name!r} to redact",
                expected=f"some of {', '.join(known)}" if known else "a model that takes named columns",
                hint=nearest(name, known),
            )


def captured(
    now: Capture | None, *, is_new: bool, asked: tuple[str | None, float | None, Sequence[str] | None]
) -> Capture | None:
    """Return what is kept of the traffic: as asked, else as it is; a new endpoint keeps it.

    Parameters
    ----------
    asked : tuple
        Mode (``on``, ``strict`` or ``off``), sample and columns to redact, each None where nothing was said.

    Raises
    ------
    InvalidInput
    """
    from nbmlops.deployment import Capture

    mode, sample, redact = asked
    base = now or Capture()
    if mode == "off" and sample is None and redact is None:
        return None
    if mode is None and now is None and not is_new and sample is None and redact is None:
        return None
    return Capture(
        mode=base.mode if mode is None else cast("Any", mode),  # anything else is refused there
        sample=base.sample if sample is None else sample,
        redact=base.redact if redact is None else tuple(redact),
    )
