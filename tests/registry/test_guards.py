"""Guards, without a store where none is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nbmlops.core.errors import InvalidInput, Refused, Untrusted
from nbmlops.journal import Journal
from nbmlops.registry import Registry, guards, integrity
from nbmlops.registry.records import StoredVersion
from tests.registry.conftest import open_registry

VERSION = StoredVersion("flights", 3, "run", "models:/m-1", datetime(2026, 1, 1, tzinfo=UTC), {}, ())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_registry(tmp_path).journal


def deploy(journal: Journal, endpoint: str, *versions: str, traffic: dict[str, float] | None = None) -> None:
    data = {"endpoint": endpoint, "model": "flights", "arms": [{"version": version} for version in versions]}
    journal.append("endpoint.deployed", f"endpoint/{endpoint}", {**data, "traffic": traffic or {versions[0]: 100.0}})


def test_a_deployed_version_is_refused(journal: Journal) -> None:
    deploy(journal, "api", "3")
    with pytest.raises(Refused, match=r"flights/3 can't be deleted: it is deployed at api.*%undeploy api"):
        guards.check_unused(VERSION, guards.deployed(journal), "deleted")


def test_a_warm_version_without_traffic_counts_as_deployed(journal: Journal) -> None:
    deploy(journal, "api", "4", "3")
    assert guards.deployed(journal)[("flights", 3)] == ("api",)


def test_a_member_of_an_ensemble_counts_as_deployed(journal: Journal) -> None:
    arm = {"version": "a-3x3+b-1x1", "members": [{"model": "flights", "version": "3"}, {"model": "b", "version": "1"}]}
    data = {"endpoint": "api", "model": "api", "arms": [arm], "traffic": {"a-3x3+b-1x1": 100.0}}
    journal.append("endpoint.deployed", "endpoint/api", data)
    assert guards.deployed(journal) == {("flights", 3): ("api",), ("b", 1): ("api",)}
    with pytest.raises(Refused, match="flights/3 can't be deleted: it is deployed at api"):
        guards.check_unused(VERSION, guards.deployed(journal), "deleted")


def test_a_deleted_endpoint_holds_nothing_and_a_stopped_one_does(journal: Journal) -> None:
    deploy(journal, "api", "3")
    journal.append("endpoint.stopped", "endpoint/api", {"endpoint": "api", "because": "idle"})
    assert guards.deployed(journal) == {("flights", 3): ("api",)}
    journal.append("endpoint.deleted", "endpoint/api", {"endpoint": "api"})
    assert guards.deployed(journal) == {}


def test_an_aliased_version_is_refused() -> None:
    with pytest.raises(Refused, match=r"holds the alias champion.*%promote flights/N champion"):
        guards.check_unused(replace(VERSION, aliases=("champion",)), {}, "deleted")


def test_an_unused_version_passes() -> None:
    guards.check_unused(VERSION, {("flights", 4): ("api",), ("other", 3): ("api",)}, "deleted")


class Versions:
    """A registry of one version that holds an alias."""

    def all(self) -> list[StoredVersion]:
        return [replace(VERSION, aliases=("champion",))]


class Runs:
    """Runs that must not be deleted."""

    def delete_run(self, run_id: str) -> None:
        raise AssertionError(f"{run_id} was deleted")


def test_the_run_of_a_version_in_use_is_refused(registry: Registry) -> None:
    registry.__dict__.update(versions=Versions(), tracking=Runs())
    with pytest.raises(Refused, match="deleted with its run run"):
        registry.delete_run("run")


def signed(home: Path, **own: str) -> StoredVersion:
    tags = {"digest": "sha256:1", "seal": integrity.seal(home, "sha256:1"), **own}
    return replace(VERSION, tags={f"nbmlops.{key}": value for key, value in tags.items()})


def test_what_was_registered_here_is_trusted(tmp_path: Path) -> None:
    guards.check_trust(signed(tmp_path, kind="python"), tmp_path)
    guards.check_trust(signed(tmp_path, kind="files"), tmp_path)


@pytest.mark.parametrize("own", [{"seal": ""}, {"seal": "0" * 64}, {"digest": "sha256:2"}])
def test_what_bears_no_seal_is_untrusted(tmp_path: Path, own: dict[str, str]) -> None:
    with pytest.raises(Untrusted, match=r"not registered from this workspace.*--trust"):
        guards.check_trust(signed(tmp_path, **own), tmp_path)


def test_a_foreign_pickle_is_untrusted(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=r"model\.pkl is a pickle that was made elsewhere"):
        guards.check_trust(signed(tmp_path, kind="files", pickles="model.pkl"), tmp_path)


def test_a_folder_that_is_not_empty_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    with pytest.raises(InvalidInput, match="exists and is not empty"):
        registry.download("flights", tmp_path / "mine")
