"""Conformance of a converter: what `nbmlops.conversion` relies on, for those of nbmlops and of third parties alike."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from nbmlops.conversion import Converter
from nbmlops.conversion.seam import CONVERTER_ERRORS

if TYPE_CHECKING:
    import pandas as pd


def check_converter(converter: Converter, model: Any, rows: pd.DataFrame) -> None:
    """Check that `converter` keeps the promises of the seam on a model that it takes.

    Parameters
    ----------
    converter : Converter
    model : object
        A fitted model that `converter` can convert.
    rows : pandas.DataFrame, shape (n_rows, n_features)
        Rows that `model` predicts on.

    Raises
    ------
    AssertionError
        Saying which promise is broken.
    """
    import numpy as np

    from nbmlops.registry.signature import columns_of

    signature = {"inputs": columns_of(rows)}
    assert isinstance(converter, Converter), "it lacks name, can_convert or convert"
    assert isinstance(converter.name, str), "its name is no text"
    assert converter.name, "its name is empty"
    assert converter.can_convert(object()) is False, "can_convert says yes to a plain object"
    assert converter.can_convert(model) is True, "can_convert says no to the model"
    before = pickle.dumps(model)
    first = converter.convert(model, signature)
    assert pickle.dumps(model) == before, "convert changed the model"
    assert first.converter == converter.name, f"its models are signed {first.converter!r}"
    assert converter.convert(model, signature).content == first.content, "the same model gives other bytes"
    label, _ = first.predict(rows)
    assert np.asarray(label).shape[0] == len(rows), "it does not answer once a row"
    _refuses(converter, model)


def _refuses(converter: Converter, model: Any) -> None:
    try:
        converter.convert(model, {"inputs": [{"name": "when", "type": "datetime", "nullable": False}]})
    except CONVERTER_ERRORS:
        return
    raise AssertionError("it converts a model for inputs of a kind that ONNX does not have")
