"""Which models convert to ONNX, how faithfully and how fast: every case of the catalogue behind the gate.

What the gate chooses is asked about fresh rows by a check of its own; a wrong one ends the run with 1. Then those that
convert take turns against their fitted objects at 1, 32, 1,000 and 10,000 rows.

``make bench-conversion`` writes ``benchmarks/results/conversion.{json,md}`` and ``docs/conversion-matrix.md``. By hand:
``python benchmarks/bench_conversion.py [--quick] [--only TEXT…] [--out FOLDER] [--docs FOLDER]``; ``--again`` makes the
pages anew from the samples that lie there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import harness
from conversion import report


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Convert, check and measure."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything loads OpenMP: both sides get one thread
    from conversion.measure import Extent, chosen, run
    from serving.measure import machine

    extent = Extent(runs=1, rows=1000, pairs=8) if options.quick else Extent()
    return run(chosen(options.only), extent, machine=machine())


def main() -> int:
    """Measure, write samples and pages; return 1 where something wrong was chosen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short run: does everything work?")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="these cases or families alone")
    parser.add_argument("--again", action="store_true", help="measure nothing; make the pages anew")
    parser.add_argument("--out", type=Path, default=harness.RESULTS, metavar="FOLDER")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="where the page of the docs goes (default: --out)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = options.out / "conversion.json"
    if not options.again:
        samples.write_text(json.dumps(measured(options), indent=1) + "\n")
    found = json.loads(samples.read_text())
    (options.out / "conversion.md").write_text(report.results(found))
    ((options.docs or options.out) / "conversion-matrix.md").write_text(report.docs(found))
    wrong = [name for name, case in found["cases"].items() if case.get("check", {}).get("wrong")]
    print(f"wrong: {', '.join(wrong)}" if wrong else report.results(found))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
