"""nbmlops as a user gets it: registered, converted, proved, and served at the public port of a real endpoint.

Every variant has its supervisor, asks for its token and keeps its metrics; data capture is on except where its price is
what is measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import nbmlops
from nbmlops.deployment import EndpointSpec, LocalTarget, Resources
from nbmlops.deployment.spec import ArmSpec, Capture
from nbmlops.packaging import Bundle, build_bundle
from nbmlops.workflows.session import Session, current

from . import models, payloads
from .peers import JSON, Files
from .processes import Running, first_answer

MODELS = ("boosting", "forest")


@dataclass(frozen=True)
class Ours:
    """One way to deploy with nbmlops.

    Attributes
    ----------
    name : str
    runtime : str
        ``onnx`` or ``sklearn``.
    model : str
        ``boosting`` or ``forest``.
    capture : bool
        Whether the requests are kept.
    arms : int
        Versions that share the traffic evenly.
    workers : int
        Scorer processes.
    """

    name: str
    runtime: str = "onnx"
    model: str = "boosting"
    capture: bool = True
    arms: int = 1
    workers: int = 1
    library: str = "nbmlops"
    environment: str = ""
    batching: bool = True
    installed: bool = True

    def bodies(self, data: pd.DataFrame) -> list[bytes]:
        """Return one request body a row."""
        return payloads.mlflow_split(data)

    def labels(self, answer: Any) -> list[int]:
        """Return the labels in an answer's JSON."""
        return list(answer["predictions"])

    @contextlib.contextmanager
    def serve(self, files: Files) -> Iterator[Running]:
        """Deploy it; yield it when it has scored a row, and take it down afterwards."""
        session = current()
        target = LocalTarget(session.workspace, session.journal)
        plan = target.plan(self._spec(session))
        name, log = plan.spec.endpoint, files.folder / "none"
        began = time.perf_counter()
        status = target.apply(plan)
        try:
            headers = JSON | {"authorization": f"Bearer {target.token(name)}"}
            url = f"{status.url}/invocations"
            body = self.bodies(models.table(1))[0]
            seconds = first_answer(url, headers, body, began=began, log=log)
            yield Running(url, headers, (status.pid or 0,), seconds)
        finally:
            target.delete(name)

    def _spec(self, session: Session) -> EndpointSpec:
        name = self.name.replace(", ", "-").replace(" ", "-")
        arms = tuple(
            ArmSpec(
                version=str(version),
                model=self.model,
                bundle=bundle.path,
                digest=bundle.digest,
                runtime=bundle.runtime,
                weight=100 / self.arms,
            )
            for version, bundle in ((one, bundle_of(session, self, one)) for one in range(1, self.arms + 1))
        )
        return EndpointSpec(
            endpoint=name,
            model=self.model,
            arms=arms,
            resources=Resources(workers=self.workers),
            capture=Capture() if self.capture else None,
        )


def bundle_of(session: Session, variant: Ours, version: int = 1) -> Bundle:
    """Return the bundle that a deploy makes, or that of the fitted object where ONNX is not wanted."""
    ref = f"{variant.model}/{version}"
    if variant.runtime == "sklearn":
        return build_bundle(session.registry, ref, workspace=session.workspace)
    plan = nbmlops.deploy(ref, plan=True)
    (arm,) = plan.spec.arms
    if arm.runtime != "onnx":
        raise SystemExit(f"{ref} was not converted: {arm.why}")
    return Bundle(arm.bundle, arm.digest, arm.runtime, {})


def register(folder: Path) -> Files:
    """Fit and register the models in a workspace of their own; return them as files for everybody.

    The ONNX file is the one that nbmlops serves. A second version of the boosted model is there to share its traffic.
    """
    import joblib

    fitted = {kind: models.fitted(kind) for kind in MODELS}
    data = models.table(models.TRAINING_ROWS)
    for kind, model in fitted.items():
        nbmlops.register_model(model, name=kind, data=data)
    nbmlops.register_model(models.fitted("boosting", seed=1), name="boosting", data=data)
    session = current()
    onnx, pickle = {}, {}
    for kind, model in fitted.items():
        pickle[kind] = folder / f"{kind}.joblib"
        joblib.dump(model, pickle[kind])
        onnx[kind] = bundle_of(session, Ours(kind, model=kind)).path / "model.onnx"
    return Files(folder, onnx, pickle, fitted)


ONNX = Ours("nbmlops, ONNX")
VARIANTS = (
    ONNX,
    Ours("nbmlops, scikit-learn", runtime="sklearn"),
    Ours("nbmlops, forest", model="forest"),
    dataclasses.replace(ONNX, name="nbmlops, ONNX, capture off", capture=False),
    dataclasses.replace(ONNX, name="nbmlops, ONNX, two versions", arms=2),
    dataclasses.replace(ONNX, name="nbmlops, ONNX, 2 workers", workers=2),
)
