"""Digests: of content alone, and of all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core import digests


def test_a_digest_names_its_algorithm(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"flights")
    expected = f"sha256:{hashlib.sha256(b'flights').hexdigest()}"
    assert digests.of_bytes(b"flights") == digests.of_file(tmp_path / "a") == expected


def test_the_canonical_form_is_rfc_8785() -> None:
    """The example of RFC 8785, section 3.2.3."""
    numbers = {"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]}
    text = {"string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/", "literals": [None, True, False]}
    assert digests.canonical({**numbers, **text}) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**53) + 1, 2**53 - 1)))
def test_the_order_of_keys_does_not_count(data: dict[str, int]) -> None:
    assert digests.of_json(data) == digests.of_json(dict(reversed(data.items())))


def test_a_tree_is_its_paths_and_contents(tmp_path: Path) -> None:
    (tmp_path / "model/code").mkdir(parents=True)
    (tmp_path / "model/code/b.py").write_text("b")
    (tmp_path / "a").write_text("a")
    (tmp_path / "empty").mkdir()
    found = digests.tree(tmp_path)
    assert list(found) == ["a", "model/code/b.py"]
    before = digests.of_tree(found)
    (tmp_path / "a").rename(tmp_path / "c")
    assert digests.of_tree(digests.tree(tmp_path)) != before
    (tmp_path / "c").rename(tmp_path / "a")
    assert digests.of_tree(digests.tree(tmp_path)) == before
    (tmp_path / "a").write_text("A")
    assert digests.of_tree(digests.tree(tmp_path)) != before


def test_a_missing_file_is_the_system_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digests.of_file(tmp_path / "gone")
