"""What a captured answer says of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

PREDICTION, PROBABILITY, OUTPUT = "prediction", "probability_", "output_"
NOTHING: dict[str, list[Any]] = {}


def is_answer(column: str) -> bool:
    """Whether a column holds an answer; no input has such a name."""
    return column == PREDICTION or column.startswith((PROBABILITY, OUTPUT))


def answers_of(content: bytes, rows: int) -> dict[str, list[Any]]:
    """Return the columns of an answer in MLflow's protocol.

    Parameters
    ----------
    content : bytes
        The JSON of the answer.
    rows : int
        How many rows were asked for.

    Returns
    -------
    dict
        ``prediction`` and, where they were answered, ``probability_<class>``; ``output_<name>`` for each of
        several named outputs. Each list has one value a row. An answer that isn't one a row stands at the first, as
        JSON text.

    Raises
    ------
    msgspec.MsgspecError
        It is no JSON.
    """
    document = msgspec.json.decode(content)
    if not isinstance(document, dict) or "predictions" not in document:
        return NOTHING
    predictions, classes = document["predictions"], document.get("classes")
    if isinstance(predictions, Mapping) and all(_fits(values, rows) for values in predictions.values()):
        return {f"{OUTPUT}{name}": list(values) for name, values in predictions.items()}
    if not _fits(predictions, rows):
        return {PREDICTION: [msgspec.json.encode(predictions).decode(), *[None] * (rows - 1)]}
    if classes is None:
        return {PREDICTION: predictions}
    return _classified(predictions, classes)


def _classified(predictions: list[Any], classes: list[Any]) -> dict[str, list[Any]]:
    """Split an answer with probabilities, which come alone or beside the label."""
    both = isinstance(predictions[0], Mapping)
    columns = {PREDICTION: [one["label"] for one in predictions]} if both else {}
    probabilities = [one["probabilities"] if both else one for one in predictions]
    for name, values in zip(classes, zip(*probabilities, strict=True), strict=True):
        columns[f"{PROBABILITY}{name}"] = list(values)
    return columns


def _fits(values: Any, rows: int) -> bool:
    return isinstance(values, list) and len(values) == rows
