"""Rotated tokens: how long the one before is taken, and what is kept on the disk."""

from __future__ import annotations

import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nbmlops.deployment.folder import RunFolder
from nbmlops.deployment.tokens import Keeping, Tokens


def test_the_token_before_is_taken_for_its_grace_and_no_longer() -> None:
    tokens = Tokens("first").rotated(60.0, now=1000.0)
    assert tokens.current not in ("", "first")
    assert tokens.access.earlier == ("first",)
    keeping = Keeping(tokens, now=1000.0, clock=5.0)
    assert keeping.next_end() == 65.0
    assert not keeping.drop(64.9)
    assert keeping.drop(65.0)
    assert keeping.tokens == Tokens(tokens.current)
    assert keeping.next_end() is None


def test_each_earlier_token_has_a_grace_of_its_own() -> None:
    tokens = Tokens("first").rotated(60.0, now=1000.0)
    second = tokens.current
    tokens = tokens.rotated(5.0, now=1010.0)
    assert tokens.access.earlier == ("first", second)
    assert tokens.kept(1030.0).access.earlier == ("first",)
    assert tokens.kept(1061.0).access.earlier == ()
    assert Tokens("first").rotated(0.0, now=1000.0).access.earlier == ()


def test_a_token_whose_grace_ended_meanwhile_is_still_to_be_dropped() -> None:
    """Whoever was told of it before must be told that it ended."""
    tokens = Tokens("first").rotated(60.0, now=1000.0)
    keeping = Keeping(tokens, now=1061.0, clock=5.0)
    assert keeping.drop(5.0)
    assert keeping.tokens.access.earlier == ()


def test_tokens_are_kept_in_private_files(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "flights")
    folder.create()
    first = folder.token.read_text()
    assert Tokens.read(folder) == Tokens(first)
    tokens = Tokens.read(folder).rotated(60.0, now=1000.0)
    tokens.write(folder)
    assert Tokens.read(folder) == tokens
    assert folder.token.read_text() == tokens.current
    for file in (folder.token, folder.earlier_tokens):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@given(st.floats(0.1, 1e6), st.floats(-1e9, 1e9))
def test_a_clock_that_is_set_gives_no_token_more_than_its_grace(grace: float, jump: float) -> None:
    tokens = Tokens("first").rotated(grace, now=1e9)
    end = Keeping(tokens, now=1e9 + jump, clock=0.0).next_end()
    assert end is None or end <= grace
