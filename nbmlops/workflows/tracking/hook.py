"""The hook that sees each ``fit``: one place in scikit-learn's base class, taken out again without a trace.

Every estimator with scikit-learn's base class passes it, XGBoost's and LightGBM's and the user's own included, whenever
its class was or will be defined. Nothing is written into any other class, so that pickles of the user's classes carry
nothing of ours.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Fit = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """One call of ``fit``: the estimator, its own method, and what it was given."""

    estimator: Any
    fit: Fit
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def run(self) -> Any:
        """Fit, as if nobody looked on."""
        return self.fit(*self.args, **self.kwargs)


NAME = "__getattribute__"


class HookedFit:
    """An estimator's ``fit`` while the hook is in place: looks and travels like the one it stands for."""

    def __init__(self, hook: Hook, estimator: Any, fit: Fit) -> None:
        self._hook = hook
        self.__self__ = estimator
        functools.update_wrapper(self, fit)  # its signature, too, which scikit-learn looks into

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._hook.call(Call(self.__self__, self.__wrapped__, args, kwargs))  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the plain method."""
        return getattr, (self.__self__, "fit")


class Hook:
    """Calls `around` for each outermost ``fit`` in this process.

    Parameters
    ----------
    around : callable
        Called instead of the fit, which it has to run.
    """

    def __init__(self, around: Callable[[Call], Any]) -> None:
        self._around = around
        self._outermost = threading.Lock()
        self._process = os.getpid()
        self._before: Any = None
        self.installed = False

    def install(self) -> None:
        """Put the hook in place."""
        if self.installed:
            return
        from sklearn.base import BaseEstimator

        self._before = BaseEstimator.__dict__.get(NAME)
        inherited = BaseEstimator.__getattribute__

        def __getattribute__(estimator: Any, name: str) -> Any:  # noqa: N807
            found = inherited(estimator, name)
            return HookedFit(self, estimator, found) if name == "fit" else found

        setattr(BaseEstimator, NAME, __getattribute__)
        self.installed = True

    def remove(self) -> None:
        """Make the base class what it was."""
        if not self.installed:
            return
        from sklearn.base import BaseEstimator

        if self._before is None:
            delattr(BaseEstimator, NAME)
        else:
            setattr(BaseEstimator, NAME, self._before)
        self.installed = False

    def call(self, call: Call) -> Any:
        """Carry out a fit, through `around` where it is the outermost one."""
        here = self.installed and os.getpid() == self._process
        # One fit at a time: what it fits itself, in whatever thread, is its own affair.
        if not here or not self._outermost.acquire(blocking=False):
            return call.run()
        try:
            if _within_joblib():
                return call.run()
            return self._around(call)
        finally:
            self._outermost.release()


def _within_joblib() -> bool:
    """Whether joblib is calling: the clones of a cross-validation are not the user's own fits."""
    frame = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == "joblib":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
