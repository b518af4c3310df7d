from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from nbmlops.serving.configuration import ArmConfig
from nbmlops.serving.errors import RequestError
from nbmlops.serving.router import Router

KEYS = [f"user {number}".encode() for number in range(2000)]


def router(salt: str = "e", **weights: float) -> Router:
    arms = [
        SimpleNamespace(config=ArmConfig(name=name, model="m", version=name, bundle="", weight=weight))
        for name, weight in weights.items()
    ]
    return Router(arms, salt)  # type: ignore[arg-type]


def name(arm) -> str:
    return arm.config.name


def chosen(made: Router) -> dict[bytes, str]:
    return {key: name(made.choose(None, key)) for key in KEYS}


def test_ten_thousand_requests_fall_within_the_binomial_band():
    made = router(a=90, b=10)
    got = sum(name(made.choose(None)) == "b" for _ in range(10_000))
    assert binom.ppf(0.0005, 10_000, 0.1) <= got <= binom.ppf(0.9995, 10_000, 0.1)


def test_keys_fall_on_arms_by_weight_too():
    counts = Counter(chosen(router(a=90, b=10)).values())
    assert binom.ppf(0.0005, len(KEYS), 0.1) <= counts["b"] <= binom.ppf(0.9995, len(KEYS), 0.1)


def test_a_key_keeps_its_arm():
    made = router(a=50, b=50)
    first = name(made.choose(None, b"ann"))
    assert {name(made.choose(None, b"ann")) for _ in range(100)} == {first}
    assert chosen(router(a=50, b=50)) == chosen(made)


@given(st.integers(0, 100), st.integers(0, 100))
def test_only_keys_of_the_arm_that_shrinks_move_and_only_to_the_one_that_grows(before, after):
    old, new = chosen(router(a=100 - before, b=before)), chosen(router(a=100 - after, b=after))
    moved = {(old[key], new[key]) for key in KEYS if old[key] != new[key]}
    assert moved <= {("a", "b") if after > before else ("b", "a")}


def test_as_few_keys_move_as_shares_do():
    old, new = chosen(router(a=90, b=10)), chosen(router(a=80, b=20))
    moved = sum(old[key] != new[key] for key in KEYS)
    assert binom.ppf(0.0005, len(KEYS), 0.1) <= moved <= binom.ppf(0.9995, len(KEYS), 0.1)


def test_a_third_arm_takes_keys_from_both_and_moves_none_between_them():
    old, new = chosen(router(a=50, b=50)), chosen(router(a=40, b=40, c=20))
    assert {new[key] for key in KEYS if old[key] != new[key]} == {"c"}


def test_endpoints_divide_keys_differently():
    assert chosen(router("one", a=50, b=50)) != chosen(router("two", a=50, b=50))


def test_a_pin_goes_before_key_and_weight():
    made = router(a=100, b=0)
    assert name(made.choose(b"b", b"ann")) == "b"
    with pytest.raises(RequestError, match="no version 'c'"):
        made.choose("c")
