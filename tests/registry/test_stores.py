"""One suite over SQLite and over a server: what a user sees is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidInput, NotFound, Refused
from nbmlops.registry import Registry, TrackedFit
from tests.registry.conftest import Fitted


def test_a_version_tells_what_it_is(anywhere: Registry, fitted: Fitted, name: str) -> None:
    made = anywhere.register(fitted.model, fitted.registration(name, tags={"area": "botany"}))
    again = anywhere.version(made.reference)
    assert again == made
    assert (again.name, again.version, again.kind, again.label) == (name, 1, "sklearn", "late")
    assert again.tags == {"area": "botany"}
    assert again.environment_id == fitted.captured.environment.id
    assert again.digest.startswith("sha256:")
    assert again.run_id
    assert again.created_at is not None
    assert again.created_at.tzinfo is not None


def test_the_object_comes_back(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.register(fitted.model, fitted.registration(name))
    inputs = fitted.data[["hour", "wind", "rain"]]
    loaded = anywhere.load(name)
    np.testing.assert_array_equal(loaded.predict_proba(inputs), fitted.model.predict_proba(inputs))


def test_numbers_go_on_after_the_newest_was_deleted(anywhere: Registry, fitted: Fitted, name: str) -> None:
    for expected in (1, 2):
        assert anywhere.register(fitted.model, fitted.registration(name)).version == expected
    anywhere.delete(f"{name}/2")
    with pytest.raises(NotFound, match="has no version 2"):
        anywhere.version(f"{name}/2")
    assert anywhere.version(name).version == 1
    assert anywhere.register(fitted.model, fitted.registration(name)).version == 3


def test_an_alias_moves_and_names_one_version(anywhere: Registry, fitted: Fitted, name: str) -> None:
    for _ in range(2):
        anywhere.register(fitted.model, fitted.registration(name))
    assert anywhere.set_alias(f"{name}/1", "champion") is None
    assert anywhere.set_alias(f"{name}/2", "champion") == 1
    assert anywhere.version(f"{name}@champion").version == 2
    assert anywhere.version(f"{name}/1").aliases == ()
    assert anywhere.aliases(name) == {name: {"champion": 2}}
    assert [v.version for v in anywhere.search(f"name={name} alias=champion")] == [2]
    assert anywhere.remove_alias(name, "champion") == 2
    assert anywhere.aliases(name) == {name: {}}


def test_tags_are_set_found_and_taken_away(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.register(fitted.model, fitted.registration(name, tags={"area": "botany"}))
    changed = anywhere.tag(name, {"stage": "trial", "area": ""})
    assert changed.tags == {"stage": "trial"}
    assert [v.name for v in anywhere.search(f"stage = trial, name: {name}")] == [name]
    assert anywhere.search(f"name={name} area=botany") == []


def test_a_version_with_an_alias_is_not_deleted_nor_its_run(anywhere: Registry, fitted: Fitted, name: str) -> None:
    made = anywhere.register(fitted.model, fitted.registration(name))
    anywhere.set_alias(name, "champion")
    with pytest.raises(Refused, match=r"holds the alias champion.*%promote"):
        anywhere.delete(f"{name}/1")
    with pytest.raises(Refused, match=f"deleted with its run {made.run_id}"):
        anywhere.delete_run(made.run_id)
    assert anywhere.version(f"{name}/1") == anywhere.version(f"{name}@champion")


def test_a_deployed_version_is_not_deleted_nor_its_run(anywhere: Registry, fitted: Fitted, name: str) -> None:
    made = anywhere.register(fitted.model, fitted.registration(name))
    deploy(anywhere, name)
    assert anywhere.version(name).deployed_at == ("flights-api",)
    with pytest.raises(Refused, match=r"deployed at flights-api.*%undeploy flights-api"):
        anywhere.delete(f"{name}/1")
    with pytest.raises(Refused, match="flights-api"):
        anywhere.delete_run(made.run_id)
    anywhere.journal.append("endpoint.deleted", "endpoint/flights-api", {"endpoint": "flights-api"})
    assert anywhere.delete(f"{name}/1").reference == f"{name}/1"


def deploy(registry: Registry, name: str, version: str = "1") -> None:
    data = {"endpoint": "flights-api", "model": name, "version": version, "traffic": {version: 100.0}}
    registry.journal.append("endpoint.deployed", "endpoint/flights-api", {**data, "arms": [{"version": version}]})


def test_unknown_references_name_the_nearest(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.register(fitted.model, fitted.registration(name))
    anywhere.set_alias(name, "champion")
    with pytest.raises(NotFound, match=rf"no model is named.*Did you mean .*{name}"):
        anywhere.version(f"{name}x")
    with pytest.raises(NotFound, match=r"no alias 'champoin'.*Did you mean champion"):
        anywhere.version(f"{name}@champoin")
    with pytest.raises(NotFound, match=r"has no version 9.*one of 1"):
        anywhere.load(f"{name}/9")


def test_what_was_captured_comes_back(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.register(fitted.model, fitted.registration(name))
    captured = anywhere.captured(name)
    assert captured["environment"]["id"] == fitted.captured.environment.id
    assert captured["data"]["digest"] == fitted.captured.data.digest  # type: ignore[union-attr]
    signature = anywhere.signature(name)
    assert [column["name"] for column in signature["inputs"]] == ["hour", "wind", "rain"]
    assert signature["classes"] == [0, 1]


def test_the_reference_sample_holds_the_objects_answers(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.register(fitted.model, fitted.registration(name))
    reference = anywhere.reference(name)
    assert reference is not None
    inputs = fitted.data[["hour", "wind", "rain"]]
    pd.testing.assert_frame_equal(reference.inputs, inputs)
    np.testing.assert_array_equal(reference.predictions, fitted.model.predict(inputs))
    np.testing.assert_array_equal(reference.probabilities, fitted.model.predict_proba(inputs))
    assert reference.classes == [0, 1]


def test_a_folder_comes_back_file_by_file(anywhere: Registry, fitted: Fitted, name: str, tmp_path: Path) -> None:
    source = tmp_path / "trained-elsewhere"
    (source / "vocabulary").mkdir(parents=True)
    (source / "weights.bin").write_bytes(bytes(range(256)) * 50)
    (source / "vocabulary" / "words.txt").write_text("ÅÄÖ\n")
    (source / "labels.json").write_text("[]")
    made = anywhere.register(source, fitted.registration(name))
    assert made.kind == "files"
    assert made.environment_id == ""
    assert "external" in made.warnings[0]
    assert digests.tree(anywhere.download(name, tmp_path / "back")) == digests.tree(source)


def test_a_changed_file_is_found_before_it_is_loaded(
    anywhere: Registry, fitted: Fitted, name: str, server_artifacts: Path
) -> None:
    anywhere.register(fitted.model, fitted.registration(name))
    stored = _stored_at(anywhere, name, anywhere.model_folder(name), server_artifacts)
    (stored / "model.skops").write_bytes(b"not what was registered")
    with pytest.raises(Corrupt, match=r"model\.skops was changed"):
        anywhere.load(name)


def _stored_at(registry: Registry, name: str, folder: Path, artifacts: Path) -> Path:
    """Where the store itself keeps the files."""
    if not registry.connection.remote:
        return folder
    return next(artifacts.glob(f"*/models/{registry.stored(name).model_id}/artifacts"))


def test_a_tracked_fit_is_a_finished_run(anywhere: Registry, fitted: Fitted) -> None:
    fit = TrackedFit("LogisticRegression", {"C": 1.0, "note": "x" * 9000}, {"accuracy": 0.9}, fitted.captured)
    run_id = anywhere.log_run(fit)
    run = anywhere.connection.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"accuracy": 0.9}
    assert run.data.params["C"] == "1.0"
    assert run.data.tags["nbmlops.environment_id"] == fitted.captured.environment.id
    dataset = run.inputs.dataset_inputs[0]
    digest = fitted.captured.data.digest  # type: ignore[union-attr]
    assert {tag.key: tag.value for tag in dataset.tags}["nbmlops.digest"] == digest
    assert digest in dataset.dataset.source


def test_changes_made_with_plain_mlflow_are_recorded_once(anywhere: Registry, fitted: Fitted, name: str) -> None:
    anywhere.reconcile()  # a shared server holds what other tests left
    for number in (1, 2):
        made = anywhere.register(fitted.model, fitted.registration(name))
        data = {"name": name, "version": number, "digest": made.digest}
        anywhere.journal.append("model.registered", f"model/{name}/{number}", data)
    client = anywhere.connection.client
    client.set_registered_model_alias(name, "champion", "1")
    client.delete_model_version(name, "2")
    found = [event.kind for event in anywhere.reconcile() if event.subject.startswith(f"model/{name}/")]
    assert found == ["observed.model.deleted", "observed.alias.set"]
    assert anywhere.reconcile() == []
    client.delete_registered_model_alias(name, "champion")
    assert [event.kind for event in anywhere.reconcile()] == ["observed.alias.removed"]


def test_a_filter_that_cannot_be_read_says_where(anywhere: Registry) -> None:
    with pytest.raises(InvalidInput, match="can't be read at 'botany'"):
        anywhere.search("area=x botany")
