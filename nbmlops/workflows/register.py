"""Register a model with everything that made it."""

from __future__ import annotations

from typing import Annotated

from nbmlops.core.progress import stage
from nbmlops.core.records import ModelVersion
from nbmlops.core.references import check_name
from nbmlops.workflows.entry import Entry
from nbmlops.workflows.parameters import Assets, DataArg, Obj, Parameter, Reason, Tags, Trust, pairs, read_data
from nbmlops.workflows.session import check_reason, reconciled

Name = Annotated[str, Parameter("Name of the model; the same name again makes the next version.", "NAME")]
Label = Annotated[str, Parameter("The label's column in DATA; the other columns are the model's inputs.", "COLUMN")]


def register_model(
    obj: Obj,
    *,
    name: Name,
    data: DataArg | None = None,
    label: Label | None = None,
    tags: Tags | None = None,
    assets: Assets | None = None,
    reason: Reason | None = None,
    trust: Trust = False,
) -> ModelVersion:
    """Capture a model with all that made it, and register it.

    What is kept: the model in MLflow's format, exact pins of its packages, the modules of your own that it needs, the
    git commit with the uncommitted changes, the executed cells, a digest over every cell of the data, its schema and
    profile, and a sample of at most 10,000 rows with the fitted object's own answers.

    Parameters
    ----------
    obj : object, str or pathlib.Path
        A fitted estimator or pipeline, an object with ``predict``, a function of a data frame, a scoring script, a
        torch module, an ONNX file, any file or any folder.
    name : str
        The model's name.
    data : DataFrame, array, str or pathlib.Path, optional, shape (n_samples, n_features)
        What it was fitted on. Without it there is no signature, and nothing to replay before a deploy.
    label : str, optional
        Column of `data` that holds the label.
    tags : mapping of str to str, optional
    assets : sequence of path, optional
        Files and folders that go with the model.
    reason : str, optional
        Why; kept in the journal.
    trust : bool, default False
        Load a foreign pickle in order to read its kind.

    Returns
    -------
    ModelVersion

    Raises
    ------
    InvalidInput
        The name, data or label can't be taken, or the estimator is not fitted.
    InvalidObject
        The object is of no known kind, or a part of it can't be pickled.

    Examples
    --------
    >>> version = register_model(pipeline, name="flights", data=train, label="late")  # doctest: +SKIP
    """
    from nbmlops.capture import capture
    from nbmlops.registry import Registration

    check_reason("register_model", reason)
    if isinstance(obj, Entry):
        data, assets = (obj.data if data is None else data), (*obj.assets, *(assets or ()))
        obj = obj.model
    check_name(name)
    session = reconciled()
    frame = read_data(data)
    stage("capturing the environment, the notebook and the data")
    captured = capture(obj, frame, root=session.workspace.root)
    with session.journal.operation("model.registered", f"model/{name}", {"name": name}, reason=reason) as operation:
        stage("writing the model")
        registration = Registration(
            name=name,
            captured=captured,
            data=frame,
            label=label or "",
            tags=pairs(tags or {}),
            assets=tuple(assets or ()),
            trust=trust,
            operation=operation.id,
        )
        version = session.registry.register(obj, registration)
        operation.done(f"model/{version.reference}", **facts(version))
    return version


def facts(version: ModelVersion) -> dict[str, object]:
    """Return what the journal keeps of a version."""
    kept = ("name", "version", "run_id", "digest", "environment_id", "kind", "label", "tags", "warnings")
    data = version.to_dict()
    return {key: data[key] for key in kept}
