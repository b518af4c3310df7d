"""The certificate of a conversion: with the run, beside the bundle, and its digest in the journal."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from nbmlops.conversion import Fidelity, Speed, ladder
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.deployment import Replay
from nbmlops.packaging import attestations
from nbmlops.workflows.convert import convert
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

QUICK = Speed(rows=(1, 7), fitted_ms=(2.0, 3.0), onnx_ms=(1.0, 6.0))


GOOD = Fidelity(rows=400, labels_equal=400, labels_different=0, max_difference=0.0)
BAD = Fidelity(rows=400, labels_equal=398, labels_different=2, max_difference=0.4, worst=(3, 9))


class Shifting(SklearnConverter):
    """Converts another model than it was given."""

    rungs = ("float32",)

    def convert(self, model, signature, *, rung="float32"):
        other = copy.deepcopy(model)
        other[-1].intercept_ += 9
        return super().convert(other, signature, rung=rung)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing depend on how fast this machine is."""
    monkeypatch.setattr(ladder, "speed", lambda *_, **__: QUICK)
    monkeypatch.setattr("nbmlops.deployment.replay", lambda bundle, reference: Replay(400, GOOD))


@pytest.fixture
def registered(session: Session, rows: pd.DataFrame, converting: Pipeline) -> Session:
    register_model(converting, name="flights", data=rows, label="late")
    return session


def stored(session: Session, name: str) -> str:
    version = session.registry.stored("flights/1")
    folder = session.registry.tracking.run_files(version.run_id, "nbmlops/conversion", session.workspace.cache)
    return Path(folder, name).read_text()


def test_the_certificate_lies_with_the_run_as_data_and_as_a_page(registered: Session) -> None:
    report = convert("flights")

    facts = json.loads(stored(registered, "certificate.json"))
    assert (facts["version"], facts["chosen"], facts["rung"]) == ("flights/1", report.chosen, report.rung)
    assert facts["rows"]["own"] + facts["rows"]["made"] == 1000
    assert sum(facts["rows"]["adversarial"].values()) > 0
    assert facts["model"] == registered.registry.version("flights").digest
    assert facts["onnx"] == report.onnx.digest
    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["versions"]["onnxruntime"]
    assert facts["speed"]["rows"] == [1, 7]
    page = stored(registered, "certificate.html")
    assert page.startswith("<!doctype html>")
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", page), "it needs no network"
    for words in ("flights/1", report.rung, "numbers far outside the range", "rows in a call"):
        assert words in page


def test_the_journal_holds_its_digest_and_no_row(registered: Session) -> None:
    convert("flights")

    event = registered.journal.events("model.converted", "model/flights/1", limit=1)[-1]
    facts = json.loads(stored(registered, "certificate.json"))
    flips = facts.pop("flips")
    assert flips == {"total": 0, "columns": [], "rows": []}
    assert event.data["certificate"] == digests.of_json(facts)
    assert event.data["serves"].startswith("ONNX Runtime, by skl2onnx")
    assert set(event.data) == {"name", "version", "serves", "because", "certificate", "operation", "actor"}


def test_rows_answered_otherwise_are_listed_with_the_run_alone(
    registered: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbmlops.conversion.choice.converters", lambda: (Shifting(),))
    monkeypatch.setattr("nbmlops.conversion.certificate.MOST_FLIPS", 3)
    report = convert("flights")

    assert report.chosen is None
    assert len(report.flips) == 400, "every probability is another"
    flips = json.loads(stored(registered, "certificate.json"))["flips"]
    assert (flips["total"], len(flips["rows"])) == (400, 3)
    assert {"hour", "distance", "carrier"} < set(flips["columns"])
    assert "3 of 400" in stored(registered, "certificate.html")
    assert "flips" not in report.certificate
    assert all("UA" not in json.dumps(dict(event.data)) for event in registered.journal.events())


def test_a_typical_request_of_more_rows_decides_for_the_original(registered: Session) -> None:
    assert convert("flights").chosen
    report = convert("flights", rows=7)
    assert report.chosen is None
    assert "slower" in report.reason
    facts = json.loads(stored(registered, "certificate.json"))
    assert (facts["chosen"], facts["tolerances"]["typical_rows"]) == (None, 7)
    event = registered.journal.events("model.converted", "model/flights/1", limit=1)[-1]
    assert event.data["serves"] == "the original runtime"


@pytest.mark.parametrize(("options", "what"), [({"rows": 0}, "0 rows"), ({"optimize": "extremely"}, "extremely")])
def test_an_option_without_sense_is_refused_before_anything_is_loaded(registered: Session, options, what) -> None:
    with pytest.raises(InvalidInput, match=what):
        convert("flights", **options)


def test_an_option_passes_the_same_comparison(registered: Session) -> None:
    report = convert("flights", optimize="basic")
    assert report.chosen, report.reason
    assert report.certificate["options"]["optimize"] == "basic"
    assert report.certificate["onnx"] != convert("flights").certificate["onnx"]


def test_a_serving_bundle_carries_the_certificate_and_the_journal_names_it_once(registered: Session) -> None:
    version = registered.registry.version("flights")
    bundle = prepare(registered, version).bundle

    facts = attestations(bundle)["certificate"]
    assert (bundle.runtime, facts["chosen"]) == ("onnx", "skl2onnx")
    assert "flips" not in facts
    prepare(registered, version)
    events = registered.journal.events("model.converted", "model/flights/1")
    assert [event.data["certificate"] for event in events] == [digests.of_json(facts)]


def test_a_plan_journals_nothing(registered: Session) -> None:
    version = registered.registry.version("flights")
    before = len(registered.journal.events())
    prepare(registered, version, later=True)
    assert len(registered.journal.events()) == before
    prepare(registered, version)
    assert len(registered.journal.events()) == before + 1


def test_the_certificate_of_the_original_runtime_says_why(registered: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbmlops.conversion.choice.converters", lambda: (Shifting(),))
    bundle = prepare(registered, registered.registry.version("flights")).bundle
    facts = attestations(bundle)["certificate"]
    assert (bundle.runtime, facts["chosen"]) == ("sklearn", None)
    assert [step["state"] for step in facts["trail"]] == ["unfaithful"]
    assert "disagrees" in facts["reason"]


def test_a_model_that_can_not_be_loaded_here_is_served_as_it_is(
    registered: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object, **__: object) -> None:
        raise ImportError("no module named house")

    monkeypatch.setattr(type(registered.registry), "load", lacks)
    prepared = prepare(registered, registered.registry.version("flights"))
    assert prepared.bundle.runtime == "sklearn"
    assert "it can't be loaded here to be converted: no module named house" in prepared.why


def test_a_conversion_that_differs_only_when_served_is_not_certified(
    registered: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nbmlops.deployment.replay", lambda bundle, _: Replay(400, BAD if bundle.runtime == "onnx" else GOOD)
    )
    bundle = prepare(registered, registered.registry.version("flights")).bundle
    facts = attestations(bundle)["certificate"]
    assert (bundle.runtime, facts["chosen"], facts["rung"]) == ("sklearn", None, "")
    assert facts["reason"].startswith("served by ONNX Runtime, 2 of 400 labels differ")
