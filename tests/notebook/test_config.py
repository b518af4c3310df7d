"""%config NbMLOps sets what every verb reads."""

from __future__ import annotations

import pytest

from nbmlops.core import settings as core
from nbmlops.core.settings import Settings, settings
from nbmlops.notebook.config import NbMLOps
from nbmlops.testing.shell import Notebook


@pytest.fixture(autouse=True)
def _own_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_overrides", {})


def test_a_setting_holds_for_every_verb(cells: Notebook) -> None:
    cells.run("%config NbMLOps.strict = True")
    cells.run("%config NbMLOps.idle_hours = 0.5")
    assert (settings().strict, settings().idle_hours) == (True, 0.5)


def test_it_begins_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBMLOPS_SAMPLE_ROWS", "77")
    assert NbMLOps().sample_rows == 77


def test_a_configuration_file_is_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from traitlets.config import Config

    monkeypatch.setenv("NBMLOPS_SAMPLE_ROWS", "77")
    NbMLOps(config=Config({"NbMLOps": {"sample_rows": 5}}))
    assert settings().sample_rows == 5


@pytest.mark.parametrize("wrong", ["sample_rows = 0", "idle_hours = -1", "strict = 'perhaps'", "body_limit = 'big'"])
def test_a_wrong_value_is_told_and_changes_nothing(
    cells: Notebook, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = settings()
    cells.run(f"%config NbMLOps.{wrong}")
    assert wrong.partition(" ")[0] in caplog.text  # IPython logs what a trait refuses
    assert settings() == before


def test_every_setting_is_there_and_explained(cells: Notebook) -> None:
    shown = cells.run("%config NbMLOps").stdout
    for name in Settings.defaults():
        assert f"NbMLOps.{name}=" in shown
        assert NbMLOps.class_traits()[name].help
