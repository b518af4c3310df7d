"""Which cores an endpoint is kept on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.deployment.affinity import AVAILABLE, check_cores, choose_cores


@given(st.sets(st.integers(0, 200), min_size=1), st.floats(0.1, 300), st.text())
def test_as_many_as_asked_for_and_no_others(available, cores, name) -> None:
    chosen = choose_cores(sorted(available), cores, name)
    assert chosen <= available
    assert len(chosen) == min(len(available), -int(-cores // 1))
    assert chosen == choose_cores(sorted(available), cores, name)


def test_endpoints_do_not_all_share_the_first_core() -> None:
    firsts = {min(choose_cores(range(8), 1, f"endpoint {number}")) for number in range(50)}
    assert len(firsts) > 4


def test_more_cores_than_there_are_is_refused() -> None:
    check_cores(None)
    check_cores(len(AVAILABLE))

    with pytest.raises(InvalidInput, match="cores of this machine"):
        check_cores(len(AVAILABLE) + 1)
