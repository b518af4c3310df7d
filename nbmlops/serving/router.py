"""Chooses the arm that answers a request."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import log

from .arms import Arm
from .documents import shown
from .errors import RequestError


class Router:
    """Splits traffic over arms by weight; a request may ask for one of them, or stick to one by a key.

    Parameters
    ----------
    arms : sequence of Arm
        At least one has a weight above 0.
    salt : str
        Makes which key falls on which arm differ between endpoints.

    Notes
    -----
    A key sticks by weighted rendezvous hashing: each arm draws a number from the key and the arm's own name, scaled
    by its weight, and the highest wins. When an arm's weight grows, keys move to it and none between the others; when
    it shrinks, only its own keys leave. No less can move.

    References
    ----------
    D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Trans. Networking 6(1),
    1998; with weights: J. Resch, "New hashing algorithms for data storage", SNIA SDC 2015.
    """

    def __init__(self, arms: Sequence[Arm], salt: str = "") -> None:
        self.arms = {arm.config.name: arm for arm in arms}
        weighted = [arm for arm in arms if arm.config.weight > 0]
        self._weighted = weighted
        self._bounds = list(accumulate(arm.config.weight for arm in weighted))
        self._only = weighted[0] if len(weighted) == 1 else None
        self._seeds = [(arm, blake2b(f"{salt}\0{arm.config.name}".encode(), digest_size=16)) for arm in weighted]
        self.shadows = [arm for arm in arms if arm.config.shadow > 0]

    def choose(self, pin: bytes | str | None, key: bytes | None = None) -> Arm:
        """Return the arm for a request.

        Parameters
        ----------
        pin : bytes or str, optional
            The arm, or the version, that the request asks for.
        key : bytes, optional
            The same key gets the same arm, as far as moving weights allow.

        Raises
        ------
        RequestError
            404 when no arm has the asked name.
        """
        if pin is not None:
            return self._pinned(pin if isinstance(pin, str) else pin.decode("latin-1"))
        if self._only is not None:
            return self._only
        if key is not None:
            return max(self._seeds, key=lambda seeded: _score(seeded[1], key, seeded[0].config.weight))[0]
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


def _score(seed: blake2b, key: bytes, weight: float) -> float:
    drawn = seed.copy()
    drawn.update(key)
    uniform = (int.from_bytes(drawn.digest()[:8], "big") + 0.5) / 2**64
    return -weight / log(uniform)
