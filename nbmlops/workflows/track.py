"""Log each later fit in this notebook as a run."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from nbmlops.workflows.parameters import Parameter
from nbmlops.workflows.tracking.tracker import Tracker, Tracking

Off = Annotated[bool, Parameter("Stop tracking, and leave every estimator as it was.")]

_tracker: Tracker | None = None


def track(*, off: Off = False) -> Tracking:
    """Log each later fit in this notebook as a run.

    From here on each outermost ``fit`` of an estimator with scikit-learn's base class becomes a run: parameters,
    metrics on the training data, digest of the data, environment and cells. A pipeline or a search counts once, with
    all that it fits inside; the clones of a cross-validation do not count. A table of the last five runs stands under
    the cell. A fit that fails is a failed run, and its error passes untouched.

    Parameters
    ----------
    off : bool, default False
        Stop tracking instead.

    Returns
    -------
    Tracking
        `on`, and the last five `runs`.

    Raises
    ------
    StorageError
        When MLflow's store can't be opened; nothing is tracked then.
    """
    tracker = _current()
    if off:
        tracker.stop()
    else:
        tracker.start()
    return tracker.tracking


def _current() -> Tracker:
    """Return the process's one tracker; a new shell gets a new one."""
    global _tracker
    shell = _shell()
    if _tracker is None or _tracker.shell is not shell:
        if _tracker is not None:
            _tracker.stop()
        _tracker = Tracker(shell)
    return _tracker


def _shell() -> Any:
    """Return the running IPython shell, or None outside one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
