"""Filters in any spacing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.registry.filters import parse
from nbmlops.registry.records import StoredVersion

VERSION = StoredVersion(
    name="flights",
    version=3,
    run_id="r",
    source="s",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    tags={"area": "botany", "team": "north sea", "nbmlops.kind": "sklearn", "url": "http://x/y"},
    aliases=("champion", "newest"),
)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "area=botany",
        "area = botany",
        "area: botany",
        '"area: botany"',
        "'area = botany'",
        "area=botany, alias=champion",
        "area=botany alias=champion",
        "area = botany,name = flights , version:3",
        'team="north sea"',
        "team='north sea' area=botany",
        "alias=newest",
        "aliases: champion",
        "kind=sklearn",
        "tags.area = botany",
        "area!=zoology",
        "area != zoology alias!=old",
        'url="http://x/y"',
        "flights",
        " 'flights' ",
    ],
)
def test_it_passes(text: str | None) -> None:
    assert parse(text)(VERSION)


@pytest.mark.parametrize(
    "text", ["area=zoology", "alias=old", "name=other", "area=botany version=2", "missing=1", "area!=botany", "botany"]
)
def test_it_does_not_pass(text: str) -> None:
    assert not parse(text)(VERSION)


@pytest.mark.parametrize("text", ["area=", "=botany", "area botany", "area==botany", "area=x OR y=z", 'a="x'])
def test_it_cannot_be_read(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"the filter can't be read at .*Expected conditions such as"):
        parse(text)


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
GAPS = st.sampled_from(["", " ", "  "])


@given(key=WORDS, value=WORDS, sign=st.sampled_from(["=", ":"]), left=GAPS, right=GAPS)
def test_spacing_never_matters(key: str, value: str, sign: str, left: str, right: str) -> None:
    import dataclasses

    tagged = dataclasses.replace(VERSION, tags={f"t{key}": value})
    assert parse(f"t{key}{left}{sign}{right}{value}")(tagged)
    assert not parse(f"t{key}{left}{sign}{right}{value}x")(tagged)
