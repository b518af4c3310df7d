"""Preparing steps of scikit-learn written in float64, where skl2onnx's own ones know float32 alone.

Categories are looked up in a table with a row for each of them, and one for all others where the step takes those;
where it refuses them the table has no such row, and ONNX Runtime refuses too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nbmlops.conversion import float64_maps
from nbmlops.conversion.emitting import ML, Emitter, rows_and_columns, widths
from nbmlops.conversion.estimators import parts
from nbmlops.conversion.graphs import Steps
from nbmlops.core.errors import InvalidObject

FAR = np.finfo(np.float64).max
"""Stands for NaN among categories, since nothing equals NaN."""
Conversion = Callable[[Any, Any, Any], None]


def float64_steps(model: Any) -> Steps:
    """Return the conversions for the preparing steps that are in `model`."""
    known = {kind: pair for kind, pair in _known().items() if any(type(part) is kind for part in parts(model))}
    return Steps(
        conversions={kind: conversion for kind, (conversion, _) in known.items()},
        shapes={kind: shape for kind, (_, shape) in known.items()},
        parsers={kind: _answers_float64 for kind in known if kind.__name__.endswith("Encoder")},
    )


def _known() -> dict[type, tuple[Conversion, Callable[[Any], None]]]:
    from sklearn import preprocessing
    from sklearn.impute import SimpleImputer

    return {
        SimpleImputer: (_imputer, _imputer_shape),
        preprocessing.OneHotEncoder: (_one_hot, _one_hot_shape),
        preprocessing.OrdinalEncoder: (_ordinal, _same_width),
        preprocessing.TargetEncoder: (_target, _target_shape),
        preprocessing.PolynomialFeatures: (_polynomial, _polynomial_shape),
        preprocessing.PowerTransformer: (float64_maps.powers, _same_width),
        preprocessing.KBinsDiscretizer: (float64_maps.bins, _bins_shape),
    }


def _same_width(operator: Any) -> None:
    rows_and_columns(operator, sum(widths(operator)))


def _polynomial_shape(operator: Any) -> None:
    rows_and_columns(operator, _powers(operator).shape[0])


def _bins_shape(operator: Any) -> None:
    rows_and_columns(operator, float64_maps.bins_width(operator.raw_operator))


def _target_shape(operator: Any) -> None:
    rows_and_columns(operator, len(operator.raw_operator.encodings_))


def _answers_float64(scope: Any, model: Any, inputs: list[Any], *, custom_parsers: Any = None) -> list[Any]:
    """Declare a step that makes float64 of texts; skl2onnx would expect float32, and all steps behind it as well."""
    from skl2onnx.common.data_types import DoubleTensorType

    operator = scope.declare_local_operator(f"Sklearn{type(model).__name__}", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("encoded", DoubleTensorType()))
    return list(operator.outputs)


def _own(name: str) -> tuple[Any, Any]:
    """Return skl2onnx's own conversion and shape of a step, which are right for texts."""
    from skl2onnx.common import _registration

    return _registration.get_converter(name), _registration.get_shape_calculator(name)


def _of_texts(operator: Any) -> bool:
    from skl2onnx.common.data_types import StringTensorType

    return all(isinstance(one.type, StringTensorType) for one in operator.inputs)


def _imputer_shape(operator: Any) -> None:
    if _of_texts(operator):
        _own("SklearnSimpleImputer")[1](operator)
        return
    step = operator.raw_operator
    added = len(step.indicator_.features_) if step.indicator_ is not None else 0
    rows_and_columns(operator, len(_kept(step)) + added)


def _kept(imputer: Any) -> Any:
    """Return the places of the columns that an imputer keeps: all but those that never held a number."""
    return np.flatnonzero(~np.isnan(np.asarray(imputer.statistics_, dtype=np.float64)))


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    if _of_texts(operator):
        _own("SklearnSimpleImputer")[0](scope, operator, container)
        return
    emit = Emitter(scope, operator, container)
    step, given = emit.step, emit.numbers()
    sought = step.missing_values
    if sought is None or sought != sought:
        missing = emit.node("IsNaN", given)
    else:
        missing = emit.node("Equal", given, emit.constant(np.float64(sought)))
    filled = emit.node("Where", missing, emit.constant(np.asarray(step.statistics_, dtype=np.float64)), given)
    if len(_kept(step)) < len(step.statistics_):
        filled = emit.node("Gather", filled, emit.constant(_kept(step)), axis=1)
    if step.indicator_ is not None:
        noted = emit.node("Gather", missing, emit.constant(np.asarray(step.indicator_.features_)), axis=1)
        filled = emit.node("Concat", filled, emit.cast(noted, np.float64), axis=1)
    emit.answer(filled)


def _powers(operator: Any) -> Any:
    return np.asarray(operator.raw_operator.powers_, dtype=np.float64)


def _polynomial(scope: Any, operator: Any, container: Any) -> None:
    emit = Emitter(scope, operator, container)
    each = emit.node("Unsqueeze", emit.numbers(), emit.constant(np.array([1])))
    raised = emit.node("Pow", each, emit.constant(_powers(operator)[None]))
    emit.answer(emit.node("ReduceProd", raised, emit.constant(np.array([2])), keepdims=0))


def _one_hot_shape(operator: Any) -> None:
    rows_and_columns(operator, sum(table.shape[1] for table in _one_hot_tables(operator.raw_operator)))


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    emit = Emitter(scope, operator, container)
    _looked_up(emit, list(_one_hot_tables(emit.step)))


def _one_hot_tables(encoder: Any) -> Iterator[Any]:
    """Yield, for each column, a table of the columns that each category becomes; a last row where others are taken."""
    others = encoder.handle_unknown != "error"
    for place in range(len(encoder.categories_)):
        grouped = _infrequent(encoder, place)
        count = len(encoder.categories_[place]) if grouped is None else int(grouped.max()) + 1
        table = np.eye(count)
        table = table if grouped is None else table[grouped]
        last = np.zeros((1 if others else 0, count))
        if others and grouped is not None and encoder.handle_unknown in {"infrequent_if_exist", "warn"}:
            last[0, -1] = 1.0
        table = np.concatenate([table, last])
        dropped = None if encoder.drop_idx_ is None else encoder._drop_idx_after_grouping[place]
        yield table if dropped is None else np.delete(table, dropped, axis=1)


def _infrequent(encoder: Any, place: int) -> Any:
    """Return the group of each category of a column; None where rare ones are not put together."""
    mappings = getattr(encoder, "_default_to_infrequent_mappings", None)
    return None if mappings is None or mappings[place] is None else np.asarray(mappings[place])


def _ordinal(scope: Any, operator: Any, container: Any) -> None:
    emit = Emitter(scope, operator, container)
    step = emit.step
    tables = []
    for place, categories in enumerate(step.categories_):
        grouped = _infrequent(step, place)
        missing = [step.encoded_missing_value] if place in step._missing_indices else []  # it is the last category
        codes = np.arange(len(categories) - len(missing)) if grouped is None else grouped
        others = [] if step.handle_unknown == "error" else [step.unknown_value]
        tables.append(np.concatenate([codes, np.array([*missing, *others], dtype=np.float64)])[:, None])
    _looked_up(emit, tables)


def _target(scope: Any, operator: Any, container: Any) -> None:
    emit = Emitter(scope, operator, container)
    step = emit.step
    means = np.atleast_1d(step.target_mean_)
    classes = len(means)
    tables = []
    for place in range(len(step.categories_)):
        found = np.stack(step.encodings_[place * classes : (place + 1) * classes], axis=1)
        tables.append(np.concatenate([found, means[None]]))
    _looked_up(emit, tables)


def _looked_up(emit: Emitter, tables: list[Any]) -> None:
    """Answer, side by side, the row of each column's table that its category stands in."""
    given = emit.columns()
    if len(given) != len(tables):
        raise InvalidObject(f"{type(emit.step).__name__} gets {len(given)} columns and knows {len(tables)}")
    made = []
    for (name, text), categories, table in zip(given, emit.step.categories_, tables, strict=True):
        codes = category_codes(emit, name, list(categories), text=text)
        made.append(emit.node("Gather", emit.constant(table), codes, axis=0))
    emit.answer(made[0] if len(made) == 1 else emit.node("Concat", *made, axis=1))


def category_codes(emit: Emitter, name: str, categories: list[Any], *, text: bool) -> str:
    """Return the place of each row's category among `categories`, and their number for any other; shape (n_rows,).

    Parameters
    ----------
    emit : Emitter
    name : str
        A column, shape (n_rows, 1), of text or of float64.
    categories : list
        Texts, or numbers of which the last may be NaN.
    text : bool
    """
    flat = emit.constant(np.array([-1]))
    count = len(categories)
    if text:
        texts = [str(one) for one in categories]
        codes = emit.node(
            "LabelEncoder", name, domain=ML, keys_strings=texts, values_int64s=list(range(count)), default_int64=count
        )
        return emit.node("Reshape", codes, flat)
    keys = [FAR if _is_nan(one) else float(one) for one in categories]
    if FAR in keys:
        name = emit.node("Where", emit.node("IsNaN", name), emit.constant(np.float64(FAR)), name)
    same = emit.cast(emit.node("Equal", name, emit.constant(np.array([keys]))), np.float64)
    below = emit.node("MatMul", same, emit.constant(np.arange(count, dtype=np.float64) - count))
    codes = emit.node("Add", below, emit.constant(np.float64(count)))
    return emit.cast(codes, np.int64)


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)
