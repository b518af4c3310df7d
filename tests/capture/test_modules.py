from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from nbmlops.capture import modules
from nbmlops.capture.modules import loaded_below, local_code


def names(*wanted: str) -> list[str]:
    return [module.name for module in local_code(wanted).modules]


def test_a_local_module_is_found_with_all_that_it_imports(project: Path) -> None:
    (project / "features.py").write_text("import json\nimport cleaning\nfrom constants import LIMIT\n")
    (project / "cleaning.py").write_text("def f():\n    from sklearn.base import clone\n")
    (project / "constants.py").write_text("LIMIT = 3\n")
    (project / "unrelated.py").write_text("")
    importlib.import_module("features")
    importlib.import_module("unrelated")
    code = local_code(["features"])
    assert [(module.name, module.path) for module in code.modules] == [
        (name, (project / f"{name}.py").resolve()) for name in ("cleaning", "constants", "features")
    ]
    assert "sklearn.base" in code.imports


def test_a_package_is_shipped_whole(project: Path) -> None:
    package = project / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from . import b\nfrom .b import c\nimport neighbour\n")
    (package / "b.py").write_text("c = 1\n")
    (project / "neighbour.py").write_text("")
    importlib.import_module("pack.a")
    found = local_code(["pack.a"]).modules
    assert [(module.name, module.path.name) for module in found] == [("neighbour", "neighbour.py"), ("pack", "pack")]


def test_a_namespace_package_of_the_project_is_local(project: Path) -> None:
    (project / "source_tree").mkdir()
    (project / "source_tree" / "inner.py").write_text("")
    importlib.import_module("source_tree.inner")
    assert names("source_tree.inner") == ["source_tree"]


def test_what_is_installed_standard_or_ours_is_not_local() -> None:
    assert names("sklearn.base", "json", "__main__", "nbmlops.capture", "builtins", "never_heard_of") == []


def test_the_digest_follows_the_content_and_not_caches_or_hidden_files(project: Path) -> None:
    package = project / "pack2"
    package.mkdir()
    (package / "__init__.py").write_text("")
    importlib.import_module("pack2")
    first = local_code(["pack2"]).modules[0].digest
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.pyc").write_text("cache")
    (package / ".hidden").write_text("hidden")
    assert local_code(["pack2"]).modules[0].digest == first
    (package / "table.csv").write_text("a,b")
    second = local_code(["pack2"]).modules[0].digest
    assert second != first
    (package / "table.csv").rename(package / "renamed.csv")
    assert local_code(["pack2"]).modules[0].digest not in {first, second}


def test_a_large_file_counts_by_its_size(project: Path, monkeypatch) -> None:
    monkeypatch.setattr(modules, "LARGE_FILE", 3)
    package = project / "pack3"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "big").write_text("12345")
    importlib.import_module("pack3")
    first = local_code(["pack3"]).modules[0].digest
    (package / "big").write_text("123456")
    assert local_code(["pack3"]).modules[0].digest != first


def test_a_module_edited_into_something_unfinished_or_deleted_since_is_no_failure(project: Path) -> None:
    (project / "halfway.py").write_text("import json\n")
    importlib.import_module("halfway")
    (project / "halfway.py").write_text("import json as\n")
    os.utime(project / "halfway.py", ns=(1, 1))
    assert names("halfway") == ["halfway"]
    (project / "halfway.py").unlink()
    assert names("halfway") == []


def test_without_objects_the_loaded_modules_below_the_root_are_local(project: Path, tmp_path: Path) -> None:
    (project / "inside.py").write_text("")
    importlib.import_module("inside")
    assert "inside" in loaded_below(project)
    assert "inside" not in loaded_below(tmp_path / "elsewhere")
    assert "pytest" not in loaded_below(Path(sys.prefix))
