"""What the scorers say of the traffic that they keep: summed for a status, and told where it begins to fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmlops.deployment.health import Notice


class Capturing:
    """Follows the capture of one endpoint; a failure and a recovery are each told once."""

    def __init__(self) -> None:
        self._latest: dict[int, Mapping[str, Any]] = {}
        self._failing = ""

    def take(self, figures: Mapping[Any, Mapping[str, Any]]) -> tuple[Notice, ...]:
        """Take the figures of the scorers that serve now, and return what belongs into the journal."""
        now = {of_one["pid"]: of_one["capture"] for of_one in figures.values() if of_one.get("capture")}
        self._latest.update(now)
        before, self._failing = (
            self._failing,
            next((str(one["failing"]) for one in now.values() if one.get("failing")), ""),
        )
        if self._failing and not before:
            return (
                Notice("endpoint.capture_failing", f"the traffic can't be kept ({self._failing}); scoring goes on"),
            )
        if before and now and not self._failing:
            return (Notice("endpoint.capture_recovered", f"the traffic is kept again after: {before}"),)
        self._failing = self._failing or (before if not now else "")
        return ()

    def state(self) -> dict[str, Any]:
        """Return what a status tells: records that were committed and dropped, and why it fails, if it does."""
        counts = {
            name: sum(int(one.get(name, 0)) for one in self._latest.values()) for name in ("committed", "dropped")
        }
        return {**counts, "failing": self._failing} if self._latest else {}
