"""Where a rollout stands, in words: candidates under guardrails, steps, shadows, capture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nbmlops.deployment.spec import EndpointSpec, format_traffic
from nbmlops.deployment.target import EndpointStatus

QUIET = "no alarm"


def rollout_fields(spec: EndpointSpec, live: EndpointStatus, now: datetime | None = None) -> dict[str, str]:
    """Return the lines of an endpoint's card that tell of its rollout; an empty one is not shown.

    Parameters
    ----------
    now : datetime.datetime, optional
        By default the present.
    """
    return {
        "shadows": format_traffic(live.shadows),
        "since": _clock(live.since) if len(live.traffic) > 1 else "",
        "rollout": progress(spec, live, now),
        "guardrails": guard_state(spec, live),
        "capture": capture_state(spec, live),
    }


def split_line(spec: EndpointSpec, live: EndpointStatus) -> str:
    """Return ``v1 75 %, v2 25 %; shadow v3 50 %; version 2 at 25 % since 14:02:00, …``."""
    shares = ", ".join(f"v{version} {share:g} %" for version, share in live.traffic.items())
    shadows = "; ".join(f"shadow v{version} {share:g} %" for version, share in live.shadows.items())
    return "; ".join(filter(None, (shares, shadows, progress(spec, live))))


def progress(spec: EndpointSpec, live: EndpointStatus, now: datetime | None = None) -> str:
    """Return ``25 % since 14:02, next 50 % at 14:12``; empty where no progressive rollout is under way."""
    at = spec.progressive
    if at is None:
        return ""
    told = f"version {at.candidate} at {at.share:g} %" + (f" since {_clock(live.since)}" if live.since else "")
    ahead = live.rollout.get("next")
    if at.next_share is None or not ahead:
        return told
    when = (now or datetime.now().astimezone()) + timedelta(seconds=float(ahead["in_s"]))
    missing = int(ahead["requests_needed"]) - int(ahead["requests"])
    after = f" and {missing:,} more requests to it" if missing > 0 else ""
    return f"{told}, next {at.next_share:g} % at {when:%H:%M:%S}{after}"


def guard_state(spec: EndpointSpec, live: EndpointStatus) -> str:
    """Return one line for each candidate, or why none is judged."""
    if spec.guardrails is None:
        return "off" if len(spec.traffic) > 1 else ""
    return "\n".join(_judged(one) for one in live.rollout.get("judged", ()))


def capture_state(spec: EndpointSpec, live: EndpointStatus) -> str:
    """Return what is kept of the traffic, how much of it was, and whether that fails."""
    if spec.capture is None:
        return "off"
    seen = live.capture
    counts = f"; {seen['committed']:,} committed, {seen['dropped']:,} dropped" if seen else ""
    failing = f"; failing: {seen['failing']}" if seen.get("failing") else ""
    return f"{spec.capture}{counts}{failing}"


def _judged(one: Mapping[str, Any]) -> str:
    slow = ""
    if one["p95_s"] is not None and one["p95_champion_s"] is not None:
        slow = f", p95 {1000 * one['p95_s']:.3g} ms against {1000 * one['p95_champion_s']:.3g} ms"
    shift = next((f", {told.partition(':')[0]}" for told in one["told"] if "shifted" in told), "")
    state = one["because"] or QUIET
    counts = f"{one['requests']:,} requests, {one['errors']:,} errors"
    return f"version {one['candidate']} against {one['champion']}: {counts}{slow}{shift}; {state}"


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%H:%M:%S}" if seconds else ""
