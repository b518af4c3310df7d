"""The tracker: turns each outermost fit into a run, and shows the last five under the cell."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nbmlops.core.display import Card, Column, Results, Shown
from nbmlops.core.records import Record, frozen_map
from nbmlops.workflows.session import Session, current
from nbmlops.workflows.tracking.hook import Call, Hook
from nbmlops.workflows.tracking.measure import Arguments, description, metrics, parameters

if TYPE_CHECKING:
    from nbmlops.capture import Captured

T = TypeVar("T")
SHOWN = 5
METRICS = {
    "Score": "training_score",
    "Accuracy": "training_accuracy_score",
    "Log loss": "training_log_loss",
    "ROC AUC": "training_roc_auc",
    "Scored rows": "training_rows",
}


@dataclass(frozen=True)
class TrackedRun(Record):
    """One fit that became a run.

    Attributes
    ----------
    run_id : str
        MLflow's run.
    estimator : str
        Its class and the parameters that are not the default.
    status : str
        ``FINISHED``, ``FAILED`` or ``KILLED`` (interrupted by the user).
    metrics : mapping of str to float
        On the training data; ``training_rows`` says on how many rows.
    params : mapping of str to str
    data_digest : str
        Of the training data; empty where it has no digest.
    shape : str
        Rows and columns of the data.
    seconds : float, seconds
        How long the fit took.
    time : datetime.datetime
        When it began.
    """

    run_id: str
    estimator: str
    status: str
    metrics: Mapping[str, float] = field(default_factory=frozen_map)
    params: Mapping[str, str] = field(default_factory=frozen_map)
    data_digest: str = ""
    shape: str = ""
    seconds: float = 0.0
    time: datetime = datetime.min


def _metric(name: str) -> Callable[[TrackedRun], object]:
    return lambda run: run.metrics.get(name)


class TrackedRuns(Results[TrackedRun]):
    """Runs, oldest first, shown as a table."""

    columns: Mapping[str, Column] = {
        "Run": lambda run: run.run_id[:8],
        "Fitted": "time",
        "Estimator": "estimator",
        "Status": "status",
        **{header: _metric(name) for header, name in METRICS.items()},
        "Data": "shape",
        "Digest": "data_digest",
        "Seconds": "seconds",
    }
    empty = "No fit was tracked yet."


@dataclass(frozen=True)
class Tracking(Record, Shown):
    """Whether fits are tracked, and the last five that were.

    Attributes
    ----------
    on : bool
    runs : TrackedRuns
    """

    on: bool
    runs: TrackedRuns = field(default_factory=TrackedRuns)

    def _show_(self) -> Card:
        state = "From here on each fit is a run." if self.on else "Fits are no longer tracked."
        note = "Turn it off with %track --off." if self.on else "Turn it on again with %track."
        return Card(state, tables=(self.runs.table,) if self.runs else (), note=note)


@dataclass(frozen=True)
class _Attempt:
    """A fit that ended, one way or the other."""

    estimator: Any
    given: Arguments
    captured: Captured | None
    status: str
    seconds: float
    started: datetime


class Tracker:
    """Sees the fits of this process and logs them; `shell` shows the table, where there is one."""

    def __init__(self, shell: Any = None) -> None:
        self.hook = Hook(self._around)
        self.runs: deque[TrackedRun] = deque(maxlen=SHOWN)
        self.shell = shell
        self._fresh = False
        self._warned = False

    @property
    def tracking(self) -> Tracking:
        """What is tracked now."""
        return Tracking(self.hook.installed, TrackedRuns(self.runs))

    def start(self) -> None:
        """Track each fit from here on. MLflow is opened now, so that the first fit need not wait for it."""
        current().registry.names()
        self._warned = False
        if not self.hook.installed:
            self.hook.install()
            if self.shell is not None:
                self.shell.events.register("post_run_cell", self._show)

    def stop(self) -> None:
        """Leave estimators and shell as they were before."""
        if self.hook.installed:
            self.hook.remove()
            if self.shell is not None:
                self.shell.events.unregister("post_run_cell", self._show)

    def _around(self, call: Call) -> Any:
        given = Arguments.of(call.args, call.kwargs)
        # Before the fit, which may write into its data.
        captured = self._guarded(lambda: _capture(call.estimator, given))
        started, begun = datetime.now(UTC), time.perf_counter()
        status = "FAILED"
        try:
            answer = call.run()
            status = "FINISHED"
            return answer
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            seconds = time.perf_counter() - begun
            attempt = _Attempt(call.estimator, given, captured, status, seconds, started)
            self._guarded(lambda: self._record(attempt))

    def _record(self, attempt: _Attempt) -> None:
        found: dict[str, float] = {}
        if attempt.status == "FINISHED":
            found = self._guarded(lambda: metrics(attempt.estimator, attempt.given)) or {}
        run = _log(current(), attempt, params=parameters(attempt.estimator), found=found)
        self.runs.append(run)
        self._fresh = True

    def _guarded(self, act: Callable[[], T]) -> T | None:
        """Carry out our part of a fit: whatever goes wrong in it, the user's fit goes on."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001  the user's own code is called in here: score, get_params, a repr
            if not self._warned:
                self._warned = True
                _warn(error)
            return None

    def _show(self, *_result: Any) -> None:
        """Show the last runs under the cell that made one."""
        if self._fresh:
            self._fresh = False
            from IPython.display import display

            display(TrackedRuns(self.runs))  # type: ignore[no-untyped-call]


def _warn(error: Exception) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # where the user made warnings errors, this one must not become the fit's
        warnings.warn(
            f"A fit could not be tracked, or not wholly: {type(error).__name__}: {error} The fit itself is not "
            "affected; this is said once. Turn tracking off with %track --off.",
            stacklevel=3,
        )


def _capture(estimator: Any, given: Arguments) -> Captured:
    from nbmlops.capture import capture
    from nbmlops.core.errors import InvalidInput, InvalidObject

    try:
        return capture(estimator, given.X)
    except (InvalidInput, InvalidObject):  # texts, sparse matrices, nothing at all: such data has no digest
        return capture(estimator)


def _log(session: Session, attempt: _Attempt, *, params: Mapping[str, str], found: Mapping[str, float]) -> TrackedRun:
    from nbmlops.registry import TrackedFit

    name, captured = type(attempt.estimator).__name__, attempt.captured
    measured = {**found, "fit_seconds": attempt.seconds}
    run_id = session.registry.log_run(TrackedFit(name, params, measured, captured, status=attempt.status))
    told = {"run_id": run_id, "estimator": name, "metrics": measured, "status": attempt.status}
    session.journal.append("run.tracked", f"run/{run_id}", told)
    data = captured.data if captured is not None else None
    return TrackedRun(
        run_id=run_id,
        estimator=description(attempt.estimator),
        status=attempt.status,
        metrics=frozen_map(measured),
        params=frozen_map(params),
        data_digest=data.digest if data else "",
        shape=f"{data.rows:,} × {data.columns:,}" if data else "",
        seconds=round(attempt.seconds, 3),
        time=attempt.started,
    )
