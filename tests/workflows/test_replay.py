"""A request runs once more: as it was decoded, by the very version that answered it, and with its exception."""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from uuid_utils import uuid7

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidInput, NotFound, Untrusted
from nbmlops.monitoring.compact import compact
from nbmlops.packaging import build_bundle
from nbmlops.serving.configuration import CaptureConfig, MemberConfig
from nbmlops.serving.faultfile import Fault, FaultFile, Keeping
from nbmlops.serving.spool import Record, Spool
from nbmlops.testing.shell import notebook
from nbmlops.workflows.register import register_model
from nbmlops.workflows.replay import replay
from nbmlops.workflows.session import Session, current

ROWS = pd.DataFrame({"hour": [1, 2], "carrier": ["UA", "AA"]})
SPLIT = {"columns": ["hour", "carrier"], "data": [[1, "UA"], [0, "AA"]]}
ONE = b'{"dataframe_records": [{"hour": 3, "carrier": "UA"}]}'
JSON = {"content-type": "application/json"}
MODULE = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

class Fixed(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.full(len(X), answer())

def answer():
    return {answer}
"""


class Shares(RegressorMixin, BaseEstimator):
    """Fails on an hour of nought."""

    def fit(self, X: Any, y: Any = None) -> Shares:
        self.fitted_ = True
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.array([60 // hour for hour in X["hour"].tolist()])


def kept(session: Session, name: str, **facts: Any) -> Fault:
    """Put a request to version 1 of a model into the store of an endpoint, as its scorer does."""
    bundle = build_bundle(session.registry, f"{name}/1", workspace=session.workspace)
    body = json.dumps({"dataframe_split": SPLIT}).encode()
    given = {"arm": "1", "model": name, "version": "1", "bundle": bundle.digest, "headers": JSON, "body": body}
    fault = Fault("id-1", **{**given, **facts})
    FaultFile(session.workspace.run / name / "errors").write([fault], Keeping())
    return fault


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session on a workspace with one version, which every test here reads and none changes."""
    root = tmp_path_factory.mktemp("replay")
    (root / ".nbmlops").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NBMLOPS_WORKSPACE", str(root))
        register_model(Shares().fit(ROWS), name="shares", data=ROWS)
        yield current()


def test_what_the_model_raises_leaves_the_call_from_its_own_frame_on(shares: Session) -> None:
    kept(shares, "shares")
    with pytest.raises(ZeroDivisionError) as caught:
        replay("id-1")
    functions = [frame.f_code.co_qualname for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert functions[-1].startswith("Shares.predict")
    assert not [name for name in functions if "Runtime" in name or "Served" in name]


def test_in_a_notebook_the_rows_are_in_a_variable(shares: Session) -> None:
    kept(shares, "shares")
    with notebook() as cells:
        run = cells.run("%replay id-1:0")
        assert isinstance(run.error, ZeroDivisionError)
        assert "replayed_request" in run.stdout
        assert "60 // hour" in run.stdout
        pd.testing.assert_frame_equal(cells.names["replayed_request"], pd.DataFrame(SPLIT["data"], columns=list(ROWS)))


def test_one_that_does_not_fail_any_more_says_so(shares: Session) -> None:
    kept(shares, "shares", body=ONE, answer=b'{"error": {}}')
    again = replay("id-1")
    assert (again.answer, again.equal, again.reference) == ({"predictions": [20]}, False, "shares/1")
    assert again.inputs.to_dict("records") == [{"hour": 3, "carrier": "UA"}]
    assert "does not here" in again._show_().text


@pytest.mark.parametrize(
    ("answer", "equal"), [(b'{"predictions":[20]}', True), (b'{"predictions":[21]}', False), (b"", None)]
)
def test_an_answer_is_compared_with_the_recorded_one(shares: Session, answer: bytes, equal: bool | None) -> None:
    kept(shares, "shares", body=ONE, status=200, answer=answer)
    assert replay("id-1").equal is equal


def test_what_was_left_out_is_named(shares: Session) -> None:
    kept(shares, "shares", missing=["columns carrier (redacted)"])
    with pytest.raises(InvalidInput, match=r"columns carrier \(redacted\)"):
        replay("id-1")
    kept(shares, "shares", body=None, missing=["the body (9,000,000 bytes)"])
    with pytest.raises(InvalidInput, match="the body"):
        replay("id-1")


def test_a_request_that_is_unknown_or_was_refused(shares: Session) -> None:
    with pytest.raises(NotFound, match="id-2"):
        replay("id-2")
    kept(shares, "shares", body=b'{"dataframe_records": [{"carrier": "UA"}]}')
    with pytest.raises(InvalidInput, match="hour"):
        replay("id-1")


def test_a_bundle_that_is_gone(shares: Session) -> None:
    kept(shares, "shares", bundle=digests.of_bytes(b"another"))
    with pytest.raises(Corrupt, match="%deploy shares/1"):
        replay("id-1")


def test_code_that_this_workspace_did_not_register_is_not_run(shares: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(shares, "shares")
    monkeypatch.setattr("nbmlops.registry.integrity.sealed", lambda *given: False)
    with pytest.raises(Untrusted, match="--trust"):
        replay("id-1")
    with pytest.raises(ZeroDivisionError):
        replay("id-1", trust=True)


def captured(session: Session, **facts: Any) -> Record:
    """Put a request to version 1 of ``shares`` into the collected data of an endpoint, as its scorer does."""
    bundle = build_bundle(session.registry, "shares/1", workspace=session.workspace)
    about = {
        "endpoint": "shares",
        "model": "shares",
        "version": "1",
        "arms": [{"version": "1", "bundle": bundle.digest}],
    }
    session.journal.append("endpoint.deployed", "endpoint/shares", about)
    given = {"arm": "1", "version": "1", "bundle": bundle.digest, "wire": "mlflow", "kind": "application/json"}
    given |= {"body": ONE, "answer": b'{"predictions":[20]}', "latency_s": 0.1}
    record = Record(**{"prediction": str(uuid7()), "time_ns": time.time_ns(), **given, **facts})
    commit(session, record)
    return record


def commit(session: Session, record: Record) -> None:
    """Commit a record as a scorer does."""
    spool = Spool(CaptureConfig(str(session.workspace.collected / "shares")), "shares")
    assert spool.add(record)
    spool.close()


@pytest.mark.parametrize("compacted", [False, True])
def test_a_captured_request_is_compared_with_its_answer(shares: Session, compacted: bool) -> None:
    equal, other = captured(shares), captured(shares, answer=b'{"predictions":[21]}')
    if compacted:
        compact(shares.workspace.collected / "shares", shares.workspace.bundles)
        assert not list(shares.workspace.collected.rglob("*.spool"))
    again = replay(f"{equal.prediction}:0")
    assert (again.equal, again.reference, again.status) == (True, "shares/1", 200)
    assert again.inputs.to_dict("records") == [{"hour": 3, "carrier": "UA"}]
    assert replay(other.prediction).equal is False


@pytest.mark.parametrize(("facts", "says"), [({"wire": "columns"}, "redacted"), ({"body": b""}, "large")])
def test_what_was_not_captured_is_named(shares: Session, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        replay(captured(shares, **facts).prediction)


def test_a_request_of_a_moment_ago_is_waited_for(shares: Session) -> None:
    """It is committed after its answer, so a caller may hold an id that cannot be read yet."""
    record = msgspec.structs.replace(captured(shares), prediction=str(uuid7()))
    late = Timer(0.3, commit, (shares, record))
    late.start()
    try:
        assert replay(record.prediction).equal
    finally:
        late.join()


def test_one_of_another_time_is_not_waited_for(shares: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nothing can come any more"))
    now = uuid.UUID(str(uuid7())).int
    for unknown in ("id-2", *(str(uuid.UUID(int=now + (milliseconds << 80))) for milliseconds in (-60_000, 3_600_000))):
        with pytest.raises(NotFound, match=unknown):
            replay(unknown)


def test_an_ensemble_runs_again_with_all_its_models(shares: Session) -> None:
    bundle = build_bundle(shares.registry, "shares/1", workspace=shares.workspace)
    members = [MemberConfig("shares", "1", bundle.path.name, weight) for weight in (3.0, 1.0)]
    kept(shares, "shares", version="shares-1_shares-1", members=members, body=ONE)
    assert replay("id-1").answer == {"predictions": [20.0]}
    kept(shares, "shares", version="shares-1_shares-1", members=members)
    with pytest.raises(ZeroDivisionError):
        replay("id-1")


def test_the_bundles_own_modules_run_and_the_notebook_keeps_its_own(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(session.workspace.root)
    monkeypatch.syspath_prepend(str(session.workspace.root))
    (session.workspace.root / "fixed_rules.py").write_text(MODULE.format(answer=1))
    module = importlib.import_module("fixed_rules")
    register_model(module.Fixed().fit(ROWS), name="fixed", data=ROWS)
    kept(session, "fixed", status=200, answer=b'{"predictions":[1,1]}')
    (session.workspace.root / "fixed_rules.py").write_text(MODULE.format(answer=2222))
    importlib.reload(module)
    before = list(sys.path)

    assert replay("id-1").equal

    assert sys.modules["fixed_rules"] is module
    assert module.answer() == 2222
    assert sys.path == before
    del sys.modules["fixed_rules"]
