"""A workspace with bundles and spool files, as scorers leave them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nbmlops.core.workspace import Workspace
from nbmlops.monitoring import CollectedData
from nbmlops.serving.segments import Record, Segment, frame_of
from tests.serving.bundles import SIGNATURE, write

START = 1_790_000_000_000_000_000  # 2026-09-21T14:13:20Z, as nanoseconds


@dataclass
class World:
    """One endpoint's collected data, and what makes it."""

    workspace: Workspace
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.workspace.collected / "flights"

    @property
    def bundles(self) -> Path:
        return self.workspace.bundles

    def bundle(self, signature: dict[str, Any]) -> str:
        """Write a bundle with a signature and return its digest."""
        key = json.dumps(signature, sort_keys=True)
        if key not in self.digests:
            made = write(self.bundles / "new", {}, runtime="onnx", model={"path": "model.onnx"}, signature=signature)
            name = hashlib.sha256((made / "bundle.json").read_bytes()).hexdigest()
            shutil.move(made, self.bundles / name)
            self.digests[key] = f"sha256:{name}"
        return self.digests[key]

    def record(self, number: int, body: Any, answer: Any, signature: dict[str, Any] = SIGNATURE, **more: Any) -> Record:
        """Return one answered request, a second after that of the number before."""
        facts = {
            "prediction": f"0190a1b2-0000-7000-8000-{number:012d}",
            "time_ns": START + number * 1_000_000_000,
            "arm": "1",
            "version": "1",
            "bundle": self.bundle(signature),
            "wire": "mlflow",
            "kind": "application/json",
            "body": body if isinstance(body, bytes) else json.dumps(body).encode(),
            "answer": answer if isinstance(answer, bytes) else json.dumps(answer).encode(),
            "latency_s": 0.002,
        }
        return Record(**facts | more)

    def flight(self, number: int, rows: int = 1, **more: Any) -> Record:
        """Return a request of `rows` flights, with distances that tell rows apart."""
        data = [[number + row / 10, 7, "AA"] for row in range(rows)]
        body = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": data}}
        answer = more.pop("answer", {"predictions": [number % 2] * rows})
        return self.record(number, body, answer, **more)

    def spool(self, *frames: Iterable[Record]) -> Segment:
        """Write a spool file, one frame after the other; close it to finish it."""
        segment = Segment(self.folder, "scorer")
        for frame in frames:
            segment.append(frame_of(list(frame)))
        return segment

    def collected(self, **how: Any) -> pd.DataFrame:
        return CollectedData.of(self.workspace, "flights").frame(**how)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / ".nbmlops/bundles").mkdir(parents=True)
    return World(Workspace(tmp_path))
