"""A newcomer's first minutes with the installed package: register, deploy, predict, take down; from Python and the CLI.

Run in an empty folder, with the base dependencies alone.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import nbmlops


def command(*words: str) -> str:
    """Run ``nbmlops`` as a person would and return what it printed."""
    done = subprocess.run(["nbmlops", *words], check=True, capture_output=True, text=True)
    print(f"$ nbmlops {' '.join(words)}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Fail loudly where anything is not as promised."""
    assert "site-packages" in str(Path(nbmlops.__file__)), "this is to try the installed package, not a checkout"
    flowers = load_iris(as_frame=True).frame
    inputs = flowers.drop(columns="target")
    model = LogisticRegression(max_iter=1000).fit(inputs, flowers["target"])

    version = nbmlops.register_model(model, name="iris", data=flowers, label="target")
    assert version.reference in command("models")
    command("deploy", "iris")
    try:
        endpoint = nbmlops.endpoint("iris")
        request = urllib.request.Request(
            f"{endpoint.url}/invocations",
            data=json.dumps({"dataframe_split": inputs.to_dict(orient="split")}).encode(),
            headers={**endpoint.headers, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answered = json.load(response)["predictions"]
        assert answered == model.predict(inputs).tolist(), "the endpoint answers as the model does"
    finally:
        command("down")
    assert not nbmlops.endpoints(), "nothing is left running"
    assert nbmlops.verify().ok, "the journal's chain holds"
    print("The installed package works with its base dependencies alone.")


if __name__ == "__main__":
    main()
