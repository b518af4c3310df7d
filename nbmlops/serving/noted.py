"""What is noted of answered requests, as counts for a scrape: captured records, shadows, guardrails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .comparison import WHOLE
from .counts import Counts

if TYPE_CHECKING:
    from .arms import Arm
    from .noting import Notes

_RECORDS = ("committed", "dropped", "skipped", "too_large", "unfit")


class Noted:
    """Adds to `Counts` what `Notes` has.

    Parameters
    ----------
    notes : Notes
    arms : callable
        Returns the arms that are served, by name.
    """

    def __init__(self, notes: Notes, arms: Callable[[], Mapping[str, Arm]]) -> None:
        self._notes = notes
        self._arms = arms
        self._spool: Any = None
        self._past: dict[str, float] = {}  # of spools that were closed, so that no counter goes down
        self._last: dict[str, Any] = {}

    def __call__(self, counts: Counts) -> None:
        """Add the counts of this moment."""
        self._captured(counts)
        for name, arm in self._arms().items():
            labels = (arm.config.model, arm.config.version)
            seen = arm.observations
            counts.count(("nbmlops_guardrail_observations", *labels, "answered"), seen.requests - seen.errors)
            counts.count(("nbmlops_guardrail_observations", *labels, "failed"), seen.errors)
            comparison = self._notes.shadows.comparisons.get(name)
            if comparison is not None:
                counts.count(("nbmlops_shadow_requests", *labels, "compared"), comparison.pairs)
                counts.count(("nbmlops_shadow_requests", *labels, "failed"), comparison.errors)
                counts.count(("nbmlops_shadow_requests", *labels, "dropped"), comparison.dropped)
                counts.count(("nbmlops_shadow_agreeing_requests", *labels), comparison.agreeing / WHOLE)

    def _captured(self, counts: Counts) -> None:
        spool = self._notes.spool
        if spool is not self._spool:
            for name in (*_RECORDS, "failed"):
                self._past[name] = self._past.get(name, 0.0) + self._last.get(name, 0)
            self._spool, self._last = spool, {}
        if spool is not None:
            figures = self._last = spool.figures()
            counts.measure(("nbmlops_capture_pending",), figures["pending"])
            counts.measure(("nbmlops_capture_failing",), float(bool(figures["failing"])))
            counts.measure(("nbmlops_capture_oldest_pending_seconds",), figures["oldest_pending_s"])
            counts.measure(("nbmlops_capture_slowest_commit_seconds",), figures["slowest_commit_s"])
            counts.measure(("nbmlops_capture_window_seconds",), figures["window_s"])
        if spool is not None or self._past:
            for name in _RECORDS:
                counts.count(("nbmlops_capture_records", name), self._past.get(name, 0.0) + self._last.get(name, 0))
            failed = self._past.get("failed", 0.0) + self._last.get("failed", 0)
            counts.count(("nbmlops_capture_failed_commits",), failed)
