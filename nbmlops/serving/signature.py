"""What a model takes: named columns, one tensor, or anything."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import ServingError

TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
PARAM_TYPES = (*(name for name in TYPES if name != "binary"), "object")


class Column(msgspec.Struct, frozen=True):
    """One named column.

    Attributes
    ----------
    type : str
        MLflow's name of the type.
    required : bool
        Whether a request must hold the column.
    nullable : bool
        Whether nulls are taken in it.
    dtype : str
        The pandas dtype of the training data where it isn't the type's own (``category``, ``Int64``,
        ``datetime64[us]``); "" otherwise.
    categories : list, optional
        The categories of a categorical column, in order; elsewhere the only values that the model answers.
    series : bool
        Whether the model takes this one column by itself, as text pipelines do, and no frame that holds it.
    """

    name: str
    type: str
    required: bool = True
    nullable: bool = False
    dtype: str = ""
    categories: list[Any] | None = None
    series: bool = False

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ServingError("invalid_bundle", f"column {self.name!r} has type {self.type!r}, not one of {TYPES}")


class TensorSpec(msgspec.Struct, frozen=True):
    """One tensor; -1 in `shape` stands for any length."""

    dtype: str
    shape: list[int]
    nullable: bool = False
    name: str = ""


class Param(msgspec.Struct, frozen=True):
    """One parameter of a model beside its data.

    Attributes
    ----------
    type : str
        MLflow's name of the type; ``binary`` is none for a parameter, ``object`` is one.
    default : object
        What the model gets where a request does not give it; a moment is ISO 8601 text.
    shape : list of int, optional
        ``[-1]`` for a list of any length, None for one value.
    """

    name: str
    type: str
    default: Any = None
    shape: list[int] | None = None

    def __post_init__(self) -> None:
        if self.type not in PARAM_TYPES or self.shape not in (None, [-1]):
            found = f"parameter {self.name!r} has type {self.type!r} and shape {self.shape}"
            raise ServingError("invalid_bundle", f"{found}, not one of {PARAM_TYPES} and None or [-1]")


class Signature(msgspec.Struct, frozen=True):
    """A model's signature, read from ``bundle.json``.

    Attributes
    ----------
    columns : tuple of Column, optional
        None where the model takes a tensor or anything.
    tensor : TensorSpec, optional
    tensors : tuple of TensorSpec, optional
        Named ones, of a model that takes several or one by its name.
    task : str
        ``classification``, ``regression`` or ``other``.
    classes : list, optional
        A classifier's classes in the order of its probabilities.
    example : dict, optional
        ``{"columns": [...], "data": [[...]]}`` or ``{"data": [...]}``.
    outputs : object
        The declared outputs, in the same form as the inputs.
    params : tuple of Param
        What the model takes beside its data.
    """

    columns: tuple[Column, ...] | None
    tensor: TensorSpec | None
    task: str
    classes: list[Any] | None
    example: dict[str, Any] | None
    outputs: Any = None
    params: tuple[Param, ...] = ()
    tensors: tuple[TensorSpec, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns or ())


class _Document(msgspec.Struct):
    inputs: Any = None
    outputs: Any = None
    task: str = "other"
    classes: list[Any] | None = None
    example: dict[str, Any] | None = None
    params: tuple[Param, ...] | None = None


def parse_signature(document: dict[str, Any]) -> Signature:
    """Read a signature from its plain form.

    Raises
    ------
    ServingError
        It does not have the documented form.
    """
    try:
        parsed = msgspec.convert(document, _Document)
        columns = tensor = tensors = None
        if isinstance(parsed.inputs, list):
            columns = tuple(msgspec.convert(parsed.inputs, list[Column]))
        elif isinstance(parsed.inputs, dict) and "tensors" in parsed.inputs:
            tensors = msgspec.convert(parsed.inputs["tensors"], tuple[TensorSpec, ...])
        elif parsed.inputs is not None:
            tensor = msgspec.convert(parsed.inputs, dict[str, TensorSpec])["tensor"]
    except (msgspec.ValidationError, KeyError) as error:
        raise ServingError("invalid_bundle", f"the signature can't be read: {error}") from error
    return Signature(
        columns,
        tensor,
        parsed.task,
        parsed.classes,
        parsed.example,
        outputs=parsed.outputs,
        params=parsed.params or (),
        tensors=tensors,
    )
