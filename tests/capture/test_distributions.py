from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

from nbmlops.capture.distributions import canonical, installed


def test_it_agrees_with_the_standard_library_on_what_is_loaded() -> None:
    import pandas  # noqa: F401

    known = importlib.metadata.packages_distributions()
    tops = {name.partition(".")[0] for name in sys.modules}
    index = installed()
    for top in tops & known.keys():
        if len(set(known[top])) == 1 and top in index.by_module:
            assert index.owners([top]) == {canonical(known[top][0])}, top
    missed = {top for top in tops & known.keys() if top not in index.by_module}
    assert missed <= {"nbmlops"}, "editable: it records no modules"


def test_names_and_versions_are_those_of_the_metadata() -> None:
    for distribution in list(importlib.metadata.distributions())[:40]:
        found = installed().by_name[canonical(distribution.metadata["Name"])]
        assert (found.name, found.version) == (distribution.metadata["Name"], distribution.version)


def test_a_single_file_and_an_extension_module_have_an_owner(install) -> None:
    install("alone", files={"alone_module.py": "", "fast.cpython-311-x86_64-linux-gnu.so": ""})
    assert installed().owners(["alone_module", "fast.inner", "never"]) == {"alone"}


def test_a_shared_namespace_is_told_apart_by_the_modules_in_it(install) -> None:
    install("space-one", files={"space/one/__init__.py": ""})
    install("space-two", files={"space/two.py": "", "space/one_and_a_half.py": ""})
    index = installed()
    assert index.owners(["space.one"]) == {"space-one"}
    assert index.owners(["space.two"]) == {"space-two"}
    assert index.owners(["space"]) == set()


def test_the_closure_follows_markers_and_extras(install) -> None:
    install(
        "top-one",
        requires=("middle[fast]>=1", "absent>=2", 'never; python_version < "3"', 'optional; extra == "more"'),
    )
    install("middle", requires=('quick; extra == "fast"', 'slow; extra == "slow"', "top-one", "not a requirement ==="))
    for name in ("never", "optional", "quick", "slow"):
        install(name)
    assert installed().closure(["top-one"]) == {"top-one", "middle", "quick"}


@pytest.mark.parametrize(
    ("direct_url", "installer", "expected"),
    [
        (None, "pip", ("index", "", "")),
        (
            {"url": "https://me:secret@example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip",
            ("vcs", "git+https://example.org/a.git", "abc"),
        ),
        ({"url": "file:///home/a/src", "dir_info": {"editable": True}}, "uv", ("editable", "file:///home/a/src", "")),
        ({"url": "file:///home/a/src", "dir_info": {}}, "pip", ("file", "file:///home/a/src", "")),
        ({"url": "file:///w/a.whl", "archive_info": {}}, "pip", ("file", "file:///w/a.whl", "")),
        ({"url": "file:///home/conda/feedstock_root/build", "dir_info": {}}, "conda", ("index", "", "")),
        ("{broken", "pip", ("index", "", "")),
    ],
)
def test_the_origin_is_what_pep_610_says(install, direct_url, installer, expected) -> None:
    install("origin-test", direct_url=direct_url, installer=installer)
    assert installed().by_name["origin-test"].origin == expected


def test_a_project_in_development_mode_is_editable(site: Path) -> None:
    info = site / "old_style.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: old-style\nVersion: 0.3\n")
    (info / "top_level.txt").write_text("old_style_module\n")
    found = installed().by_name["old-style"]
    assert (found.name, found.version, found.origin[0]) == ("old-style", "0.3", "editable")
    assert installed().owners(["old_style_module"]) == {"old-style"}


def test_what_is_installed_later_is_found(install, site: Path) -> None:
    assert "late-comer" not in installed().by_name
    install("late-comer", files={"late_comer.py": ""})
    os.utime(site, ns=(1, 1))  # a change within the clock's resolution
    assert "late-comer" in installed().by_name


def test_the_first_on_the_path_wins(install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("twice", "1.0")
    first = tmp_path / "first"
    (first / "twice-2.0.dist-info").mkdir(parents=True)
    (first / "twice-2.0.dist-info" / "METADATA").write_text("Name: twice\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(first))
    assert installed().by_name["twice"].version == "2.0"
