"""What a lock says, and what is installed here for it."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.capture import Package, environment_id
from nbmlops.serving.pins import Difference, Pin, compared, find_installed, read_pins

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
NAMES = st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]\.[0-9]{1,2}(rc1|\+local)?", fullmatch=True)
COMMITS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
PACKAGES = st.one_of(
    st.builds(Package, NAMES, VERSIONS),
    st.builds(Package, NAMES, VERSIONS, st.just("editable"), st.just("file:///somewhere")),
    st.builds(Package, NAMES, VERSIONS, st.just("vcs"), st.just("git+https://example.org/it"), COMMITS),
    st.builds(Package, NAMES, VERSIONS, st.just("file"), st.just("file:///wheels/it.tar.gz")),
)


def bundle(folder: Path, lock: str | None, **ids: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.json").write_text(json.dumps({"format": 1, **ids}))
    if lock is not None:
        (folder / "requirements.lock").write_text(lock)
    return folder


@given(st.lists(PACKAGES, max_size=6, unique_by=lambda one: one.name.lower().replace("_", "-").replace(".", "-")))
def test_every_pin_that_is_captured_is_read(packages: list[Package]) -> None:
    pins = read_pins("".join(f"{one.pin}\n" for one in packages))
    assert [(pin.version, pin.commit) for pin in pins.values()] == [
        ("" if one.origin in ("vcs", "file") else one.version, one.commit) for one in packages
    ]


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        ("Scikit_Learn==1.9.1 \\", ("scikit-learn", Pin("1.9.1"))),
        ("numpy==2.4.1 ; python_version >= '3.11'", ("numpy", Pin("2.4.1"))),
        ("numpy==2.4.1;python_version>='3.11'", ("numpy", Pin("2.4.1"))),
        ("./wheels/my_own-1.2-py3-none-any.whl", ("my-own", Pin("1.2", is_shipped=True))),
        ("    --hash=sha256:0123", None),
        ("# python 3.11", None),
        ("", None),
    ],
)
def test_what_pip_lets_stand_beside_a_pin_is_passed_over(line: str, pin: tuple[str, Pin] | None) -> None:
    assert list(read_pins(line).items()) == ([pin] if pin else [])


def test_what_is_installed_has_the_id_that_capture_gives_it(tmp_path: Path) -> None:
    here = [Package(name, version(name)) for name in ("numpy", "msgspec", "prometheus-client")]
    pinned = environment_id(MINOR, here)
    folder = bundle(
        tmp_path, "".join(f"{one.pin}\n" for one in here), environment_id="sha256:run", serving_environment_id=pinned
    )
    found = compared(folder, find_installed)
    assert (found.serving_environment_id, found.locked, found.environment_id) == (pinned, pinned, "sha256:run")
    assert found.differs == ()


def test_what_differs_is_named_with_both_versions_and_gives_another_id(tmp_path: Path) -> None:
    lock = "numpy==1.2.3\nno-such-package==4.5\nmsgspec @ git+https://example.org/msgspec@0123abc\n"
    found = compared(bundle(tmp_path, lock, serving_environment_id="sha256:pinned", python="2.7"), find_installed)
    assert found.differs == (
        Difference("python", "2.7", MINOR),
        Difference("msgspec", "@0123abc", version("msgspec")),
        Difference("no-such-package", "4.5", ""),
        Difference("numpy", "1.2.3", version("numpy")),
    )
    assert found.serving_environment_id not in ("", "sha256:pinned")
    assert str(found.differs[2]) == "no-such-package is missing instead of 4.5"


def test_a_package_of_a_commit_is_compared_by_its_commit(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "mine @ git+https://example.org/mine@0123abc\n")
    assert compared(folder, lambda name: Pin("1.0", "0123abc")).differs == ()
    assert len(compared(folder, lambda name: Pin("1.0", "ffff000")).differs) == 1


def test_a_package_that_the_bundle_ships_as_a_wheel_keeps_the_commit_that_it_is_of(tmp_path: Path) -> None:
    """An installer writes no commit for a wheel; the lock's id, made where it was captured, has one."""
    facts = {"commits": {"mine": "0123abc"}, "serving_environment_id": "sha256:pinned"}
    folder = bundle(tmp_path, "./wheels/mine-1.0-py3-none-any.whl\n", **facts)
    pinned = environment_id(MINOR, [Package("mine", "1.0", "vcs", "git+https://example.org/mine", "0123abc")])
    for here in (Pin("1.0"), Pin("1.0", "0123abc")):
        found = compared(folder, lambda name, here=here: here)
        assert (found.differs, found.serving_environment_id) == ((), pinned)
    for here in (Pin("1.1"), Pin(), Pin("1.0", "ffff000")):
        assert len(compared(folder, lambda name, here=here: here).differs) == 1


def test_a_commit_is_read_from_the_record_of_the_installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "of_a_commit-1.5.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: of-a-commit\nVersion: 1.5\n\nVersion: 9 is better.\n")
    (facts / "direct_url.json").write_text('{"url": "x", "vcs_info": {"vcs": "git", "commit_id": "0123abc"}}')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_installed("of-a-commit") == Pin("1.5", "0123abc")


def test_a_bundle_without_a_lock_says_what_it_was_given(tmp_path: Path) -> None:
    found = compared(
        bundle(tmp_path, None, environment_id="sha256:run", serving_environment_id="sha256:pinned"), _never
    )
    assert (found.environment_id, found.serving_environment_id, found.differs) == ("sha256:run", "", ())


def _never(name: str) -> Pin:
    raise AssertionError(name)
