"""Settings: from the environment, overridden in the process."""

from __future__ import annotations

import getpass

import pytest

from nbmlops.core import settings as module
from nbmlops.core.errors import InvalidInput
from nbmlops.core.settings import Settings, override, settings


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_overrides", {})


def test_the_actor_is_the_login_name_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().actor == "tester"
    monkeypatch.delenv("NBMLOPS_ACTOR")
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert settings().actor == "ann"


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.delenv("NBMLOPS_ACTOR")
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert settings().actor.startswith("uid:")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("NBMLOPS_STRICT", "on", "strict", True),
        ("NBMLOPS_STRICT", "False", "strict", False),
        ("NBMLOPS_STRICT", "", "strict", False),
        ("NBMLOPS_SAMPLE_ROWS", "500", "sample_rows", 500),
        ("NBMLOPS_IDLE_HOURS", "0.5", "idle_hours", 0.5),
    ],
)
def test_the_environment_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(settings(), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("NBMLOPS_STRICT", "perhaps", "true or false"),
        ("NBMLOPS_SAMPLE_ROWS", "many", "a positive int"),
        ("NBMLOPS_SAMPLE_ROWS", "0", "a positive int"),
        ("NBMLOPS_IDLE_HOURS", "-1", "a positive float"),
        ("NBMLOPS_IDLE_HOURS", "nan", "a positive float"),
    ],
)
def test_an_unreadable_value_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidInput, match=f"{variable} is '{text}'. Expected {expected}"):
        settings()


def test_an_override_stands_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBMLOPS_SAMPLE_ROWS", "500")
    override(sample_rows=7, strict=True)
    assert (settings().sample_rows, settings().strict) == (7, True)
    assert Settings.defaults()["sample_rows"] == 10_000


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no setting is named colour\. Expected one of actor, strict"):
        override(colour="red", strict=True)
    assert settings().strict is False
