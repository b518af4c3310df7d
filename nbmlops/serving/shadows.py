"""Shadows: arms that get copies of requests which others answer, and are compared with them.

A copy is made after the caller has its answer, is scored off the event loop's thread, and is dropped where its arm
lags: a shadow may lose requests, a caller may not wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from .arms import Arm
from .comparison import Comparison
from .documents import ScoringRequest
from .exchange import Answer
from .outputs import Outputs

if TYPE_CHECKING:
    from .router import Router
    from .scoring import Exchange

PENDING = 256  # copies that may wait for one shadow
PATIENCE_S = 60.0
Done = Callable[["Copy", Answer], None]


class Copy:
    """One request's copy, on its way through a shadow.

    Attributes
    ----------
    exchange : Exchange
        The request and what its caller got.
    """

    __slots__ = ("arm", "comparison", "done", "exchange", "request", "seconds", "settled", "started", "timer")

    def __init__(self, exchange: Exchange, arm: Arm, *, comparison: Comparison, done: Done) -> None:
        self.exchange = exchange
        self.arm = arm
        self.comparison = comparison
        self.done = done
        self.started = perf_counter()
        self.seconds = 0.0
        self.settled = False
        self.timer: asyncio.TimerHandle | None = None
        self.request: ScoringRequest = exchange.request

    def begin(self) -> None:
        """Decode the request as the shadow's own signature says, and hand it over."""
        exchange, arm = self.exchange, self.arm
        arm.in_flight += 1
        try:
            if arm.bundle.signature != exchange.arm.bundle.signature:
                self.request = exchange.wire.decode(arm, exchange.head, exchange.body)
            arm.batcher.submit(self, PATIENCE_S, aside=True)
        except Exception as error:  # noqa: BLE001 - whatever a shadow does, it is counted and hurts nobody
            self.settle(error)

    def settle(self, result: Outputs | Exception) -> None:
        """Compare the shadow's answer with the caller's."""
        if self.settled:
            return
        self.settled = True
        if self.timer is not None:
            self.timer.cancel()
        self.arm.in_flight -= 1
        self.seconds = perf_counter() - self.started
        exchange, outputs, answer = self.exchange, None, None
        if not isinstance(result, Exception):
            try:
                answer = exchange.wire.encode(self.arm, self.request, result, prediction=exchange.prediction)
                outputs = result
            except Exception:  # noqa: BLE001 - an answer that can't be written is a failure like any other
                outputs = None
        assert exchange.outputs is not None
        self.comparison.observe(
            exchange.prediction,
            exchange.outputs,
            outputs,
            seconds_champion=exchange.seconds,
            seconds_shadow=self.seconds,
            failed=outputs is None,
        )
        if answer is not None:
            self.done(self, answer)


class Shadows:
    """The shadows of an endpoint.

    Attributes
    ----------
    arms : list of Arm
    comparisons : dict of str to Comparison
        By the shadow's name.
    """

    def __init__(self) -> None:
        self.arms: list[Arm] = []
        self.comparisons: dict[str, Comparison] = {}
        self._bundles: dict[str, str] = {}

    def configure(self, router: Router) -> None:
        """Copy to the shadows of `router` from now on; one that stays the same keeps its counts."""
        self.arms = router.shadows
        kept = self.comparisons
        bundles = {arm.config.name: arm.bundle.digest for arm in self.arms}
        self.comparisons = {
            name: kept[name] if self._bundles.get(name) == digest else Comparison() for name, digest in bundles.items()
        }
        self._bundles = bundles

    def copy(self, exchange: Exchange, done: Done) -> None:
        """Give each shadow its share of what was just answered."""
        for arm in self.arms:
            if arm is exchange.arm or random.random() * 100.0 >= arm.config.shadow:  # noqa: S311
                continue
            comparison = self.comparisons[arm.config.name]
            if arm.in_flight >= PENDING:
                comparison.drop()
                continue
            asyncio.get_running_loop().call_soon(Copy(exchange, arm, comparison=comparison, done=done).begin)
