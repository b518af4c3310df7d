"""How an endpoint feels: what happened to its processes, folded to one state and to events, each told once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["healthy", "degraded", "down"]

FIRST_DELAY = 0.2  # seconds before the second attempt; the first restart is at once
LONGEST_DELAY = 30.0  # seconds
PATIENCE = 3  # failures of one process in a row that make an endpoint unhealthy
STABLE = 30.0  # seconds that a process must live before its failures are forgotten


@dataclass(frozen=True)
class Notice:
    """Something to write into the journal: the event's type, why, and what else is known; no user's data."""

    type: str
    because: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Health:
    """Failures and recoveries of the processes of one endpoint.

    Attributes
    ----------
    broken : dict of str to str
        Process -> why it does not serve now.
    failures : dict of str to int
        Process -> failures in a row.
    strained : dict of str to str
        Process -> what is wrong with it although it serves.
    reported : bool
        Whether the endpoint was said to be unhealthy, and not yet to have recovered.
    """

    broken: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    strained: dict[str, str] = field(default_factory=dict)
    reported: bool = False
    because: str = ""
    _started: dict[str, float] = field(default_factory=dict)

    def failed(self, process: str, because: str) -> tuple[Notice, ...]:
        """Note that `process` ended or could not be started."""
        self.broken[process] = self.because = because
        self.failures[process] = self.failures.get(process, 0) + 1
        self._started.pop(process, None)
        if self.failures[process] < PATIENCE or self.reported:
            return ()
        self.reported = True
        return (Notice("endpoint.unhealthy", f"{because} (failure {self.failures[process]} in a row)"),)

    def started(self, process: str, now: float) -> tuple[Notice, ...]:
        """Note that `process` serves (again)."""
        because = self.broken.pop(process, None)
        self._started[process] = now
        if because is None or self.reported:
            return ()
        return (Notice("endpoint.restarted", because),)

    def passed(self, now: float) -> tuple[Notice, ...]:
        """Note that time went by: what has lived long enough is trusted again."""
        for process, since in self._started.items():
            if now - since >= STABLE:
                self.failures.pop(process, None)
        if not self.reported or self.broken or any(count >= PATIENCE for count in self.failures.values()):
            return ()
        self.reported = False
        because, self.because = self.because, ""
        return (Notice("endpoint.recovered", f"all processes serve again after: {because}"),)

    def forget(self, process: str) -> None:
        """Drop a process that was taken out of service on purpose."""
        for known in (self.broken, self.failures, self.strained):
            known.pop(process, None)
        self._started.pop(process, None)

    def delay(self, process: str) -> float:
        """Return the seconds to wait before the next start of `process`."""
        count = self.failures.get(process, 0)
        return 0.0 if count <= 1 else float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(count - 2, 20)))

    def level(self, *, serving: bool) -> Level:
        """Return the state; `serving` says whether anything answers requests."""
        if not serving and self.reported:
            return "down"
        return "degraded" if self.broken or self.strained or self.reported else "healthy"

    def story(self) -> str:
        """Return why the state is what it is; empty when all is well."""
        reasons = [*self.broken.values(), *self.strained.values()]
        return "; ".join(reasons) or (self.because if self.reported else "")
