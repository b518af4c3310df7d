"""Model references: what is one, and what is said of what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.core.references import ModelReference, check_alias, check_name, nearest

LETTERS = "abcXYZ059"
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._ -]{0,20}[a-z0-9])?", fullmatch=True)
REFERENCES = st.one_of(
    st.builds(ModelReference, NAMES),
    st.builds(ModelReference, NAMES, version=st.integers(1, 10**6)),
    st.builds(ModelReference, NAMES, alias=st.sampled_from(["champion", "a.b", "x-1"])),
)


@given(REFERENCES)
def test_a_reference_survives_the_way_through_text(reference: ModelReference) -> None:
    assert ModelReference.parse(str(reference)) == reference
    assert ModelReference.parse(f"  {reference}\n") == reference


@given(st.text())
def test_any_text_is_a_reference_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        reference = ModelReference.parse(text)
        assert ModelReference.parse(str(reference)) == reference


@pytest.mark.parametrize("text", ["flights/0", "flights/-1", "flights/x", "flights/", "flights/1/2", "flights/1.0"])
def test_what_is_no_version_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no version number"):
        ModelReference.parse(text)


@pytest.mark.parametrize("name", ["", " ", "/", "-flights", "flights-", "a/b", "a@b", "a:b", "é", "a\nb", "x" * 201])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is no model name"):
        check_name(name)


def test_a_name_that_would_do_is_proposed() -> None:
    with pytest.raises(InvalidInput, match="Try 'late-flights'"):
        check_name("/late/flights ")
    with pytest.raises(InvalidInput) as caught:
        check_name("///")
    assert "Try" not in str(caught.value)
    with pytest.raises(InvalidInput):
        check_name(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V12"])
def test_the_aliases_that_mlflow_keeps_for_itself_are_refused(alias: str) -> None:
    with pytest.raises(InvalidInput, match="reserved by MLflow"):
        check_alias(alias)
    with pytest.raises(InvalidInput, match="reserved by MLflow"):
        ModelReference.parse(f"flights@{alias}")


def test_an_alias_is_checked_like_a_name() -> None:
    assert check_alias("v1b") == "v1b"
    with pytest.raises(InvalidInput, match="no alias"):
        check_alias("a@b")


def test_the_nearest_names_are_offered() -> None:
    assert nearest("fligths", ["flights", "weather"]) == "Did you mean flights?"
    assert nearest("xyz", ["flights"]) is None
    assert nearest("model", iter(["model-a", "model-b"])) == "Did you mean model-b or model-a?"
