"""The goals that the measurement is held against, as data; each is a ratio of two servers or a bound on one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Measured = dict[str, Any]

OURS, OBJECT, FLOOR = "nbmlops, ONNX", "nbmlops, scikit-learn", "hello-world ASGI"
MLFLOW = "MLflow, scikit-learn"
LIBRARIES = ("MLflow", "MLServer", "BentoML", "FastAPI")
BEST = 0  # stands for the number of connections at which a server answers the most


@dataclass(frozen=True)
class Verdict:
    """One goal and what came of it.

    Attributes
    ----------
    what : str
    goal, measured : str
        With their units.
    met : bool
    """

    what: str
    goal: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Ratio:
    """How many times more requests one server answers than another.

    Attributes
    ----------
    own, peer : str
        Names of servers.
    at, peer_at : int
        Connections to each.
    least : float
        The goal.
    """

    what: str
    own: str
    peer: str
    least: float
    at: int = 32
    peer_at: int = 32

    def verdict(self, found: Measured) -> Verdict | None:
        """Return what came of it; None where one of the two was not measured."""
        if not {self.own, self.peer} <= found["servers"].keys():
            return None
        own, peer = rates(found, self.own, self.at), rates(found, self.peer, self.peer_at)
        ratios = [one / other for one, other in zip(own, peer, strict=True)]
        middle = statistics.median(ratios)
        said = f"{number(middle)} × ({number(min(ratios))} to {number(max(ratios))})"
        return Verdict(self.what, f"≥ {self.least:g} ×", said, middle >= self.least)


def number(value: float) -> str:
    """Return a figure with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rates(found: Measured, name: str, connections: int) -> list[float]:
    """Return the requests a second of each round; at `BEST`, of the number of connections with the best median."""
    samples = found["servers"][name]["samples"]
    at = str(connections) if connections else best_level(found, name)
    return [sample["rps"] for sample in samples[at]]


def best_level(found: Measured, name: str) -> str:
    """Return the number of connections at which a server answers the most, as text."""
    samples = found["servers"][name]["samples"]
    return max(samples, key=lambda level: statistics.median(sample["rps"] for sample in samples[level]))


def verdicts(found: Measured) -> list[Verdict]:
    """Return all goals whose servers were measured."""
    ratios = [verdict for ratio in _ratios(found) if (verdict := ratio.verdict(found))]
    return ratios + _bounds(found)


def _ratios(found: Measured) -> Iterator[Ratio]:
    for library in LIBRARIES:
        for at in (1, 32):
            peer = best_with_onnx(found, library, at)
            if peer:
                yield Ratio(f"{peer}: the same ONNX file, {connections(at)}", OURS, peer, 3, at, at)
    yield Ratio("hello-world, the floor, 32 connections", OURS, FLOOR, 0.65)
    yield Ratio("MLflow with scikit-learn, each at its best concurrency", OURS, MLFLOW, 100, BEST, BEST)
    for library in ("MLServer", "BentoML"):
        yield Ratio(
            f"{library} with its batching, boosting, 32 connections", OURS, f"{library}, scikit-learn, batching", 15
        )
        yield Ratio(
            f"{library} with its batching, forest, 32 connections",
            "nbmlops, forest",
            f"{library}, forest, batching",
            15,
        )
    yield Ratio("nbmlops with scikit-learn against MLflow's, 1 connection", OBJECT, MLFLOW, 2, 1, 1)
    yield Ratio("nbmlops with scikit-learn against MLflow's, each at its best", OBJECT, MLFLOW, 3, BEST, BEST)
    for at in (1, 32):
        yield Ratio(f"capture on against off, {connections(at)}", OURS, f"{OURS}, capture off", 0.9, at, at)
        yield Ratio(f"two versions against one, {connections(at)}", f"{OURS}, two versions", OURS, 0.8, at, at)


def best_with_onnx(found: Measured, library: str, at: int) -> str | None:
    """Return the fastest of a library's servers of the ONNX file; None where none was measured."""
    names = [
        name
        for name, server in found["servers"].items()
        if server["library"] == library and server["runtime"] == "onnx" and server["model"] == "boosting"
    ]
    return max(names, key=lambda name: statistics.median(rates(found, name, at)), default=None)


def _bounds(found: Measured) -> list[Verdict]:
    server = found["servers"].get(OURS)
    if server is None:
        return []
    errors = sum(sample["errors"] for samples in server["samples"].values() for sample in samples)
    first, memory = statistics.median(server["first_answer_s"]), server["rss_mib"]
    parts = " + ".join(f"{part:.0f}" for part in memory)
    return [
        Verdict("requests of nbmlops, ONNX, that failed under load", "0", str(errors), not errors),
        Verdict("start of the endpoint to its first answer", "≤ 1 s", f"{first:.2f} s", first <= 1),
        Verdict(
            "resident memory of the scorer (with the supervisor)",
            "≤ 90 MiB",
            f"{memory[0]:.0f} MiB ({parts} MiB)",
            memory[0] <= 90,
        ),
    ]


def connections(count: int) -> str:
    """Return ``1 connection``, ``32 connections``."""
    return f"{count} connection{'' if count == 1 else 's'}"
