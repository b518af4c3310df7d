"""Explain a model version, a row or a prediction."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.progress import stage
from nbmlops.workflows.parameters import DataArg, ModelRef, Parameter, Trust, read_data
from nbmlops.workflows.session import Session, reconciled

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.explanation import Explanation
    from nbmlops.registry import Reference

Row = Annotated[int, Parameter("Also show how this row of DATA comes to its answer; counted from 0.", "NUMBER")]
Prediction = Annotated[
    str, Parameter("Explain this prediction of an endpoint: the answer's x-prediction-id, or ID:ROW.", "ID")
]
MostRows = Annotated[int, Parameter("At most so many rows, drawn at random.", "NUMBER")]
Seconds = Annotated[float, Parameter("Time for the contributions; what is done by then is what is shown.", "SECONDS")]
Where = Annotated[
    str | Path,
    Parameter(
        "Also write the report to this .html file.",
        "PATH",
        completes="path",
        read=lambda word, names: Path(word).expanduser(),
    ),
]
FOLDER = "explanations"
DEFAULT_ROWS = 1000


def explain(
    ref: ModelRef | None = None,
    *,
    data: DataArg | None = None,
    row: Row | None = None,
    prediction: Prediction | None = None,
    rows: MostRows = DEFAULT_ROWS,
    seconds: Seconds = 60.0,
    out: Where | None = None,
    trust: Trust = False,
) -> Explanation:
    """Explain a model version, one row, or a prediction of an endpoint.

    Contributions are those of the raw columns, whatever a pipeline makes of them, and add up to the fitted model's own
    output; the difference is shown, and what does not add up is not. A report of a version is kept in its run.

    Parameters
    ----------
    ref : str, optional
        Needed unless a prediction is explained.
    data : DataFrame or array, optional, shape (n_samples, n_features)
        Rows to explain, with or without the label; by default the sample that was kept at registration.
    row : int, optional
        Position in the data of a row whose way to its answer is shown.
    prediction : str, optional
        ``ID`` or ``ID:ROW`` of a request that was captured, or that failed. It is shown, and kept nowhere.
    rows : int, default 1000
        Drawn at random where the data has more.
    seconds : float, default 60
    out : str or pathlib.Path, optional
        An ``.html`` file to write the report to as well.
    trust : bool, default False
        Load a version that this workspace did not register.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidInput
        There are no rows, or no such row.
    Refused
        No explainer's contributions add up to what the model answers.
    """
    session = reconciled()
    _check(ref, prediction, data=data, rows=rows, seconds=seconds, out=out)
    if prediction is None:
        found = _version(session, str(ref), _Wish(read_data(data), row, rows, seconds, trust))
    else:
        found = _prediction(session, prediction, ref=ref, seconds=seconds, trust=trust)
    if out is not None:
        from nbmlops.explanation.page import page

        Path(out).write_text(page(found), encoding="utf-8")
    return found


@dataclass(frozen=True)
class _Wish:
    """What was asked for beside the version."""

    data: Any
    row: int | None
    rows: int
    seconds: float
    trust: bool


def _check(
    ref: str | None, prediction: str | None, *, data: Any, rows: int, seconds: float, out: str | Path | None
) -> None:
    if ref is None and prediction is None:
        raise InvalidInput("nothing says what to explain", expected="a model version, or --prediction ID")
    if prediction is not None and data is not None:
        raise InvalidInput("a prediction has its own rows", expected="either --prediction or --data")
    if rows < 1 or not seconds > 0:
        raise InvalidInput(f"rows is {rows} and seconds {seconds:g}", expected="at least 1 row, and some time")
    if out is not None and Path(out).suffix != ".html":
        raise InvalidInput(f"the report can't be written as {Path(out).name!r}", expected="an .html file")


def _version(session: Session, ref: str, wish: _Wish) -> Explanation:
    from nbmlops.explanation import Asked, chosen, explain

    version = session.registry.version(ref)
    stage("loading the model")
    model = session.registry.load(version.reference, trust=wish.trust)
    reference = session.registry.reference(version.reference)
    frame = _frame(session, model, wish.data, label=version.label, reference=reference)
    if wish.row is not None and not 0 <= wish.row < len(frame):
        raise InvalidInput(f"there is no row {wish.row}", expected=f"0 to {len(frame) - 1:,}")
    subject = _subject(session, model, version.reference, reference=reference, rows=frame)
    positions = chosen(len(frame), rows=wish.rows, row=wish.row, seed=subject.seed)
    drawn = frame.iloc[positions].reset_index(drop=True)
    about = {"name": version.name, "version": version.version}
    with session.journal.operation("model.explained", f"model/{version.reference}", about) as operation:
        found = explain(
            _with_rows(subject, drawn), Asked(version.reference, positions, len(frame), wish.row), seconds=wish.seconds
        )
        files = _keep(session, version.reference, found)
        operation.done(
            **about,
            explainer=found.explainer,
            rows=found.rows,
            residual=found.residual,
            contributions=found.digest,
            report=digests.of_tree(files),
        )
    return found


def _frame(session: Session, model: Any, data: Any, *, label: str, reference: Reference | None) -> pd.DataFrame:
    if data is None:
        if reference is None:
            raise InvalidInput(
                "the version was registered without data, so there are no rows to explain",
                hint="Give some: --data DATA.",
            )
        return reference.inputs
    return session.registry.inputs(model, data, label=label)


def _subject(session: Session, model: Any, name: str, *, reference: Reference | None, rows: pd.DataFrame) -> Any:
    from nbmlops.conversion.estimators import as_fitted
    from nbmlops.explanation import Subject

    signature = session.registry.signature(name)
    classes = (reference.classes if reference else signature.get("classes")) or ()
    return Subject(
        model=model,
        rows=rows,
        background=rows if reference is None else reference.inputs,
        native=partial(as_fitted, signature=signature, model=model),
        classes=tuple(classes),
    )


def _with_rows(subject: Any, rows: pd.DataFrame) -> Any:
    from dataclasses import replace

    return replace(subject, rows=rows)


def _keep(session: Session, reference: str, found: Explanation) -> dict[str, str]:
    """Keep the report in the version's run; return file -> digest."""
    from nbmlops.explanation.page import write

    stage("keeping the report")
    with tempfile.TemporaryDirectory(prefix="nbmlops-") as name:
        files = write(found, Path(name))
        folder = f"{FOLDER}/{found.digest.removeprefix(digests.PREFIX)[:12]}"
        session.registry.keep(reference, Path(name), folder)
    return files


def state_terms(session: Session, reference: str, bundle: Path, *, trust: bool) -> None:
    """State beside a version's bundle how the model adds up, for its server to explain answers.

    Raises
    ------
    InvalidInput
        It does not add up column by column, it is an ensemble, or no rows were kept to hold it against.
    """
    from nbmlops.explanation.additive import additive
    from nbmlops.packaging import attest, read_bundle

    if "+" in reference:
        raise InvalidInput("an ensemble can't be explained where it is served", hint="Deploy it without --explain.")
    stage("finding what each column adds")
    kept = session.registry.reference(reference)
    if kept is None:
        raise InvalidInput(f"{reference} was registered without data, which explanations compare with")
    model = session.registry.load(reference, trust=trust)
    subject = _subject(session, model, reference, reference=kept, rows=kept.inputs)
    attest(read_bundle(bundle), "explanation", additive(subject))


def _prediction(session: Session, prediction: str, *, ref: str | None, seconds: float, trust: bool) -> Explanation:
    import numpy as np

    from nbmlops.explanation import Asked, explain
    from nbmlops.workflows.kept import find
    from nbmlops.workflows.replaying import answer_of, rows_of, served

    request, _, place = prediction.partition(":")
    kept = find(session, request)
    wanted = None if ref is None else session.registry.version(ref).reference
    if len(kept.references) != 1 or wanted not in (None, *kept.references):
        raise InvalidInput(
            f"{' and '.join(kept.references)} answered {request}", expected="a prediction of the one version to explain"
        )
    [reference_name] = kept.references
    stage("loading the model")
    model = session.registry.load(reference_name, trust=trust)
    with served(kept) as answering:
        inputs = rows_of(answering.assemble(answering.decode(kept)), answering.arm)
    row = int(place) if place.isdecimal() else 0
    if not 0 <= row < len(inputs):
        raise NotFound(f"request {request} has no row {place}", expected=f"0 to {len(inputs) - 1}")
    reference = session.registry.reference(reference_name)
    if reference is None:
        raise InvalidInput(f"{reference_name} was registered without data, which explanations compare with")
    frame = inputs.iloc[row : row + 1].set_axis(list(reference.inputs.columns), axis=1).reset_index(drop=True)
    subject = _subject(session, model, reference_name, reference=reference, rows=frame)
    asked = Asked(
        reference_name, np.array([row]), 1, row=row, prediction=f"{request}:{row}", answered=answer_of(kept, row)
    )
    return explain(subject, asked, seconds=seconds)
