"""What kind of object is to be registered, and whether it can be: judged before anything is written."""

from __future__ import annotations

import inspect
import os
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

from nbmlops.core.errors import InvalidInput, InvalidObject, NotFound

SKLEARN, XGBOOST, LIGHTGBM, CATBOOST, TORCH = "sklearn", "xgboost", "lightgbm", "catboost", "torch"
PYTHON, FUNCTION, ONNX, FILES = "python", "function", "onnx", "files"
FROM_PATHS = (ONNX, FILES)

HOOK_ERRORS = (
    pickle.PickleError,
    TypeError,
    AttributeError,
    ValueError,
    LookupError,
    ImportError,
    RuntimeError,
    OSError,
    EOFError,
)
"""What pickling and unpickling raise: they run the hooks of the object's own classes."""

EXPECTED = (
    "a fitted scikit-learn, XGBoost, LightGBM or CatBoost estimator, a torch module, an object with predict, "
    "a function, or the path of a file or folder"
)


def kind_of(obj: Any) -> str:
    """Return the kind of `obj`.

    Raises
    ------
    InvalidObject
        When it is nothing that can predict, or a class instead of an instance.
    NotFound
        When it is a path and nothing is there.
    """
    if isinstance(obj, (str, os.PathLike)):
        return _kind_of_path(Path(obj).expanduser())
    if isinstance(obj, type):
        raise InvalidObject(
            f"{obj.__name__} is a class, not an instance", expected=EXPECTED, hint=f"Pass a fitted {obj.__name__}()."
        )
    ancestry = [f"{base.__module__}." for base in type(obj).__mro__]
    for kind, module in ((XGBOOST, "xgboost."), (LIGHTGBM, "lightgbm."), (CATBOOST, "catboost.")):
        if type(obj).__module__.startswith(module.rstrip(".")):
            return kind
    if any(base.startswith("torch.nn.") for base in ancestry):
        return TORCH
    if "sklearn.base." in ancestry:
        return SKLEARN
    if callable(getattr(obj, "predict", None)):
        return PYTHON
    if callable(obj) and not isinstance(obj, ModuleType):
        return FUNCTION
    raise InvalidObject(
        f"a {type(obj).__name__} can't be registered: it has no predict and can't be called", expected=EXPECTED
    )


def _kind_of_path(path: Path) -> str:
    if not path.exists():
        raise NotFound(f"there is no file or folder {str(path)!r}", expected="the path of a file or folder")
    return ONNX if path.is_file() and path.suffix.lower() == ".onnx" else FILES


def is_python_model(obj: Any) -> bool:
    """Tell whether `obj` is an ``mlflow.pyfunc.PythonModel`` (without importing MLflow)."""
    bases = type(obj).__mro__
    return any(base.__module__ == "mlflow.pyfunc.model" and base.__name__ == "PythonModel" for base in bases)


def check(obj: Any, kind: str) -> None:
    """Check that `obj` is fitted and can be stored.

    Raises
    ------
    InvalidInput
        When an estimator is not fitted, or a folder holds no file.
    InvalidObject
        When it can't be pickled; the message names the attribute.
    """
    if kind in FROM_PATHS:
        path = Path(obj).expanduser()
        if path.is_dir() and not any(file.is_file() for file in path.rglob("*")):
            raise InvalidInput(f"the folder {str(path)!r} holds no file", expected="at least one file to register")
        return
    if kind in (SKLEARN, XGBOOST, LIGHTGBM, CATBOOST):
        _check_fitted(obj)
    if kind == FUNCTION:
        _check_function(obj)
    check_picklable(obj)


def _check_fitted(obj: Any) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        if isinstance(obj, BaseEstimator):
            check_is_fitted(obj)
        elif kind_of(obj) == CATBOOST and not obj.is_fitted():  # a Booster of the others exists only when trained
            raise NotFittedError
    except NotFittedError as error:
        name = type(obj).__name__
        raise InvalidInput(
            f"this {name} is not fitted", expected=f"a fitted {name}", hint="Call fit on it, then register it."
        ) from error


def _check_function(function: Any) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C: nothing is known about it
        return
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = [p for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    if keywords or len(needed) > 1 or (not parameters and not open_ended):
        name = getattr(function, "__name__", type(function).__name__)
        raise InvalidObject(
            f"{name}{inspect.signature(function)} can't serve as a model",
            expected="a function of one argument, the table of inputs",
        )


def check_picklable(obj: Any) -> None:
    """Raise an error that names the attribute where `obj` can't be pickled."""
    error = _pickling_error(obj)
    if error is None:
        return
    path, cause = _culprit(obj, error, depth=8)
    where = f"its attribute {path}" if path else "it"
    raise InvalidObject(
        f"this {type(obj).__name__} can't be stored: {where} can't be pickled ({cause})",
        hint="Remove it before registering, or leave it out in __getstate__ and open it again when it is needed.",
    ) from error


class _Nowhere:
    """A file that forgets what is written: pickling is tried without holding its result."""

    def write(self, content: Any) -> int:
        return len(content)


def _pickling_error(obj: Any) -> Exception | None:
    import cloudpickle

    try:
        cloudpickle.Pickler(_Nowhere(), protocol=5, buffer_callback=lambda _: None).dump(obj)
    except HOOK_ERRORS as error:
        return error
    return None


def _culprit(obj: Any, error: Exception, depth: int) -> tuple[str, str]:
    """Return the path of the innermost part that fails, and why."""
    for step, part in _parts(obj):
        inner = _pickling_error(part)
        if inner is not None:
            deeper, cause = _culprit(part, inner, depth - 1) if depth else ("", str(inner))
            return f"{step}{deeper}", cause
    return "", str(error).splitlines()[0] if str(error) else type(error).__name__


def _parts(obj: Any) -> list[tuple[str, Any]]:
    if isinstance(obj, dict):
        return [(f"[{key!r}]", value) for key, value in obj.items()]
    if isinstance(obj, (list, tuple)):
        return [(f"[{index}]", value) for index, value in enumerate(obj)]
    if inspect.isfunction(obj):
        seen = inspect.getclosurevars(obj)
        return [(f".{name}", value) for name, value in {**seen.globals, **seen.nonlocals}.items()]
    state = getattr(obj, "__dict__", None)
    return [(f".{name}", value) for name, value in state.items()] if isinstance(state, dict) else []
