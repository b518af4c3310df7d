"""From a fitted estimator to the first answer over HTTP: registered, packaged, replayed, deployed, called.

Each run has a fresh interpreter and a fresh workspace; importing the libraries and fitting are not counted, and
neither is taking it down. The peer logs the same estimator and serves it with ``mlflow models serve``.
"""

from __future__ import annotations

from dataclasses import replace

import harness

FIT = """
import os, tempfile, time
import numpy as np, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
random = np.random.default_rng(2013)
data = pd.DataFrame({f"x{place}": random.gamma(2.0, size=2000) for place in range(8)})
data["carrier"] = random.choice(["AA", "UA", "DL"], 2000)
late = ((data["x0"] > data["x1"]) ^ (data["carrier"] == "UA")).astype(int)
numeric = [name for name in data if name != "carrier"]
numbers = make_pipeline(FunctionTransformer(np.log1p), StandardScaler()) if OWN_RUNTIME else StandardScaler()
columns = make_column_transformer((numbers, numeric), (OneHotEncoder(), ["carrier"]))
model = make_pipeline(columns, LogisticRegression()).fit(data, late)
folder = tempfile.mkdtemp()
os.chdir(folder)
"""
NBMLOPS = """
os.environ["NBMLOPS_WORKSPACE"] = folder
import mlflow, nbmlops, nbmlops.capture, nbmlops.conversion, nbmlops.deployment, nbmlops.registry
began = time.perf_counter()
nbmlops.register_model(model, name="flights", data=data)
endpoint = nbmlops.deploy("flights")
answer = endpoint.predict(data.head(1))
seconds = time.perf_counter() - began
assert list(answer) == list(model.predict(data.head(1)))
assert ("v1 sklearn" in str(endpoint._show_())) == OWN_RUNTIME
nbmlops.down()
print(seconds)
"""
MLFLOW = """
import subprocess, sys, requests, mlflow, mlflow.sklearn
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
with mlflow.start_run():
    mlflow.log_metric("warm", 1.0)
began = time.perf_counter()
with mlflow.start_run():
    example = data.head(3)
    logged = mlflow.sklearn.log_model(model, name="model", input_example=example, serialization_format="cloudpickle")
command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", logged.model_uri]
command += ["-p", "PORT", "--env-manager", "local"]
import socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command[command.index("PORT")] = str(port)
environment = os.environ | {"PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
log = open("serve.log", "w")
server = subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log)
body = {"dataframe_split": data.head(1).to_dict("split")}
try:
    while True:
        assert server.poll() is None, open("serve.log").read()
        try:
            answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
            answer.raise_for_status()
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    seconds = time.perf_counter() - began
finally:
    os.killpg(server.pid, 15)
    server.wait()
assert answer.json()["predictions"] == list(model.predict(data.head(1)))
print(seconds)
"""


def comparison(title: str, *, own_runtime: bool, goal: str) -> harness.Comparison:
    """Compare both ways for one estimator."""
    fit = FIT.replace("OWN_RUNTIME", str(own_runtime))
    cases = {
        "mlflow, log_model and models serve": harness.in_new_interpreter(fit + MLFLOW),
        "nbmlops, register, replay and deploy": harness.in_new_interpreter(
            fit + NBMLOPS.replace("OWN_RUNTIME", str(own_runtime))
        ),
    }
    result = harness.compare(title, cases)
    return replace(result, peer=next(iter(cases)), goal=goal, packages=("nbmlops", "mlflow", "scikit-learn"))


if __name__ == "__main__":
    harness.report(
        comparison("Estimator to first answer, served by ONNX Runtime", own_runtime=False, goal="at most 5 s"),
        comparison("Estimator to first answer, its own runtime", own_runtime=True, goal="at most 10 s"),
    )
