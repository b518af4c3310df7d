from __future__ import annotations

import dataclasses
import importlib
import json
import platform
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from sklearn.linear_model import LogisticRegression

from nbmlops.capture import Environment, LocalModule, Package, PackageChange, capture_environment


def an_environment(*packages: Package, python: str = "3.11") -> Environment:
    return Environment("sha256:0", python, python + ".9", packages)


def test_what_the_model_needs_is_pinned_exactly_and_told_from_the_rest() -> None:
    import IPython
    import sklearn

    found = capture_environment(LogisticRegression())
    assert found.package("scikit_learn") == Package("scikit-learn", sklearn.__version__, scope="model")
    assert {"numpy", "scipy", "joblib", "threadpoolctl"} <= {one.name for one in found.packages if one.scope == "model"}
    assert found.package("IPython") == Package("ipython", IPython.__version__, scope="kernel")
    assert found.package("not-installed") is None
    assert found.python_full == platform.python_version()
    assert found.local_modules == ()


def test_the_requirements_are_what_pip_reads() -> None:
    found = capture_environment(LogisticRegression())
    lines = [line for line in found.requirements().splitlines() if not line.startswith("#")]
    parsed = {Requirement(line).name for line in lines}
    assert {"numpy", "ipython", "scikit-learn"} <= parsed
    model = {Requirement(line).name for line in found.requirements(scope="model").splitlines()}
    assert "scikit-learn" in model
    assert "ipython" not in model
    assert model < parsed


def test_every_origin_has_its_line() -> None:
    found = an_environment(
        Package("a", "1"),
        Package("b", "2", "vcs", "git+https://example.org/b.git", "abc"),
        Package("c", "3", "file", "file:///wheels/c.whl"),
        Package("d", "4", "editable", "file:///home/me/d"),
    )
    assert found.requirements().splitlines() == [
        "a==1",
        "b @ git+https://example.org/b.git@abc",
        "c @ file:///wheels/c.whl",
        "# d==4 is an editable install: no index has it",
    ]
    conda = yaml.safe_load(found.conda("mine"))
    assert conda["name"] == "mine"
    assert conda["dependencies"][0] == "python=3.11.9"
    assert conda["dependencies"][2]["pip"] == found.requirements().splitlines()[:3]


def test_a_library_that_loads_another_does_not_change_the_id_but_the_users_import_does(install) -> None:
    install("on-a-whim", files={"on_a_whim.py": ""})
    importlib.invalidate_caches()
    first = capture_environment(namespace={})
    module = importlib.import_module("on_a_whim")
    assert capture_environment(namespace={}).id == first.id
    assert capture_environment(namespace={"on_a_whim": module}).id != first.id


def test_what_the_names_of_the_notebook_refer_to_is_used(install) -> None:
    install("by-module", files={"by_module.py": ""})
    install("by-class", files={"by_class.py": "class A: pass"})
    install("by-object", files={"by_object.py": "class A: pass"})
    install("by-nobody", files={"by_nobody.py": ""})
    importlib.invalidate_caches()
    loaded = {name: importlib.import_module(f"by_{name}") for name in ("module", "class", "object", "nobody")}
    names = {"m": loaded["module"], "c": loaded["class"].A, "o": loaded["object"].A()}
    found = {package.name for package in capture_environment(namespace=names).packages}
    assert {"by-module", "by-class", "by-object"} <= found
    assert "by-nobody" not in found


def test_the_id_is_of_the_python_minor_version_and_the_pins_alone(install) -> None:
    info = install("the-package", "1.0", files={"the_package.py": "class Model: pass"})
    importlib.invalidate_caches()
    model = importlib.import_module("the_package").Model()
    first = capture_environment(model)
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///elsewhere/w.whl", "archive_info": {}}))
    (info / "METADATA").write_text("Name: The_Package\nVersion: 1.0\nSummary: another text\n")
    _read_again(info.parent)
    second = capture_environment(model)
    assert second.package("the-package") != first.package("the-package")
    assert second.id == first.id
    (info / "METADATA").write_text("Name: the-package\nVersion: 1.1\n")
    _read_again(info.parent)
    assert capture_environment(model).id != first.id


def _read_again(site: Path) -> None:
    """Change the folder, as an installer does."""
    (site / f"{len(list(site.iterdir()))}.txt").touch()


def test_the_commit_of_a_vcs_install_counts(install) -> None:
    url = {"url": "https://example.org/v.git", "vcs_info": {"vcs": "git", "commit_id": "one"}}
    info = install("from-vcs", files={"from_vcs.py": "class Model: pass"}, direct_url=url)
    importlib.invalidate_caches()
    model = importlib.import_module("from_vcs").Model()
    first = capture_environment(model)
    assert first.package("from-vcs") == Package(
        "from-vcs", "1.0", "vcs", "git+https://example.org/v.git", "one", scope="model"
    )
    url["vcs_info"]["commit_id"] = "two"
    (info / "direct_url.json").write_text(json.dumps(url))
    _read_again(info.parent)
    second = capture_environment(model)
    assert second.id != first.id
    assert PackageChange("from-vcs", "1.0@one", "1.0@two") in first.diff(second)


def test_an_editable_project_is_recorded_and_its_modules_are_local(install, project: Path) -> None:
    install("my-project", direct_url={"url": project.as_uri(), "dir_info": {"editable": True}})
    (project / "my_model.py").write_text("class Model: pass")
    importlib.invalidate_caches()
    found = capture_environment(importlib.import_module("my_model").Model())
    assert found.package("my-project") == Package("my-project", "1.0", "editable", project.as_uri(), scope="model")
    assert [module.name for module in found.local_modules] == ["my_model"]


def test_what_a_local_module_imports_is_needed_by_the_model(install, project: Path) -> None:
    install("deep-need", requires=("deeper-need",), files={"deep_need.py": ""})
    install("deeper-need")
    (project / "transforms.py").write_text("import deep_need\ndef clean(x): return x")
    importlib.invalidate_caches()
    found = capture_environment(importlib.import_module("transforms").clean)
    assert [found.package(name).scope for name in ("deep-need", "deeper-need")] == ["model", "model"]


def test_no_environment_variable_is_captured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nbmlops.capture import capture

    for name in ("AWS_SECRET_ACCESS_KEY", "MY_TOKEN", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "https://hunter2-planted@secret.example.org/simple")
    found = json.dumps(capture(LogisticRegression(), {"a": [1]}, root=tmp_path).to_dict())
    assert "hunter2-planted" not in found
    assert "secret.example.org" not in found


def test_a_difference_names_what_was_added_removed_and_changed() -> None:
    before = an_environment(Package("a", "1"), Package("b", "1"), Package("Same_One", "1"))
    after = an_environment(Package("b", "2"), Package("c", "3"), Package("same-one", "1"), python="3.13")
    assert before.diff(after) == (
        PackageChange("python", "3.11", "3.13"),
        PackageChange("a", "1", ""),
        PackageChange("b", "1", "2"),
        PackageChange("c", "", "3"),
    )
    assert before.diff(before) == ()


def test_a_difference_names_another_source_of_the_same_version() -> None:
    before = an_environment(
        Package("a", "1"),
        Package("b", "1", "vcs", "git+https://example.org/b", "abc"),
        Package("c", "1", "file", "file:///here/c.whl"),
        Package("d", "1", "vcs", "git+https://example.org/d", "abc"),
    )
    after = an_environment(
        Package("a", "1", "editable", "file:///home/me/a"),
        Package("b", "1", "vcs", "git+https://example.org/b", "def"),
        Package("c", "1", "file", "file:///there/c.whl"),
        Package("d", "1", "vcs", "git+https://example.org/d", "abc"),
    )
    assert before.diff(after) == (
        PackageChange("a", "1 from an index", "1 from file:///home/me/a"),
        PackageChange("b", "1@abc", "1@def"),
        PackageChange("c", "1 from file:///here/c.whl", "1 from file:///there/c.whl"),
    )


def test_a_difference_names_modules_and_a_patch_of_python() -> None:
    def of(python: str, **modules: str) -> Environment:
        local = tuple(LocalModule(name, Path(name), f"sha256:{digest * 64}") for name, digest in modules.items())
        return Environment("sha256:0", "3.11", python, (), local)

    assert of("3.11.7", helper="a", rules="b").diff(of("3.11.9", helper="c", more="d")) == (
        PackageChange("python", "3.11.7", "3.11.9"),
        PackageChange("module helper", "a" * 12, "c" * 12),
        PackageChange("module more", "", "d" * 12),
        PackageChange("module rules", "b" * 12, ""),
    )


def test_lock_conda_environment_and_dockerfile_list_the_same_pins_and_where_they_are_from() -> None:
    found = dataclasses.replace(
        an_environment(
            Package("a", "1"),
            Package("b", "2", "vcs", "git+https://example.org/b.git", "abc"),
            Package("d", "4", "editable", "file:///home/me/d"),
        ),
        platform="Linux x86_64",
    )
    files = found.files()
    assert sorted(files) == ["Dockerfile", "environment.yml", "requirements.lock"]
    for text in files.values():
        assert text.startswith("# sha256:0\n# Python 3.11.9 on Linux x86_64\n")
        assert [pin in text for pin in found.requirements().splitlines()] == [True, True, True]
    pins = found.requirements().splitlines()[:2]
    assert yaml.safe_load(files["environment.yml"])["dependencies"] == ["python=3.11.9", "pip", {"pip": pins}]
    assert re.findall(r'^    "(.+?)"', files["Dockerfile"], re.MULTILINE) == pins
    assert "FROM python:3.11.9-slim\n" in files["Dockerfile"]
    assert files["Dockerfile"].count(" \\\n") == len(pins), "each line but the last goes on"
    assert "RUN" not in an_environment().dockerfile()
    assert capture_environment(LogisticRegression()).platform == f"{platform.system()} {platform.machine()}"


def test_it_is_plain_data_and_compares_by_content() -> None:
    found = capture_environment(LogisticRegression())
    assert found == capture_environment(LogisticRegression())
    assert dataclasses.replace(found, python="2.7") != found
    assert json.loads(json.dumps(found.to_dict()))["packages"][0]["origin"] in {"index", "editable", "vcs", "file"}


def test_an_environment_shows_its_pins_as_a_table() -> None:
    shown = capture_environment(LogisticRegression())._show_()

    assert "scikit-learn" in shown.text
    assert "<table" in shown.html
    assert "needed by" in shown.text
