"""Shadows compared with what callers got: what a kernel shows of the counts that scorers keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.display import Card, Shown, Table, table
from nbmlops.core.records import Record

if TYPE_CHECKING:
    from nbmlops.serving.comparison import Report

HEADERS = ("shadow", "pairs", "agreement", "interval", "difference", "median, p95", "callers' median, p95", "verdict")
SHOWN = 5  # of the largest disagreements


@dataclass(frozen=True)
class Comparisons(Record, Shown):
    """How the answers of an endpoint's shadows compare with those that callers got.

    Attributes
    ----------
    endpoint : str
    reports : mapping of str to nbmlops.serving.comparison.Report
        By the shadow's version.
    """

    endpoint: str
    reports: Mapping[str, Report]

    def __getitem__(self, version: str | int) -> Report:
        return self.reports[str(version)]

    def __len__(self) -> int:
        return len(self.reports)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        import msgspec

        reports = {version: msgspec.to_builtins(report) for version, report in self.reports.items()}
        return {"endpoint": self.endpoint, "reports": reports}

    @property
    def tables(self) -> tuple[Table, ...]:
        """One line for each shadow, and the largest disagreements."""
        if not self.reports:
            return ()
        lines = table(HEADERS, (_line(version, report) for version, report in self.reports.items()), caption="Shadows")
        worst = [
            (version, one.prediction, one.row, one.champion, one.shadow, one.size)
            for version, report in self.reports.items()
            for one in report.largest[:SHOWN]
        ]
        headers = ("shadow", "prediction", "row", "callers got", "shadow says", "size")
        return (lines, table(headers, worst, caption="Largest disagreements")) if worst else (lines,)

    def _show_(self) -> Card:
        note = "" if self.reports else f"No shadow has answered yet: %traffic {self.endpoint} --shadow VERSION=PERCENT"
        return Card(f"Shadows of {self.endpoint}", tables=self.tables, note=note)


def compared(endpoint: str, counted: Iterable[Mapping[str, Any]]) -> Comparisons:
    """Return the comparison of each shadow.

    Parameters
    ----------
    counted : iterable of mapping
        ``shadow`` and ``counts``, of each process that compared.
    """
    counted = list(counted)
    if not counted:
        return Comparisons(endpoint, {})
    from nbmlops.serving.comparison import Comparison, report

    parts: dict[str, list[Comparison]] = {}
    for one in counted:
        parts.setdefault(str(one["shadow"]), []).append(Comparison.from_dict(one["counts"]))
    merged = {version: Comparison.merged(of_one) for version, of_one in sorted(parts.items())}
    return Comparisons(endpoint, {version: report(of_one) for version, of_one in merged.items()})


def _line(version: str, report: Report) -> tuple[object, ...]:
    low, high = report.agreement_interval
    lost = f"; {report.errors:,} failed" if report.errors else ""
    lost += f"; {report.dropped:,} left out, since it was behind" if report.dropped else ""
    return (
        version,
        report.pairs,
        "" if report.agreement is None else f"{100 * report.agreement:.2f} %",
        f"{100 * low:.2f} to {100 * high:.2f} %",
        "" if report.absolute is None else f"{report.absolute:.3g}",
        _milliseconds(report.latency_shadow),
        _milliseconds(report.latency_champion),
        report.verdict + lost,
    )


def _milliseconds(latency: tuple[float, float] | None) -> str:
    return "" if latency is None else ", ".join(f"{1000 * seconds:.3g} ms" for seconds in latency)
