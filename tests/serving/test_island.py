from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import nbmlops
from nbmlops import serving
from nbmlops.core import digests

ALLOWED = {
    "numpy",
    "onnxruntime",
    "msgspec",
    "uvicorn",
    "uvloop",
    "httptools",
    "prometheus_client",
    "psutil",
    "uuid_utils",
}
MODELS = {"sklearn.py": {"skops"}, "frames.py": {"pandas"}, "pyfunc.py": {"mlflow", "pandas"}}


def test_it_imports_nothing_but_what_a_bundle_may_count_on():
    for name, path in serving.source_files().items():
        allowed = ALLOWED | set(sys.stdlib_module_names)
        if name.startswith("runtimes/"):
            allowed |= MODELS.get(path.name, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found = {(node.module or "").split(".")[0]}
            else:
                continue
            assert found <= allowed, f"{name} imports {found - allowed}"


def test_the_digest_is_that_of_the_source_alone(tmp_path):
    copy = tmp_path / "nbmlops_serving"
    shutil.copytree(Path(serving.__file__).parent, copy)
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert copied_digest(tmp_path) == serving.serving_digest()
    assert serving.serving_digest() == digests.of_tree(
        {name: digests.of_file(path) for name, path in serving.source_files().items()}
    )
    (copy / "router.py").write_text("# changed")
    assert copied_digest(tmp_path) != serving.serving_digest()


def copied_digest(folder: Path) -> str:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import nbmlops_serving as s; print(s.serving_digest())"
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_scorer_of_onnx_models_imports_nothing_heavy():
    code = (
        "import sys, nbmlops.serving.scorer, nbmlops.serving.runtimes.onnx;"
        "print(sorted({'pandas','sklearn','mlflow','starlette','fastapi','onnx','pyarrow','scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_has_the_version_of_the_package():
    assert serving.__version__ == nbmlops.__version__
