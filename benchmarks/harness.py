"""What every benchmark shares: interleaved runs, medians with their spread, ratios to a peer, a Markdown table.

A benchmark is a file ``bench_*.py`` that ends in ``harness.report(harness.compare(...))``. Run one with
``python benchmarks/bench_x.py``, all of them with ``make bench``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "build/benchmarks"
RUNS = 5


@dataclass(frozen=True)
class Comparison:
    """Values of several cases, measured in turns on one machine.

    Attributes
    ----------
    title, unit : str
        What was measured, and in what.
    samples : mapping of str to tuple of float
        One value per run of each case, in the order of measuring.
    peer : str
        The case that the others are compared with; empty for none.
    more_is_better : bool
        True for rates, False for times and memory.
    goal : str
        What was hoped for, in words.
    packages : tuple of str
        Packages whose versions belong to the result.
    """

    title: str
    unit: str
    samples: Mapping[str, tuple[float, ...]]
    peer: str = ""
    more_is_better: bool = False
    goal: str = ""
    packages: tuple[str, ...] = ()

    def median(self, case: str) -> float:
        """Return the median of one case."""
        return statistics.median(self.samples[case])

    def ratio(self, case: str) -> float:
        """How many times better `case` is than the peer; above 1 is better."""
        own, other = self.median(case), self.median(self.peer)
        return own / other if self.more_is_better else other / own


def compare(title: str, cases: Mapping[str, Callable[[], float]], *, unit: str = "s", runs: int = RUNS) -> Comparison:
    """Measure the cases in turns, so that a slow minute of the machine meets all of them alike.

    Parameters
    ----------
    title : str
    cases : mapping of str to callable
        Each call makes one run and returns its value in `unit`.
    unit : str
    runs : int
        Rounds through all cases, at least five.

    Returns
    -------
    Comparison
        Without peer and goal; add them with `dataclasses.replace`.
    """
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(runs):
        for name, measure in cases.items():
            samples[name].append(measure())
            print(f"run {number + 1}/{runs}  {name}: {samples[name][-1]:.4g} {unit}", file=sys.stderr, flush=True)
    return Comparison(title, unit, {name: tuple(values) for name, values in samples.items()})


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Turn `work` into a case that returns the seconds it took."""

    def measure() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return measure


def in_new_interpreter(code: str, **environment: str) -> Callable[[], float]:
    """Turn `code` into a case: a fresh interpreter runs it, and the last line that it prints is the value."""

    def measure() -> float:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return float(done.stdout.strip().splitlines()[-1])

    return measure


def markdown(result: Comparison) -> str:
    """Return the table of a comparison."""
    header = ["", f"median ({result.unit})", "lowest to highest"] + (["times the peer"] if result.peer else [])
    rows = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for case, values in result.samples.items():
        row = [case, f"{result.median(case):.3g}", f"{min(values):.3g} to {max(values):.3g}"]
        if result.peer:
            row.append("peer" if case == result.peer else f"{result.ratio(case):.3g} ×")
        rows.append(row)
    lines = [f"### {result.title}", ""]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    runs = len(next(iter(result.samples.values())))
    lines += ["", f"{runs} interleaved runs. {machine(result.packages)}."]
    return "\n".join(lines + ([f"Goal: {result.goal}."] if result.goal else []))


def machine(packages: tuple[str, ...] = ()) -> str:
    """Name the machine and the versions that a figure depends on."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return ", ".join([f"Python {platform.python_version()}", *versions, system])


def report(*results: Comparison) -> None:
    """Print the tables and keep them in ``build/benchmarks/`` under the name of the running file."""
    text = "\n\n".join(markdown(result) for result in results)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{Path(sys.argv[0]).stem}.md").write_text(text + "\n")
    print(text)


def main() -> int:
    """Run every benchmark of this folder, each in a process of its own."""
    failed = []
    for benchmark in sorted(HERE.glob("bench_*.py")):
        print(f"\n== {benchmark.stem}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, str(benchmark)], check=False).returncode:
            failed.append(benchmark.stem)
    print(f"\nfailed: {', '.join(failed)}" if failed else f"\ntables: {RESULTS}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
