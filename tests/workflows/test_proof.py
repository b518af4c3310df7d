"""The proof: what a fresh environment finds, each time by name, and what it says when there is nothing to find."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import DeploymentPlan, LocalTarget
from nbmlops.testing.shell import notebook
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.entry import entry
from nbmlops.workflows.planning import Asked, planned
from nbmlops.workflows.prepare import Prepared, prepare
from nbmlops.workflows.proof import recalled
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

    def fit(self, frame, target=None):
        return self

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

    def together(self, frame):
        return float(len(frame))

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
    said = target.status("flights").environments["2"]
    assert (said["differs"], said["serving_environment_id"]) == ([], said["locked"]), "by its own process's word"

    skipped = deploy("flights/2", proof=False, plan=True)
    assert (skipped.told["proof"], skipped.spec.arms[0].python) == ("skipped", "")
    assert ("proof", "in a fresh environment", "skipped") in [tuple(one.to_dict().values()) for one in skipped.changes]


def test_a_helper_module_that_was_not_shipped(session: Session, registered: Callable[..., str]) -> None:
    found = refusal(session, registered("helper"))
    assert "helper module 'rules_of_the_house'" in found
    assert "rules_of_the_house.py) was not shipped" in found
    assert "`import rules_of_the_house`" in found


def test_a_package_that_is_used_only_at_predict_time(session: Session, registered: Callable[..., str]) -> None:
    found = refusal(session, registered("package"))
    assert "package tabulate (module 'tabulate') is not in its lock" in found
    assert "`import tabulate`" in found


def test_an_asset_that_is_read_by_a_relative_path_and_how_it_is_shipped(
    session: Session, registered: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refusal(session, registered("asset"))
    assert "file 'table/words.txt', opened by a relative path, was not shipped" in found
    assert "--asset table/words.txt" in found

    ref = registered("asset", assets=["table/words.txt"])
    mended = proof_of(session, ref)
    assert (mended.replay["rows"], mended.replay["identical"]) == (40, 40)

    monkeypatch.setattr("nbmlops.deployment.proving.prove", lambda *_: pytest.fail("proved again"))
    assert proof_of(session, ref) == mended, "it is attested beside the bundle"
    other = replace(session.registry.reference(ref), digest="sha256:other")
    assert recalled(mended.bundle, other) is None, "of other rows it says nothing"


def test_without_rows_it_is_proved_that_it_starts(session: Session, project: Path, proving: None) -> None:
    register_model(importlib.import_module("late_model").Late("helper"), name="bare")

    made = planned(session, Asked("bare"))

    assert made.plan.told["replayed"] == "nothing: no rows were kept at its registration"
    assert made.plan.told["proof"].startswith("it starts; no rows were kept")
    assert made.ready.replay["proved"] is True


def test_answers_that_depend_on_the_rows_sent_together(session: Session, registered: Callable[..., str]) -> None:
    found = refusal(session, registered("together"))
    assert "sent in other numbers of rows it answers differently (rows 0, " in found


def test_categories_in_another_order(
    session: Session, registered: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = registered("categories")
    told = session.registry.signature(ref)
    for column in told["inputs"]:
        if column["name"] == "carrier":
            column["categories"] = column["categories"][::-1]
    monkeypatch.setattr(type(session.registry), "signature", lambda *_: told)

    found = refusal(session, ref)
    assert "40 of 40 labels differ" in found
    assert "column 'carrier' was fitted with its categories in the order UA, AA and is served with AA, UA" in found
    assert not session.journal.events("model.proved")


def test_another_minor_version_of_python(
    session: Session, registered: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = registered("helper")
    captured = session.registry.captured(ref)
    captured["environment"]["python"] = "3.99"
    monkeypatch.setattr(type(session.registry), "captured", lambda *_: captured)

    found = refusal(session, ref)
    assert "was captured with Python 3.99, and this kernel runs Python 3." in found
    assert "Deploy from a kernel with Python 3.99, or register the model again here" in found


def test_a_package_of_another_version_than_is_pinned(
    session: Session, registered: Callable[..., str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = project.parent / "site"
    monkeypatch.syspath_prepend(str(site))
    install(site, "1.0", "SCALE = 1")
    ref = registered("scale")
    shutil.rmtree(site)
    install(site, "2.0", "SCALE = 2")
    found = refusal(session, ref)
    assert "scale-of-the-house 1.0 (this kernel has 2.0) would have to be fetched" in found
    assert "--fetch" in found
    assert "pip install 'scale-of-the-house==1.0'" in found

    offer(wheel(project / "right", "1.0", "SCALE = 1"), monkeypatch)
    proved = proof_of(session, ref)
    assert proved.replay["identical"] == 40, "the pinned version answers, not this kernel's"

    offer(wheel(project / "wrong", "1.0", "SCALE = 3"), monkeypatch)
    for folder in (Path(proved.python).parents[1], *session.workspace.bundles.iterdir()):
        shutil.rmtree(folder)
    assert "40 of 40 labels differ" in refusal(session, ref)


def test_a_global_that_a_script_relied_on_and_a_function_of_a_deleted_cell(
    session: Session, flights: pd.DataFrame, proving: None
) -> None:
    with notebook() as cells:
        cells.names["rows"] = flights[["hour", "distance"]]
        cells.run("factor = 2\ndef clean(hour):\n    return hour * 3")
        cells.run("def score(data):\n    return data.eval('hour * @factor')")
        register_model(entry(cells.names["score"], "score", data=cells.names["rows"]), name="factor")
        found = refusal(session, "factor/1")
        assert "the name 'factor' that its code relies on is not defined where it is served" in found
        assert "it is a name of this notebook" in found

        cells.run("def scored(data):\n    return data.eval('@clean(hour)')")
        register_model(cells.names["scored"], name="gone", data=cells.names["rows"])
        del cells.names["clean"]
        assert "the name 'clean' that its code relies on" in refusal(session, "gone/1")


def install(site: Path, version: str, source: str) -> None:
    for name, content in packed(version, source).items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(content)
    importlib.invalidate_caches()


def wheel(folder: Path, version: str, source: str) -> Path:
    folder.mkdir()
    place = folder / f"scale_of_the_house-{version}-py3-none-any.whl"
    with ZipFile(place, "w") as archive:
        for name, content in packed(version, source).items():
            archive.writestr(name, content)
    return place


def packed(version: str, source: str) -> dict[str, str]:
    info = f"scale_of_the_house-{version}.dist-info"
    files = {
        "scale_of_the_house.py": f"{source}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: scale-of-the-house\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return {**files, f"{info}/RECORD": "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])}


def offer(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uv find a wheel where it looks without a network, and nothing in its cache."""
    monkeypatch.setenv("UV_FIND_LINKS", str(made.parent))
    monkeypatch.setenv("UV_CACHE_DIR", str(made.parent / "cache"))
