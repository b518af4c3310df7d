"""The reference sample: rows drawn over all the data, with the fitted object's own answers on them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core import digests
from nbmlops.core.quiet import quiet_answers
from nbmlops.core.records import plain
from nbmlops.registry import kinds
from nbmlops.registry.records import Reference

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

INPUTS, OUTPUTS, FACTS = "reference_inputs.parquet", "reference_outputs.parquet", "reference.json"
SEED = 20131
NULL_ROWS = 5
CATEGORIES = 1000


def draw(frame: pd.DataFrame, rows: int, seed: int = SEED) -> pd.DataFrame:
    """Draw at most `rows` rows over all of `frame`, in its order and always the same ones.

    Rows with nulls (of each column that has any) and one row of each category come first, as far as they fit: these
    are the rows where a converted model goes wrong.
    """
    import numpy as np

    count = len(frame)
    if count <= rows:
        return frame.reset_index(drop=True)
    chosen = _telling(frame, rows)
    rest = np.setdiff1d(np.arange(count), chosen, assume_unique=False)
    filled = np.random.default_rng(seed).choice(rest, rows - len(chosen), replace=False)
    return frame.iloc[np.sort(np.concatenate([chosen, filled]))].reset_index(drop=True)


def _telling(frame: pd.DataFrame, most: int) -> np.ndarray[Any, Any]:
    import numpy as np

    chosen: list[int] = []
    for column in frame.columns:
        values = frame[column]
        chosen += np.flatnonzero(values.isna().to_numpy())[:NULL_ROWS].tolist()
    for column in frame.columns:
        values = frame[column]
        if values.dtype.kind in "biufcmM":
            continue
        firsts = np.flatnonzero(~values.duplicated().to_numpy())
        chosen += firsts[:CATEGORIES].tolist()
    return np.array(list(dict.fromkeys(chosen))[:most], dtype=np.int64)


def answers(obj: Any, inputs: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None, list[Any] | None]:
    """Return predictions, probabilities and classes that the object itself gives."""
    import numpy as np

    with quiet_answers():
        predictions = np.asarray(predict(obj, inputs))
        probabilities = None
        if callable(getattr(obj, "predict_proba", None)):
            found = obj.predict_proba(inputs)
            probabilities = None if isinstance(found, list) else np.asarray(found)  # a list: several labels
    return predictions, probabilities, classes_of(obj)


def predict(obj: Any, inputs: Any) -> Any:
    """Return what the object itself predicts, whatever its kind calls that."""
    if kinds.kind_of(obj) == kinds.TORCH:
        import numpy as np
        import torch

        with torch.no_grad():
            return obj.eval()(torch.as_tensor(np.asarray(inputs, dtype=np.float32))).numpy()
    if kinds.is_python_model(obj):
        needs_context = "context" in inspect.signature(obj.predict).parameters
        return obj.predict(None, inputs) if needs_context else obj.predict(inputs)
    if type(obj).__module__.startswith("xgboost") and not hasattr(obj, "get_params"):  # a bare Booster
        import xgboost

        return obj.predict(xgboost.DMatrix(inputs))
    return obj.predict(inputs) if hasattr(obj, "predict") else obj(inputs)


def classes_of(obj: Any) -> list[Any] | None:
    """Return the classes that an object says it tells apart, or None."""
    import numpy as np

    classes = getattr(obj, "classes_", None)
    if classes is None or isinstance(classes, list):
        return None
    return list(np.asarray(classes).tolist()) or None  # CatBoost's regressions have an empty array


def write(reference: Reference, folder: Path) -> str:
    """Write the sample below `folder` and return its digest."""
    import pandas as pd

    reference.inputs.to_parquet(folder / INPUTS)
    outputs = _columns("prediction", reference.predictions)
    if reference.probabilities is not None:
        outputs |= _columns("probability", reference.probabilities)
    pd.DataFrame(outputs).to_parquet(folder / OUTPUTS)
    files = {name: digests.of_file(folder / name) for name in (INPUTS, OUTPUTS)}
    digest = digests.of_tree(files)
    facts = {
        "format": 1,
        "digest": digest,
        "files": files,
        "seed": SEED,
        "rows": len(reference.inputs),
        "prediction": {"dtype": str(reference.predictions.dtype), "shape": list(reference.predictions.shape)},
        "probabilities": reference.probabilities is not None,
        "classes": reference.classes,
    }
    (folder / FACTS).write_text(json.dumps(plain(facts), indent=1))
    return digest


def read(folder: Path) -> Reference | None:
    """Read the sample that `write` left in `folder`, or None where there is none."""
    import pandas as pd

    if not (folder / FACTS).exists():
        return None
    facts = json.loads((folder / FACTS).read_text())
    outputs = pd.read_parquet(folder / OUTPUTS)
    shape = facts["prediction"]["shape"]
    predictions = outputs[[c for c in outputs if c.startswith("prediction")]].to_numpy()
    dtype = facts["prediction"]["dtype"]
    predictions = predictions.reshape(shape).astype(object if dtype == "object" else dtype)
    probabilities = outputs[[c for c in outputs if c.startswith("probability")]].to_numpy()
    return Reference(
        inputs=pd.read_parquet(folder / INPUTS),
        predictions=predictions,
        probabilities=probabilities if facts["probabilities"] else None,
        classes=facts["classes"],
        digest=facts["digest"],
    )


def _columns(name: str, values: np.ndarray[Any, Any]) -> dict[str, Any]:
    flat = values.reshape(len(values), -1)
    return {f"{name}_{index}": flat[:, index] for index in range(flat.shape[1])}
