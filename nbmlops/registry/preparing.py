"""Everything about a registration that can be judged before a byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.progress import stage
from nbmlops.core.references import check_name
from nbmlops.core.settings import settings
from nbmlops.registry import formats, kinds, layout, onnx_file, sample, signature, tables
from nbmlops.registry.records import PREFIX, UNKNOWN, UNOPENED, Reference, Registration, Signature


@dataclass(frozen=True)
class Prepared:
    """An object that was judged: all that is known before anything is written."""

    obj: Any
    kind: str
    inputs: tables.Inputs | None
    reference: Reference | None
    signature: Signature
    external: bool
    warnings: tuple[str, ...]

    def few_rows(self) -> Any:
        """A few rows in the form that the object takes, or None."""
        if self.inputs is None or self.reference is None:
            return None
        return self.inputs.native(self.reference.inputs.head(formats.CHECKED_ROWS))

    def pickles(self) -> list[str]:
        """Names of the pickles in a file or folder that was made elsewhere."""
        if self.kind != kinds.FILES:
            return []
        path = Path(self.obj).expanduser()
        return formats.pickles([path.name] if path.is_file() else sorted(digests.tree(path)))


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the user's tags, or raise where one has an empty name or one of nbmlops' own."""
    for key in tags:
        if not key or key.startswith((PREFIX, "mlflow.")):
            raise InvalidInput(
                f"{key!r} is no name for a tag", expected=f"a name that does not start with {PREFIX} or mlflow."
            )
    return {str(key): str(value) for key, value in tags.items()}


def prepare(obj: Any, registration: Registration) -> Prepared:
    """Judge everything that can be judged before a byte is written."""
    check_name(registration.name)
    check_tags(registration.tags)
    layout.check_assets(registration.assets)
    stage("checking the model")
    kind = kinds.kind_of(obj)
    external = kind in kinds.FROM_PATHS
    if kind == kinds.FILES and registration.trust:
        obj, kind = _unpickled(Path(obj).expanduser())
    kinds.check(obj, kind)
    noticed = _provenance(registration) if external else ()
    if kind in kinds.FROM_PATHS:
        known = onnx_file.signature(Path(obj).expanduser()) if kind == kinds.ONNX else UNKNOWN
        return Prepared(obj, kind, None, None, known, external, noticed + _unopened(Path(obj).expanduser()))
    inputs = tables.read(registration.data, registration.label, _fitted_on(obj))
    stage("drawing the reference sample")
    reference = None if inputs is None else _reference(obj, inputs)
    found = signature.infer(obj, inputs, reference)
    return Prepared(obj, kind, inputs, reference, found, external, noticed + (inputs.warnings if inputs else ()))


def _provenance(registration: Registration) -> tuple[str, ...]:
    unknown = "environment" if registration.data is not None else "environment and data"
    return (f"trained elsewhere: provenance external, {unknown} unknown",)


def _unopened(path: Path) -> tuple[str, ...]:
    return (UNOPENED,) if path.is_file() and formats.pickles([path.name]) else ()


def _fitted_on(obj: Any) -> list[str] | None:
    names = getattr(obj, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _unpickled(path: Path) -> tuple[Any, str]:
    if _unopened(path):
        loaded = formats.unpickle(path)
        return loaded, kinds.kind_of(loaded)
    return path, kinds.FILES


def answered(obj: Any, data: Any, label: str = "") -> Reference:
    """Return a sample of `data` with the object's answers."""
    return _reference(obj, inputs_of(obj, data, label))


def inputs_of(obj: Any, data: Any, label: str = "") -> tables.Inputs:
    """Return the columns of `data` that the object takes, whether or not the label is among its columns."""
    names: Any = getattr(getattr(data, "schema", None), "names", None) or getattr(data, "columns", ())
    inputs = tables.read(data, label if label in list(names) else "", _fitted_on(obj))
    if inputs is None:
        raise InvalidInput("no data was given", expected="rows to answer")
    return inputs


def _reference(obj: Any, inputs: tables.Inputs) -> Reference:
    drawn = sample.draw(inputs.frame, settings().sample_rows)
    name = type(obj).__name__
    try:
        predictions, probabilities, classes = sample.answers(obj, inputs.native(drawn))
    except kinds.HOOK_ERRORS as error:
        raise InvalidInput(
            f"this {name} can't answer the data it is registered with ({type(error).__name__}: {error})",
            expected="the data that it was fitted on, with the same columns and dtypes",
        ) from error
    if predictions.ndim == 0 or len(predictions) != len(drawn):
        count = len(predictions) if predictions.ndim else 1
        raise InvalidInput(
            f"this {name} gave {count} answers for {len(drawn)} rows", expected="one answer for each row"
        )
    return Reference(drawn, predictions, probabilities, classes)
