"""Convert a registered model to ONNX and see whether it still says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nbmlops.core.errors import InvalidInput
from nbmlops.core.progress import stage
from nbmlops.workflows.certifying import EVENT, certified, outcome
from nbmlops.workflows.parameters import (
    DataArg,
    ModelRef,
    Optimized,
    Parameter,
    Provider,
    Quantized,
    Trust,
    read_data,
)
from nbmlops.workflows.session import Session, reconciled

if TYPE_CHECKING:
    from nbmlops.conversion import ConversionReport
    from nbmlops.core.records import ModelVersion
    from nbmlops.registry import Reference

MOST_ROWS = 100_000
Rows = Annotated[int, Parameter("Rows in a typical request: there it must not be slower (1).", "N")]


def convert(
    ref: ModelRef,
    *,
    data: DataArg | None = None,
    rows: Rows = 1,
    quantize: Quantized = False,
    optimize: Optimized | None = None,
    provider: Provider | None = None,
    trust: Trust = False,
) -> ConversionReport:
    """Convert a model to ONNX, and keep it only where it agrees.

    The certificate of what was tried, compared and measured lies with the version's run as JSON and as a page.

    Parameters
    ----------
    ref : str
    data : DataFrame or array, optional, shape (n_samples, n_features)
        Rows to compare on, with or without the label; by default the sample that was kept at registration.
    rows : int, default 1
        Rows in a typical request: a converted model that is slower there is not chosen.
    quantize : bool, default False
        Hold a network's weights in eight bits. What it then answers is compared like any conversion.
    optimize : {"basic", "extended"}, optional
        Simplify the graph once, here, and not at every load.
    provider : str, optional
        What ONNX Runtime computes on, such as ``cuda``; the CPU by default.
    trust : bool, default False
        Load a version that this workspace did not register.

    Returns
    -------
    ConversionReport
        `chosen` is the converter's name, or None where the original is better; `reason` says why.

    Raises
    ------
    InvalidInput
        When there are no rows to compare on, or an option has a value that there is not.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise InvalidInput(f"a typical request has {rows:,} rows", expected=f"from 1 to {MOST_ROWS:,}")
    from nbmlops.conversion import Options, Terms
    from nbmlops.conversion import convert as converted

    chosen = Options(quantize=quantize, optimize=optimize or "", provider=provider or "")
    session = reconciled()
    version = session.registry.version(ref)
    stage("loading the model")
    model = session.registry.load(version.reference, trust=trust)
    reference = _compared_on(session, version, model, data=data)
    about = {"name": version.name, "version": version.version}
    with session.journal.operation(EVENT, f"model/{version.reference}", about) as operation:
        stage("converting and comparing")
        signature = session.registry.signature(version.reference)
        report = converted(model, signature, reference, options=chosen, terms=Terms(rows=rows))
        facts = certified(session, version, report) or {"reason": report.reason}
        operation.done(**outcome(version, facts))
    return report


def _compared_on(session: Session, version: ModelVersion, model: object, *, data: DataArg | None) -> Reference:
    frame = read_data(data)
    if frame is not None:
        return session.registry.answered(model, frame, label=version.label)
    kept = session.registry.reference(version.reference)
    if kept is None:
        raise InvalidInput(
            f"{version.reference} was registered without data, so there is nothing to compare on",
            hint="Give some rows: --data DATA.",
        )
    return kept
