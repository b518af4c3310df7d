"""Chooses the arm that answers a request."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from .arms import Arm
from .documents import shown
from .errors import RequestError


class Router:
    """Splits traffic over arms by weight; a request may ask for one of them.

    Parameters
    ----------
    arms : sequence of Arm
        At least one has a weight above 0.
    """

    def __init__(self, arms: Sequence[Arm]) -> None:
        self.arms = {arm.config.name: arm for arm in arms}
        weighted = [arm for arm in arms if arm.config.weight > 0]
        self._weighted = weighted
        self._bounds = list(accumulate(arm.config.weight for arm in weighted))
        self._only = weighted[0] if len(weighted) == 1 else None

    def choose(self, pin: bytes | None) -> Arm:
        """Return the arm for a request.

        Parameters
        ----------
        pin : bytes, optional
            The arm, or the version, that the request asks for by header.

        Raises
        ------
        RequestError
            404 when no arm has the asked name.
        """
        if pin is not None:
            return self._pinned(pin.decode("latin-1"))
        if self._only is not None:
            return self._only
        return self._weighted[bisect(self._bounds, random.random() * self._bounds[-1], hi=len(self._bounds) - 1)]  # noqa: S311

    def _pinned(self, name: str) -> Arm:
        if name in self.arms:
            return self.arms[name]
        matches = [arm for arm in self.arms.values() if arm.config.version == name]
        if len(matches) == 1:
            return matches[0]
        message = f"there is no version {shown(name)} behind this endpoint"
        known = " or ".join(self.arms)
        raise RequestError(404, "unknown_version", message, field="x-nbmlops-version", expected=known)
