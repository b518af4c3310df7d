"""Measure what serving a version costs, with the user's own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nbmlops.core.errors import InvalidInput
from nbmlops.core.progress import stage
from nbmlops.workflows.parameters import DataArg, ModelRef, Parameter, Trust, read_data
from nbmlops.workflows.prepare import check_served, prepare
from nbmlops.workflows.session import reconciled

if TYPE_CHECKING:
    from nbmlops.profiling import ProfileReport

Seconds = Annotated[float, Parameter("How long to load the server at each level.", "SECONDS")]
LONGEST = 300.0


def profile(
    ref: ModelRef, *, data: DataArg | None = None, seconds: Seconds = 2.0, trust: Trust = False
) -> ProfileReport:
    """Measure the real server with your rows, and recommend its size.

    The server that a deploy would start is started from the version's bundle, loaded at 1, 8 and 32 connections and
    stopped again. A later deploy takes the recommendation where nothing else is asked for.

    Parameters
    ----------
    ref : str
    data : DataFrame or array, optional, shape (n_samples, n_features)
        Rows to send, one a request, in turn; by default the sample that was kept at registration.
    seconds : float, default 2
        Time for each level.
    trust : bool, default False
        Serve a version that this workspace did not register.

    Returns
    -------
    ProfileReport
    """
    if not 0 < seconds <= LONGEST:
        raise InvalidInput(f"seconds is {seconds:g}", expected=f"more than 0 and at most {LONGEST:g}")
    from nbmlops.profiling import profile as measured

    session = reconciled()
    version = session.registry.version(ref)
    check_served(version)
    rows = read_data(data)
    if rows is None:
        reference = session.registry.reference(version.reference)
        if reference is None:
            raise InvalidInput(
                f"{version.reference} was registered without data, so there are no rows to send",
                hint="Give some: --data DATA.",
            )
        rows = reference.inputs
    about = {"name": version.name, "version": version.version}
    with session.journal.operation("model.profiled", f"model/{version.reference}", about) as operation:
        prepared = prepare(session, version, trust=trust)
        stage("loading the server at 1, 8 and 32 connections")
        report = measured(prepared.bundle, rows, seconds=seconds)
        operation.done(**about, bundle=prepared.bundle.digest, report=report.to_dict())
    return report
