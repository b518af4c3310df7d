"""Send many requests to a deployed endpoint, good, bad and large ones; the memory of its processes has to stay flat.

``python benchmarks/soak.py [--requests N] [--step N] [--out FOLDER]`` writes ``soak.md``; the exit code is 1 if a
process grew by more than it may.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from faults.world import NAME, World
from harness import machine

from nbmlops.profiling.load import drive

HERE = Path(__file__).resolve().parent
MIB = 2**20
GROWTH_MIB = 8.0  # that a process may grow by after the first step, as the allocator's arenas settle
CONNECTIONS = 8
SECONDS = 1.0  # of one burst
LARGE = 2000  # rows


@dataclass
class Soak:
    """What was seen.

    Attributes
    ----------
    statuses : Counter
        Requests by what they were answered with.
    resident : list of (int, dict of str to float, MiB)
        Requests so far, and each process's resident memory.
    captured : dict
        What the endpoint says of its captured records.
    left : list of str
        What it left when it was taken down.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    resident: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    captured: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    @property
    def grown(self) -> dict[str, float]:
        """Process -> MiB by which it grew from the first step to the last."""
        (_, first), (_, last) = self.resident[1], self.resident[-1]
        return {name: last.get(name, 0.0) - size for name, size in first.items()}

    @property
    def is_flat(self) -> bool:
        """Whether no process grew by more than it may, and each is the one that it was."""
        same = self.resident[0][1].keys() == self.resident[-1][1].keys()
        return same and all(size <= GROWTH_MIB for size in self.grown.values())


def bodies() -> list[bytes]:
    """Return the requests, of which every tenth is large and three of ten are refused."""

    def split(columns: list[str], *rows: list[object]) -> bytes:
        return json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()

    good = [split(["x"], [float(number)]) for number in range(40)]
    large = [split(["x"], *([float(number + row)] for row in range(LARGE))) for number in range(3)]
    bad = [split(["x"], [None]), split(["y"], [1.0]), b'{"dataframe_split": ', b"[" * 2000, b""]
    turns = []
    for number in range(70):
        kind = large if number % 10 == 0 else bad if number % 10 in (3, 6, 8) else good
        turns.append(kind[number % len(kind)])
    return turns


def resident(world: World) -> dict[str, float]:
    """Return each process's resident memory in MiB."""
    status = world.status()
    sizes = {}
    for pid in (status.pid, *status.pids):
        process = psutil.Process(pid)
        modules = [word for word in process.cmdline() if word.startswith("nbmlops")]
        sizes[f"{modules[0].rpartition('.')[2]} {pid}"] = process.memory_info().rss / MIB
    return sizes


def soak(requests: int, step: int) -> Soak:
    """Send so many requests and look at the memory every `step` of them."""
    found, sent = Soak(), bodies()
    with tempfile.TemporaryDirectory(prefix="nbmlops-soak-") as folder:
        world = World(Path(folder) / "project")
        try:
            url = world.deploy("on").url
            headers = {"authorization": f"Bearer {world.target.token(NAME)}", "content-type": "application/json"}
            done = 0
            found.resident.append((0, resident(world)))
            while done < requests:
                until = min(done + step, requests)
                while done < until:
                    seen = drive(f"{url}/invocations", headers, sent, connections=CONNECTIONS, seconds=SECONDS)
                    found.statuses.update({"200": seen.requests, **seen.errors})
                    done += seen.requests + sum(seen.errors.values())
                found.resident.append((done, resident(world)))
            found.captured = dict(world.status().capture)
            found.left = world.leave()
        finally:
            world.abandon()
    return found


def report(found: Soak) -> str:
    """Return the page."""
    names = list(found.resident[0][1])
    rows = ["| " + " | ".join([f"{done:,}", *(f"{sizes.get(name, 0):.1f}" for name in names)]) + " |"
            for done, sizes in found.resident]  # fmt: skip
    told = ", ".join(f"{count:,} with {status}" for status, count in sorted(found.statuses.items()))
    grown = ", ".join(f"{name.split()[0]} {size:+.1f}" for name, size in found.grown.items())
    titles = " | ".join(name.split()[0] for name in names)
    return f"""# Memory over many requests

A deployed endpoint with two scorers, each with a worker process, capture on; {CONNECTIONS} connections send single
rows, requests of {LARGE:,} rows and broken ones by turns. {machine()}.

{found.resident[-1][0]:,} requests were answered: {told}. Records kept: {found.captured["committed"]:,}, dropped:
{found.captured["dropped"]:,} (the first answer of each connection is kept and not counted above).
Growth in MiB from the second look to the last: {grown} (at most {GROWTH_MIB:g} is taken for flat).

| Requests so far | {titles} |
| ---: |{" ---: |" * len(names)}
{chr(10).join(rows)}

Resident memory in MiB.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--step", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=HERE.parent / "build/benchmarks")
    options = parser.parse_args()
    found = soak(options.requests, options.step)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.md").write_text(report(found))
    print(report(found))
    unexpected = found.statuses.keys() - {"200", "400", "422"}
    return int(not found.is_flat or bool(unexpected) or bool(found.left))


if __name__ == "__main__":
    raise SystemExit(main())
