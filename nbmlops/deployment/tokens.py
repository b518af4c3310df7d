"""An endpoint's bearer token, and those from before a rotation that are taken for a grace time."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from typing import Any

from nbmlops.deployment.folder import RunFolder, write_private
from nbmlops.deployment.handover import Access
from nbmlops.deployment.progressive import remaining


@dataclass(frozen=True)
class Earlier:
    """A token that was replaced.

    Attributes
    ----------
    token : str
    since : float, seconds since the epoch
        When it was replaced.
    grace_s : float, seconds
        How long it is still taken.
    """

    token: str
    since: float
    grace_s: float


@dataclass(frozen=True)
class Tokens:
    """The tokens of one endpoint."""

    current: str
    earlier: tuple[Earlier, ...] = ()

    @classmethod
    def read(cls, folder: RunFolder) -> Tokens:
        """Return the tokens that `folder` keeps."""
        kept = folder.read(folder.earlier_tokens).get("earlier", [])
        return cls(folder.token.read_text(), tuple(Earlier(**one) for one in kept))

    def write(self, folder: RunFolder) -> None:
        """Keep the tokens, each file of mode 0600; the earlier ones first, so that none is lost in between."""
        kept: list[dict[str, Any]] = [vars(one) for one in self.earlier]
        write_private(folder.earlier_tokens, json.dumps({"earlier": kept}))
        write_private(folder.token, self.current)

    def rotated(self, grace_s: float, now: float) -> Tokens:
        """Return these tokens with a new one in front; the current one is taken for `grace_s` seconds more."""
        return Tokens(secrets.token_urlsafe(32), (*self.earlier, Earlier(self.current, now, grace_s))).kept(now)

    def kept(self, now: float) -> Tokens:
        """Return the tokens that are taken at the time `now`, seconds since the epoch."""
        return replace(self, earlier=tuple(one for one in self.earlier if left(one, now) > 0))

    @property
    def access(self) -> Access:
        """What a scorer is told."""
        return Access(self.current, tuple(one.token for one in self.earlier))


class Keeping:
    """When earlier tokens stop to be taken, by a clock that nobody sets.

    Parameters
    ----------
    tokens : Tokens
    now : float, seconds since the epoch
    clock : float, seconds
        The same moment by the monotonic clock.
    """

    def __init__(self, tokens: Tokens, now: float, clock: float) -> None:
        self.tokens = tokens
        self._until = {one.token: clock + left(one, now) for one in self.tokens.earlier}

    def next_end(self) -> float | None:
        """Return when the next token ends, by the monotonic clock; None where none does."""
        return min(self._until.values(), default=None)

    def drop(self, clock: float) -> bool:
        """Forget what has ended; tells whether there was something."""
        kept = tuple(one for one in self.tokens.earlier if self._until[one.token] > clock)
        changed = kept != self.tokens.earlier
        self.tokens = replace(self.tokens, earlier=kept)
        self._until = {one.token: self._until[one.token] for one in kept}
        return changed


def left(earlier: Earlier, now: float) -> float:
    """Return the seconds that an earlier token is still taken: never more than its grace, wherever the clock is set."""
    return remaining(earlier.grace_s, earlier.since, now)
