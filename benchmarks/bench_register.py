"""Registration of a fitted pipeline with 30,000 x 20 rows, against ``mlflow.sklearn.log_model``.

Each run is a fresh process on a fresh store. "First" is everything from nothing imported of MLflow to the registered
version; "again" is the second registration in that process, with MLflow imported. The peer infers its requirements,
as it does by default. Run it with ``python benchmarks/bench_register.py [RUNS]``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version

PREPARE = """
import json, os, sys, time
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
generator = np.random.default_rng(int(sys.argv[1]))
data = pd.DataFrame(generator.normal(size=(30_000, 20)), columns=[f"c{i}" for i in range(20)])
inputs = list(data.columns)
data["late"] = (data["c0"] + generator.normal(size=30_000) > 0).astype(int)
model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=50)).fit(data[inputs], data["late"])
times = {}
def cpu():
    return sum(os.times()[:4])  # with that of child processes, where the peer guesses requirements
def timed(name, act):
    start, before = time.perf_counter(), cpu()
    act()
    times[name] = (time.perf_counter() - start, cpu() - before)
"""

OURS = """
from pathlib import Path
from nbmlops.capture import capture
from nbmlops.core.workspace import Workspace
from nbmlops.journal import Journal
from nbmlops.registry import Registration, Registry
def register():
    workspace = Workspace(Path.cwd()).open()
    journal = Journal.open(workspace)
    registry = Registry(workspace, journal)
    captured = capture(model, data, root=workspace.root)
    with journal.operation("model.registered", "model/flights", {"name": "flights"}) as operation:
        registration = Registration("flights", captured, data=data, label="late", operation=operation.id)
        made = registry.register(model, registration)
        operation.done(f"model/{made.reference}", name=made.name, version=made.version)
timed("first", register)
timed("again", register)
print(json.dumps(times))
"""

PEER = """
def register():
    import mlflow
    mlflow.set_tracking_uri(f"sqlite:///{os.getcwd()}/mlflow.db")
    with mlflow.start_run():
        mlflow.log_input(mlflow.data.from_pandas(data), context="training")
        signature = mlflow.models.infer_signature(data[inputs], model.predict(data[inputs]))
        trusted = ["sklearn._loss.link.LogitLink", "sklearn._loss.loss.HalfBinomialLoss",
                   "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
                   "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
                   "sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss.link.Interval"]
        mlflow.sklearn.log_model(model, name="flights", registered_model_name="flights", signature=signature,
                                 input_example=data[inputs].head(), serialization_format="cloudpickle")
timed("first", register)
timed("again", register)
print(json.dumps(times))
"""


def measure(script: str, seed: int) -> dict[str, tuple[float, float]]:
    """Return name -> (wall, CPU) seconds of one fresh process."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PREPARE + script, str(seed)]
        done = subprocess.run(
            command, check=True, cwd=folder, env=os.environ | quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    found: dict[str, tuple[float, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(runs: int) -> None:
    results: dict[str, list[dict[str, tuple[float, float]]]] = {"nbmlops": [], "mlflow": []}
    for seed in range(runs):  # interleaved: a busy moment hits both
        results["nbmlops"].append(measure(OURS, seed))
        results["mlflow"].append(measure(PEER, seed))
    packages = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "scikit-learn", "pandas", "skops"))
    print(f"30,000 x 20 rows, scaler + HistGradientBoosting(50); {runs} interleaved runs; {packages}\n")
    print("| | wall s, median (lowest to highest) | CPU s, median | against mlflow (wall) |")
    print("| --- | --- | --- | --- |")
    for stage in ("first", "again"):
        peer = statistics.median(run[stage][0] for run in results["mlflow"])
        for name, found in results.items():
            wall = [run[stage][0] for run in found]
            cpu = statistics.median(run[stage][1] for run in found)
            middle = statistics.median(wall)
            spread = f"{middle:.2f} ({min(wall):.2f} to {max(wall):.2f})"
            print(f"| {name}, {stage} | {spread} | {cpu:.2f} | {peer / middle:.1f}x |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
