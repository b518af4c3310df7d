"""A split of the traffic as a person sees it: a bar, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nbmlops.core.display import Card, Html, Shown
from nbmlops.core.records import Record
from nbmlops.deployment.spec import format_traffic

SHADES = ("#3b8bd0", "#c77d0a", "#2a9d5c", "#8a8a8a")


@dataclass(frozen=True)
class TrafficChange(Record, Shown):
    """What a change of traffic did.

    Attributes
    ----------
    endpoint : str
    before, traffic : mapping of str to float, percent
        The old and the new split, by version.
    shadows_before, shadows : mapping of str to float, percent
        Likewise, the share of the requests that each shadow gets a copy of.
    since : datetime.datetime or None
        Since when the traffic is divided so.
    ended : str
        The progressive rollout that ended with it; empty where there was none.
    """

    endpoint: str
    before: Mapping[str, float]
    traffic: Mapping[str, float]
    shadows_before: Mapping[str, float] = field(default_factory=dict)
    shadows: Mapping[str, float] = field(default_factory=dict)
    since: datetime | None = None
    ended: str = ""

    def _show_(self) -> Card:
        moved = (self.before, self.shadows_before) != (self.traffic, self.shadows)
        return Card(
            title=f"Traffic of {self.endpoint}",
            fields={
                "before": split_bar(self.before) if moved else "",
                "now": split_bar(self.traffic),
                "shadows before": format_traffic(self.shadows_before) if self.shadows_before != self.shadows else "",
                "shadows": format_traffic(self.shadows),
                "since": self.since,
                "ended": self.ended,
            },
            note=f"%rollback {self.endpoint} takes it back." if self.before != self.traffic else "",
        )


def split_bar(traffic: Mapping[str, float]) -> Html:
    """Return the traffic as a bar of shares with their numbers, and as ``1=90 2=10``."""
    parts = "".join(
        f'<span style="display:inline-block;box-sizing:border-box;width:{share:g}%;background:{SHADES[place % 4]};'
        f'color:#fff;padding:0 .3em;overflow:hidden;white-space:nowrap">{version}: {share:g} %</span>'
        for place, (version, share) in enumerate(traffic.items())
    )
    return Html(f'<div style="width:16em;display:flex">{parts}</div>', format_traffic(traffic))
