"""How each kind of object is written into a model folder, and read back."""

from __future__ import annotations

import inspect
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbmlops.core.errors import InvalidObject
from nbmlops.core.quiet import quiet_answers
from nbmlops.registry import kinds, mlflow_door, onnx_file
from nbmlops.registry.layout import FILES, Layout, copy_in

PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pt", ".pth"}
CHECKED_ROWS = 100


def write(obj: Any, kind: str, layout: Layout, *, rows: Any = None) -> None:
    """Write `obj` into the folder of `layout` in the format that fits its kind.

    Parameters
    ----------
    obj : object
    kind : str
        As `nbmlops.registry.kinds.kind_of` says.
    layout : Layout
    rows : table or array, optional
        A few rows, to see that what was written answers as `obj` does.
    """
    facts: dict[str, Any] = {"format": 1, "kind": kind}
    if kind == kinds.SKLEARN:
        _write_sklearn(obj, layout, rows)
    elif kind in (kinds.XGBOOST, kinds.LIGHTGBM, kinds.CATBOOST, kinds.TORCH):
        _write_flavor(obj, kind, layout)
    elif kind in (kinds.PYTHON, kinds.FUNCTION):
        _write_python(obj, layout)
    elif kind == kinds.ONNX:
        facts["file"] = _write_onnx(Path(obj).expanduser(), layout)
    else:
        source = Path(obj).expanduser().absolute()
        copy_in(source, layout.folder / FILES if source.is_dir() else layout.folder / FILES / source.name)
    layout.model.add_flavor("nbmlops", **facts)
    layout.write_environment()


# scikit-learn


def _write_sklearn(obj: Any, layout: Layout, rows: Any) -> None:
    content, trusted, obstacle = _skops(obj, rows)
    if content is not None:
        name, serialization = "model.skops", "skops"
        (layout.folder / name).write_bytes(content)
    else:
        name, serialization = "model.pkl", "cloudpickle"
        _pickle(obj, layout.folder / name)
        layout.warnings.append(f"stored with cloudpickle, not skops: {obstacle}; loading it runs the code it holds")
    layout.need("scikit-learn", serialization)
    if hasattr(obj, "predict"):
        layout.add_pyfunc("mlflow.sklearn", model_path=name, predict_fn="predict")
    layout.add_flavor(
        "sklearn",
        pickled_model=name,
        sklearn_version=sys.modules["sklearn"].__version__,
        serialization_format=serialization,
        skops_trusted_types=trusted if content is not None else None,
    )


def _skops(obj: Any, rows: Any) -> tuple[bytes | None, list[str], str]:
    """Return skops' form and the types to trust, or None and why it will not do."""
    import skops.io

    try:
        content = skops.io.dumps(obj)
        found = skops.io.get_untrusted_types(data=content)
        own = [name for name in found if not from_library(name)]
        if own:
            return None, [], f"it holds your own code ({', '.join(own)})"
        again = skops.io.loads(content, trusted=found)
    except kinds.HOOK_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, [], f"skops can't hold it ({reason})"
    if rows is not None and hasattr(obj, "predict") and not _same(obj, again, rows):
        return None, [], "what skops gives back does not predict the same"
    return content, list(found), ""


def _same(one: Any, other: Any, rows: Any) -> bool:
    import numpy as np

    method = "predict_proba" if hasattr(one, "predict_proba") else "predict"
    with quiet_answers():
        left, right = np.asarray(getattr(one, method)(rows)), np.asarray(getattr(other, method)(rows))
    if left.shape != right.shape:
        return False
    # A forest on several threads adds in any order: its last bit differs from itself.
    same = np.allclose(left, right, 1e-9, 1e-12, equal_nan=True) if left.dtype.kind == "f" else left == right
    return bool(np.all(same))


def from_library(name: str) -> bool:
    """Tell whether a dotted name belongs to an installed library and not to the user's project or notebook."""
    root = name.partition(".")[0]
    if root in sys.builtin_module_names or root in sys.stdlib_module_names:
        return root != "__main__"
    file = getattr(sys.modules.get(root), "__file__", None)
    if file is None:
        return False
    places = {sysconfig.get_path(key) for key in ("purelib", "platlib", "stdlib")}
    return any(Path(file).is_relative_to(place) for place in places)


# Boosters and torch, by MLflow's own flavours


def _write_flavor(obj: Any, kind: str, layout: Layout) -> None:
    flavor = mlflow_door.module({kinds.TORCH: "pytorch"}.get(kind, kind))
    argument = {
        kinds.XGBOOST: "xgb_model",
        kinds.LIGHTGBM: "lgb_model",
        kinds.CATBOOST: "cb_model",
        kinds.TORCH: "pytorch_model",
    }[kind]
    target = layout.folder.with_name(layout.folder.name + "-flavor")
    layout.need("mlflow", kind)
    # MLflow's newer default for torch traces the module on an example, and so can't keep one that branches.
    known = inspect.signature(flavor.save_model).parameters
    chosen = {"serialization_format": "pickle"} if kind == kinds.TORCH and "serialization_format" in known else {}
    with mlflow_door.quiet():
        flavor.save_model(
            **{argument: obj},
            path=str(target),
            mlflow_model=layout.model,
            signature=layout.model.signature,
            pip_requirements=layout.requirements,
            **chosen,
        )
    pickled = any(file.suffix in PICKLES for file in target.rglob("*"))
    shutil.copytree(target, layout.folder, dirs_exist_ok=True)
    shutil.rmtree(target)
    if layout.code:
        for settings in layout.model.flavors.values():
            settings["code"] = layout.code
    if pickled:
        layout.warnings.append("stored as a pickle: loading it runs the code it holds")


# Plain objects and functions, as a Python model


def _write_python(obj: Any, layout: Layout) -> None:
    _pickle(obj if kinds.is_python_model(obj) else _answering(obj), layout.folder / "python_model.pkl")
    layout.need("cloudpickle")
    import cloudpickle

    layout.add_pyfunc(
        "mlflow.pyfunc.model",
        python_model="python_model.pkl",
        cloudpickle_version=cloudpickle.__version__,
        streamable=False,
    )
    layout.warnings.append("stored with cloudpickle: loading it runs the code it holds")


def _answering(obj: Any) -> Any:
    # A class made here, not at the top of a module: cloudpickle then stores it whole, and nbmlops need not be
    # installed where the model is loaded.
    pyfunc = mlflow_door.module("pyfunc")

    class Answering(pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        _skip_type_hint_validation = True  # MLflow's advice on type hints is meant for who writes such a class

        def __init__(self, model: Any) -> None:
            self.model = model

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            predict = getattr(self.model, "predict", self.model)
            return predict(model_input, **(params or {}))

    return Answering(obj)


def _pickle(obj: Any, path: Path) -> None:
    import cloudpickle

    with path.open("wb") as stream:
        cloudpickle.dump(obj, stream)


# ONNX


def _write_onnx(path: Path, layout: Layout) -> str:
    import onnx

    model = onnx_file.read(path)
    shutil.copyfile(path, layout.folder / "model.onnx")
    for name in onnx_file.external_files(model):
        copy_in(path.parent / name, layout.folder / name)
    layout.need("onnx", "onnxruntime")
    layout.add_pyfunc("mlflow.onnx", data="model.onnx")
    layout.add_flavor(
        "onnx",
        onnx_version=onnx.__version__,
        data="model.onnx",
        providers=["CPUExecutionProvider"],
        onnx_session_options=None,
    )
    return path.name


# Reading


def load(folder: Path, kind: str) -> Any:
    """Return the object that was registered; a file or folder comes back as its path."""
    flavors = mlflow_door.module("models").Model.load(str(folder)).flavors
    for flavor, module in (
        ("sklearn", "sklearn"),
        ("xgboost", "xgboost"),
        ("lightgbm", "lightgbm"),
        ("catboost", "catboost"),
        ("pytorch", "pytorch"),
        ("onnx", "onnx"),
    ):
        if flavor in flavors:
            with mlflow_door.quiet():
                return mlflow_door.module(module).load_model(str(folder))
    if "python_function" in flavors:
        with mlflow_door.quiet():
            model = mlflow_door.module("pyfunc").load_model(str(folder)).unwrap_python_model()
        return model.model if type(model).__name__ == "Answering" else model
    return only_file(folder / FILES)


def only_file(folder: Path) -> Path:
    """Return the one file in `folder`, or the folder where it holds several."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return found[0] if len(found) == 1 else folder


def pickles(files: Iterable[str]) -> list[str]:
    """Return those of `files` whose loading runs code."""
    return [name for name in files if Path(name).suffix.lower() in PICKLES]


def unpickle(path: Path) -> Any:
    """Load a pickle, which runs the code it holds: only for a file that the caller trusts."""
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:
        raise InvalidObject(
            f"{path.name} can't be unpickled ({type(error).__name__}: {error})",
            expected="a pickle whose classes can be imported here",
        ) from error
