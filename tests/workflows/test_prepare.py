"""The choice of a runtime and the shape of an endpoint, with the replay's findings given."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from nbmlops.conversion import Fidelity
from nbmlops.core.errors import InvalidInput, InvalidObject, Refused, Untrusted
from nbmlops.deployment import Replay
from nbmlops.registry.integrity import KEY
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.profile import profile
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

GOOD = Fidelity(rows=400, labels_equal=400, labels_different=0, max_difference=1e-7)
BAD = Fidelity(rows=400, labels_equal=398, labels_different=2, max_difference=0.4, worst=(3, 9))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let the replay of each runtime find what a test says; returns the runtimes that were replayed."""

    def say(**found: Fidelity) -> list[str]:
        replayed: list[str] = []

        def replay(bundle, reference):
            replayed.append(bundle.runtime)
            return Replay(rows=len(reference.inputs), fidelity=found[bundle.runtime])

        monkeypatch.setattr("nbmlops.deployment.replay", replay)
        return replayed

    return say


@pytest.fixture
def registered(session: Session, rows: pd.DataFrame, converting: Pipeline) -> Session:
    register_model(converting, name="flights", data=rows, label="late")
    return session


def test_a_conversion_that_agrees_is_chosen(registered: Session, seen: Callable[..., list[str]]) -> None:
    replayed = seen(onnx=GOOD)

    prepared = prepare(registered, registered.registry.version("flights"))

    assert (prepared.bundle.runtime, replayed) == ("onnx", ["onnx"])
    assert prepared.replay == {"rows": 400, "labels_different": 0, "max_difference": 1e-7, "tolerance": 1e-5}


def test_a_conversion_whose_served_answers_differ_is_passed_over(
    registered: Session, seen: Callable[..., list[str]]
) -> None:
    replayed = seen(onnx=BAD, sklearn=GOOD)

    prepared = prepare(registered, registered.registry.version("flights"))

    assert (prepared.bundle.runtime, replayed) == ("sklearn", ["onnx", "sklearn"])
    assert "2 of 400 labels differ" in prepared.why


def test_a_model_that_answers_differently_when_served_is_refused(
    registered: Session, seen: Callable[..., list[str]]
) -> None:
    seen(onnx=BAD, sklearn=BAD)

    with pytest.raises(Refused, match=r"2 of 400 labels differ .*rows 3, 9"):
        prepare(registered, registered.registry.version("flights"))


def test_the_choice_is_remembered_until_its_bundle_is_cleared_away(
    registered: Session, seen: Callable[..., list[str]]
) -> None:
    import shutil

    version = registered.registry.version("flights")
    replayed = seen(onnx=GOOD)
    first = prepare(registered, version)
    assert prepare(registered, version) == first
    assert replayed == ["onnx"]

    shutil.rmtree(first.bundle.path)
    assert prepare(registered, version).bundle.digest == first.bundle.digest
    assert replayed == ["onnx", "onnx"]


def test_a_pickle_that_nobody_trusted_says_how_to_serve_it(session: Session, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    register_model(tmp_path / "model.pkl", name="foreign")

    with pytest.raises(InvalidObject, match="a pickle that was kept unopened: register it with --trust"):
        prepare(session, session.registry.version("foreign"))


def test_profiling_plain_files_says_that_they_are_files(session: Session, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a b c")
    register_model(tmp_path / "words.txt", name="words")

    with pytest.raises(InvalidObject, match=r"words/1 is plain files.*%download words/1 DIR"):
        profile("words")


def test_plain_files_can_not_be_served(session: Session, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\n")
    version = register_model(tmp_path / "words.txt", name="words")

    with pytest.raises(InvalidObject, match="%download words/1"):
        prepare(session, version)


def test_a_version_from_elsewhere_needs_trust(session: Session, tmp_path: Path, converting: Pipeline) -> None:
    import cloudpickle

    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(converting))
    version = register_model(tmp_path / "model.pkl", name="foreign", trust=True)
    assert prepare(session, version).bundle.runtime == "sklearn", "trusted at registration, so it is ours"

    seal = session.workspace.home / KEY
    assert seal.exists(), "what this workspace registers is sealed with a key of its own"
    seal.unlink()
    with pytest.raises(Untrusted, match="--trust"):
        prepare(session, session.registry.version("foreign"))


def test_the_first_version_takes_all_the_traffic(registered: Session, seen: Callable[..., list[str]]) -> None:
    seen(onnx=GOOD)

    with pytest.raises(InvalidInput, match="serves nothing yet"):
        deploy("flights", traffic=50, plan=True)


def test_a_size_is_asked_for_else_recommended_else_as_it_is(registered: Session) -> None:
    from nbmlops.deployment import Resources
    from nbmlops.workflows.planning import _resources

    version = registered.registry.version("flights").reference
    now = Resources(cpu=1, memory_mib=300, workers=2)
    assert _resources(registered, version, now=now, asked=(None, None, None)) == now
    assert _resources(registered, version, now=now, asked=(0.5, None, None)) == Resources(0.5, 300, 2)

    advice = {"cores": 2, "memory_mib": 256, "workers": 1}
    about = {"report": {"recommendation": advice}}
    registered.journal.append("model.profiled", "model/flights/1", about)
    assert _resources(registered, version, now=now, asked=(None, 512, None)) == Resources(2, 512, 1)
