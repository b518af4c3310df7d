"""The proof: what a fresh environment finds, each time by name, and what it says when there is nothing to find."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import DeploymentPlan, LocalTarget
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.prepare import Prepared, prepare
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

pytestmark = pytest.mark.integration

MODEL = """
import numpy as np
from sklearn.base import BaseEstimator

class Late(BaseEstimator):
    def __init__(self, kind=""):
        self.kind = kind
        self.fitted_ = True

    def predict(self, frame):
        return np.asarray(frame["hour"] * 0.1 + getattr(self, self.kind)(frame))

    def helper(self, frame):
        from importlib import import_module
        return import_module("rules_of_the_house").extra(frame)

    def package(self, frame):
        from importlib import import_module
        return float(len(import_module("tabulate").tabulate([[1]])))

    def asset(self, frame):
        with open("table/words.txt") as lines:
            return float(len(lines.read()))

    def categories(self, frame):
        return frame["carrier"].cat.codes

    def scale(self, frame):
        import scale_of_the_house
        return float(scale_of_the_house.SCALE)
"""


@pytest.fixture
def proving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove before each deploy, as users do."""
    monkeypatch.delenv("NBMLOPS_PROOF")


@pytest.fixture
def project(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with modules that a notebook in it can import; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(workspace.root))
    monkeypatch.chdir(workspace.root)
    (workspace.root / "late_model.py").write_text(MODEL)
    (workspace.root / "rules_of_the_house.py").write_text("def extra(frame):\n    return frame['distance'] / 3\n")
    (workspace.root / "table").mkdir()
    (workspace.root / "table" / "words.txt").write_text("late")
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield workspace.root
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(workspace.root)):
            del sys.modules[name]


@pytest.fixture
def flights() -> pd.DataFrame:
    hours = np.arange(40) % 24
    carriers = pd.Categorical(np.where(hours % 3 == 0, "UA", "AA"), categories=["UA", "AA"])
    return pd.DataFrame({"hour": hours, "distance": hours * 7.5, "carrier": carriers})


@pytest.fixture
def registered(project: Path, session: Session, flights: pd.DataFrame) -> Callable[..., str]:
    """Register the model whose predict does what its kind says."""

    def register(kind: str, **options: Any) -> str:
        model = importlib.import_module("late_model").Late(kind)
        return register_model(model, name=kind, data=flights, **options).reference

    return register


def proof_of(session: Session, ref: str) -> Prepared:
    return prepare(session, session.registry.version(ref), proof=True)


def refusal(session: Session, ref: str) -> str:
    with pytest.raises(Refused) as caught:
        proof_of(session, ref)
    told = session.journal.events("model.refused", f"model/{ref}")[-1].data
    assert told["because"] == [str(caught.value)]
    return str(caught.value)


def test_a_converted_model_is_proved_planned_and_served(
    session: Session, rows: pd.DataFrame, inputs: pd.DataFrame, converting: Pipeline, proving: None
) -> None:
    register_model(converting, name="flights", data=rows, label="late")
    plan = deploy("flights", plan=True)
    assert isinstance(plan, DeploymentPlan)
    assert plan.told["proof"] == "comes first"
    assert not session.journal.events("model.proved"), "a plan says what would be done"

    served = deploy("flights", apply=plan.digest)

    assert np.array_equal(served.predict(inputs), converting.predict(inputs))
    done = session.journal.events("endpoint.deployed")[-1].data
    assert (done["proof"], done["replay"]["proved"], done["replay"]["rows"]) == (True, True, 400)
    told = session.journal.events("model.proved")
    assert [event.data["labels_different"] for event in told] == [0]
    assert "400 rows replayed through the server in a fresh environment" in served._show_().text
    again = deploy("flights", plan=True)
    assert again.told["proof"].startswith("400 rows within"), "the attestation beside the bundle says it"
    assert "every label equal" in again.told["proof"]


def test_a_fitted_object_answers_to_the_bit_in_the_environment_that_it_was_proved_in(
    two: Session, inputs: pd.DataFrame, stubborn: Pipeline, proving: None
) -> None:
    served = deploy("flights/2")

    assert np.array_equal(served.predict(inputs), stubborn.predict(inputs))
    replay = two.journal.events("endpoint.deployed")[-1].data["replay"]
    assert (replay["identical"], replay["rows"]) == (400, 400)
    target = LocalTarget(two.workspace, two.journal)
    commands = [psutil.Process(one).cmdline() for one in target.status("flights").pids]
    python = target.spec("flights").arms[0].python
    assert [command for command in commands if command[:2] == [python, "-I"]], commands

    deploy("flights/2", proof=False)
    assert target.spec("flights").arms[0].python == ""
    assert two.journal.events("endpoint.deployed")[-1].data["proof"] is False
