"""Watches over a rollout: judges candidates, goes back when one trips a guardrail, takes the next step when it may."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nbmlops.deployment.guarding import Guard, Judged, observed
from nbmlops.deployment.health import Notice
from nbmlops.deployment.progressive import Pace, duration
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.deployment.storing import Stored

PERIOD = 0.25  # seconds between looks while something is on trial
Figures = Mapping[Any, Mapping[str, Any]]  # of each scorer, as it says
Change = Callable[[EndpointSpec, int], Awaitable[Stored]]


class Watch:
    """Decides, from what the scorers count, when the split of an endpoint changes by itself.

    Parameters
    ----------
    change : callable
        Brings the endpoint from a revision to a specification, and returns what is stored then.
    tell : callable
        Takes each `Notice` that belongs into the journal.
    clock, wall : callable
        The monotonic clock, and the time since the epoch; seconds.
    """

    def __init__(
        self,
        change: Change,
        tell: Callable[[Notice], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._change = change
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._guard = Guard()
        self._pace = Pace()
        self._stored: Stored | None = None

    @property
    def is_active(self) -> bool:
        """Whether something is on trial that is to be judged or taken further."""
        spec = self._stored.spec if self._stored else None
        return spec is not None and (spec.progressive is not None or bool(spec.guardrails and spec.candidates))

    def follow(self, stored: Stored) -> None:
        """Take note that the endpoint is now as `stored` says."""
        self._stored = stored
        self._guard.begin(stored.spec)
        self._pace.begin(stored.spec.progressive, since=stored.since, now=self._wall(), clock=self._clock())

    async def look(self, figures: Figures) -> None:
        """Take what the scorers count, and act on it."""
        if self._stored is None or not self.is_active:
            return
        self._guard.count(observed(figures))
        spec = self._stored.spec
        for judged in self._guard.judge():
            if judged.tripped:
                await self._go_back(self._stored, judged)
                return
        progressive = spec.progressive
        if progressive and self._pace.is_due(self._clock(), self._guard.requests(progressive.candidate)):
            await self._go_on(self._stored)

    def state(self) -> dict[str, Any]:
        """Return what a status tells: each candidate's standing, and when the next step may come."""
        progressive = self._stored.spec.progressive if self._stored else None
        state: dict[str, Any] = {"judged": [judged.to_dict() for judged in self._guard.judge()]}
        if progressive is not None:
            wait, seen = self._pace.wait(self._clock()), self._guard.requests(progressive.candidate)
            state["next"] = {"in_s": wait, "requests": seen, "requests_needed": progressive.requests}
        return state

    async def _go_back(self, seen: Stored, judged: Judged) -> None:
        spec = seen.spec
        stored = await self._change(spec.returned_from(judged.candidate), seen.revision)
        candidate = spec.arm(judged.candidate)
        about = f"version {judged.candidate}: {judged.because}"
        said = judged.to_dict() | {
            "rule": judged.tripped,
            "model": candidate.model if candidate else spec.model,
            "version": judged.candidate,
        }
        self._tell(Notice("endpoint.guardrail_tripped", about, said))
        self._tell(Notice("endpoint.rolled_back", about, _moved(spec, stored)))

    async def _go_on(self, seen: Stored) -> None:
        spec, progressive = seen.spec, seen.spec.progressive
        assert progressive is not None
        stored = await self._change(spec.stepped(), seen.revision)
        held = f"version {progressive.candidate} held {progressive.share:g} % for {duration(progressive.hold_s)}"
        quiet = "no guardrail is on" if spec.guardrails is None else "no guardrail tripped"
        kind = "advanced" if stored.spec.progressive else "finished"
        self._tell(Notice(f"endpoint.rollout_{kind}", f"{held}; {quiet}", _moved(spec, stored)))


def _moved(before: EndpointSpec, stored: Stored) -> dict[str, Any]:
    """Return what the journal keeps of a split that changed by itself."""
    return {
        "traffic": stored.spec.traffic,
        "previous": before.traffic,
        "shadows": stored.spec.shadows,
        "revision": stored.revision,
    }
