from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.settings import override
from nbmlops.workflows.models import download, models, promote, tag
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session


@pytest.fixture
def strict() -> object:
    override(strict=True)
    yield
    override(strict=False)


def kinds(session: Session) -> list[str]:
    return [event.kind for event in session.journal.events()]


def test_registering_is_an_intent_and_an_outcome_that_says_what_and_why(
    session: Session, rows: pd.DataFrame, converting: Pipeline
) -> None:
    version = register_model(
        converting, name="flights", data=rows, label="late", tags={"area": "air"}, reason="first try"
    )

    started, done = session.journal.events()
    assert started.kind == "operation.started"
    assert (done.kind, done.subject, done.reason, done.actor) == (
        "model.registered",
        "model/flights/1",
        "first try",
        "tester",
    )
    assert done.data["digest"] == version.digest
    assert done.data["environment_id"] == version.environment_id != ""
    assert done.data["operation"] == started.data["operation"]
    assert dict(version.tags) == {"area": "air"}


def test_the_same_name_again_is_the_next_version(session: Session, rows: pd.DataFrame, converting: Pipeline) -> None:
    numbers = [register_model(converting, name="flights", data=rows, label="late").version for _ in range(2)]

    assert numbers == [1, 2]


def test_data_may_be_a_path(session: Session, rows: pd.DataFrame, converting: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "flights.parquet"
    rows.to_parquet(path)

    by_path = register_model(converting, name="a", data=path, label="late")
    by_frame = register_model(converting, name="b", data=rows, label="late")

    captured = [session.registry.captured(one.reference)["data"]["digest"] for one in (by_path, by_frame)]
    assert captured[0] == captured[1]


def test_strict_mode_asks_for_a_reason_before_anything_is_written(
    session: Session, converting: Pipeline, strict: None
) -> None:
    with pytest.raises(Refused, match="asks why"):
        register_model(converting, name="flights")
    assert kinds(session) == []

    assert register_model(converting, name="flights", reason="because").version == 1


def test_a_bad_name_is_refused_before_anything_is_written(session: Session, converting: Pipeline) -> None:
    with pytest.raises(InvalidInput, match="Try 'flights-2013'"):
        register_model(converting, name="flights/2013")
    assert kinds(session) == []


def test_a_failed_registration_is_told_and_leaves_no_version(session: Session, rows: pd.DataFrame) -> None:
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InvalidInput, match="not fitted"):
        register_model(LogisticRegression(), name="flights", data=rows, label="late")

    assert len(models()) == 0
    assert kinds(session) == ["operation.started", "operation.failed"]


def test_tags_aliases_and_filters(session: Session, rows: pd.DataFrame, converting: Pipeline) -> None:
    register_model(converting, name="flights", tags={"area": "air"})
    register_model(converting, name="flights")
    tag("flights/2", {"area": "sea"})
    promote("flights/1", "champion", reason="best so far")
    moved = promote("flights/2", "champion")

    assert moved.aliases == ("champion",)
    assert [one.reference for one in models("area=sea")] == ["flights/2"]
    assert [one.reference for one in models("area = air")] == ["flights/1"]
    assert len(models("area=land")) == 0
    last = session.journal.events("alias.set")[-1]
    assert (last.data["version"], last.data["previous"]) == (2, 1)


def test_no_tag_at_all_is_an_error_that_shows_one(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")

    with pytest.raises(InvalidInput, match="key=value"):
        tag("flights/1", {})


def test_every_file_of_a_folder_comes_back(session: Session, tmp_path: Path) -> None:
    source = tmp_path / "net"
    source.mkdir()
    contents = {"weights.bin": b"\x00\x01\xff", "vocab.txt": b"a\nb\n", "labels.json": b"[1]"}
    for name, content in contents.items():
        (source / name).write_bytes(content)

    version = register_model(source, name="net")
    folder = download(version.reference, tmp_path / "back")

    found = {path.name: path.read_bytes() for path in folder.rglob("*") if path.name in contents}
    assert found == contents
