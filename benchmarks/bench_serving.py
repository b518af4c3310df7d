"""What a single row costs over HTTP: nbmlops at the public port of a real endpoint, against its peers.

Every server holds the same model (a scaler, one-hot encoding and 100 trees over 23 columns), as the fitted object or as
the same ONNX file, in one worker process; all take turns under load from ``wrk``, and every request carries another
row. nbmlops asks for its token, keeps its metrics and captures the data meanwhile.

``make bench-serving`` installs the peers and writes ``benchmarks/results/serving.md``. By hand:
``python benchmarks/bench_serving.py [--quick] [--seconds S] [--starts N] [--only TEXT…] [--out FOLDER]``; ``--again``
makes report and plot anew from the samples that lie there.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import harness
from serving import measure, plot, report
from serving.load import check_wrk
from serving.measure import Extent
from serving.peers import PEERS


def chosen(only: list[str]) -> list[measure.Server]:
    """Return the servers that are installed and wanted; say which are not installed."""
    from serving.ours import VARIANTS

    servers: list[measure.Server] = []
    for server in (*VARIANTS, *PEERS):
        if only and not any(text.lower() in server.name.lower() for text in only):
            continue
        if server.installed:
            servers.append(server)
        else:
            measure.told(f"{server.name} is not installed: make bench-serving installs it")
    return servers


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Measure in a workspace of its own, which is removed afterwards."""
    extent = Extent(seconds=options.seconds, starts=options.starts)
    if options.quick:
        extent = Extent(runs=1, seconds=1, starts=1)
    wrk = check_wrk()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NBMLOPS_WORKSPACE": folder, "MLFLOW_DISABLE_TELEMETRY": "true"}
        from serving.ours import register

        found = measure.compare(chosen(options.only), register(Path(folder)), extent)
    return found | {"wrk": wrk}


def main() -> None:
    """Measure, write samples, report and plot, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short run: does everything work?")
    parser.add_argument("--seconds", type=float, default=Extent.seconds, help="of one run (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=Extent.starts, help="of each server (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="servers whose name holds one of these")
    parser.add_argument("--again", action="store_true", help="measure nothing; tell what was measured anew")
    parser.add_argument("--out", type=Path, default=harness.RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    samples = options.out / "serving.json"
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.again:
        samples.write_text(json.dumps(measured(options), indent=1) + "\n")
    found = json.loads(samples.read_text())
    text = report.markdown(found)
    (options.out / "serving.md").write_text(text)
    plot.draw(found, options.out / "serving.svg")
    print(text)


if __name__ == "__main__":
    main()
