"""Runs of ``%track``: one fit, logged in as few calls as MLflow allows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import frozen_map, plain
from nbmlops.core.settings import settings
from nbmlops.registry import dataset
from nbmlops.registry.records import ARTIFACTS, PREFIX

if TYPE_CHECKING:
    from nbmlops.capture import Captured
    from nbmlops.registry.tracking import Tracking

LONGEST = 6000  # characters in a parameter's value: MLflow's limit
MOST = 100  # parameters in one call: MLflow's limit, too


@dataclass(frozen=True)
class TrackedFit:
    """One call of ``fit``.

    Attributes
    ----------
    estimator : str
        Name of its class.
    params : mapping
        Parameters, as ``get_params`` gives them.
    metrics : mapping of str to float
    captured : Captured or None
        Environment, cells and data of the fit.
    tags : mapping of str to str
    status : str
        How it ended: ``FINISHED``, ``FAILED`` or ``KILLED``.
    """

    estimator: str
    params: Mapping[str, Any] = field(default_factory=frozen_map)
    metrics: Mapping[str, float] = field(default_factory=frozen_map)
    captured: Captured | None = None
    tags: Mapping[str, str] = field(default_factory=frozen_map)
    status: str = "FINISHED"


def log(tracking: Tracking, fit: TrackedFit) -> str:
    """Log a fit as a run that has ended and return its identifier."""
    tags = {"mlflow.user": settings().actor, f"{PREFIX}estimator": fit.estimator, **fit.tags}
    captured = fit.captured
    if captured is not None:
        tags[f"{PREFIX}environment_id"] = captured.environment.id
        if captured.data is not None:
            tags[f"{PREFIX}data_digest"] = captured.data.digest
    run_id = tracking.start_run(fit.estimator, tags)
    params = [(key, _shortened(value)) for key, value in fit.params.items()]
    tracking.log(run_id, params=dict(params[:MOST]), metrics=fit.metrics)
    for start in range(MOST, len(params), MOST):
        tracking.log(run_id, params=dict(params[start : start + MOST]))
    if captured is not None:
        if captured.data is not None:
            tracking.log_dataset(run_id, dataset.describe(captured.data))
        with tempfile.TemporaryDirectory(prefix="nbmlops-") as folder:
            (Path(folder) / "captured.json").write_text(json.dumps(plain(captured)))
            tracking.upload(run_id, Path(folder), ARTIFACTS)
    tracking.finish_run(run_id, fit.status)
    return run_id


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
