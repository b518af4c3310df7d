"""Convert a registered model to ONNX and see whether it still says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbmlops.core.errors import InvalidInput
from nbmlops.core.progress import stage
from nbmlops.workflows.parameters import DataArg, ModelRef, Optimized, Provider, Quantized, Trust, read_data
from nbmlops.workflows.session import reconciled

if TYPE_CHECKING:
    from nbmlops.conversion import ConversionReport


def convert(
    ref: ModelRef,
    *,
    data: DataArg | None = None,
    quantize: Quantized = False,
    optimize: Optimized | None = None,
    provider: Provider | None = None,
    trust: Trust = False,
) -> ConversionReport:
    """Convert a model to ONNX, and keep it only where it agrees.

    Parameters
    ----------
    ref : str
    data : DataFrame or array, optional, shape (n_samples, n_features)
        Rows to compare on, with or without the label; by default the sample that was kept at registration.
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
        When there are no rows to compare on, or the provider is not here.
    """
    from nbmlops.conversion import Options
    from nbmlops.conversion import convert as converted

    options = Options(quantize=quantize, optimize=optimize or "", provider=provider or "")
    session = reconciled()
    version = session.registry.version(ref)
    stage("loading the model")
    model = session.registry.load(version.reference, trust=trust)
    frame = read_data(data)
    if frame is None:
        reference = session.registry.reference(version.reference)
    else:
        reference = session.registry.answered(model, frame, label=version.label)
    if reference is None:
        raise InvalidInput(
            f"{version.reference} was registered without data, so there is nothing to compare on",
            hint="Give some rows: --data DATA.",
        )
    stage("converting and comparing")
    return converted(model, session.registry.signature(version.reference), reference, options=options)
