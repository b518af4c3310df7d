"""A served model in this process, for one request: the very bundle, its own modules, its assets."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from nbmlops.core.display import plain_text
from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.workflows.kept import Kept

if TYPE_CHECKING:
    from nbmlops.serving.arms import Arm
    from nbmlops.serving.documents import ScoringRequest
    from nbmlops.serving.inputs import ModelInput
    from nbmlops.serving.wires import Wire


OIP = "oip"


class Served:
    """A bundle's model, decoder and protocol, as a scorer holds them."""

    def __init__(self, arm: Arm, wire: Wire, runtime: Any) -> None:
        self.arm = arm
        self.wire = wire
        self.runtime = runtime

    def decode(self, kept: Kept) -> ScoringRequest:
        """Return the request, decoded as the server did.

        Raises
        ------
        InvalidInput
            When the model does not take it.
        """
        from nbmlops.serving.errors import RequestError
        from nbmlops.serving.exchange import Head

        headers = {name.encode(): value.encode("latin-1") for name, value in kept.headers.items()}
        try:
            return self.wire.decode(self.arm, Head("POST", kept.path, "", headers), kept.body)
        except RequestError as error:
            where = f" (at {error.field})" if error.field else ""
            raise InvalidInput(f"the request is refused: {error.message}{where}", expected=error.expected) from error

    def assemble(self, request: ScoringRequest) -> ModelInput:
        """Return what the runtime takes."""
        return self.arm.assemble([request.data])

    def call(self, request: ScoringRequest, data: ModelInput, *, prediction: str) -> bytes:
        """Return the body of the answer; whatever the model raises leaves as it is."""
        if request.params is None:
            outputs = self.runtime.predict(data, request.output)
        else:
            outputs = self.runtime.predict(data, request.output, request.params)
        return self.wire.encode(self.arm, request, outputs, prediction=prediction).body


@contextmanager
def served(kept: Kept) -> Iterator[Served]:
    """Load what answered a request; in the block its modules and assets are found as in the server.

    Raises
    ------
    Corrupt
        The bundle is gone, or is not what was packaged.
    """
    from nbmlops.serving.arms import load_arm
    from nbmlops.serving.assets import enter
    from nbmlops.serving.batching import ThreadBackend
    from nbmlops.serving.configuration import ArmConfig
    from nbmlops.serving.errors import ServingError

    members = list(kept.members)
    config = ArmConfig(kept.version, kept.model, kept.version, str(kept.bundle), members=members, combine=kept.combine)
    bundles = [Path(one.bundle) for one in members] or [kept.bundle]
    try:
        with _own_modules(bundles), tempfile.TemporaryDirectory() as folder, chdir("."):
            for bundle in bundles:
                enter(bundle, Path(folder))
            arm = load_arm(config)
            assert isinstance(arm.batcher.backend, ThreadBackend)
            yield Served(arm, _wire(kept), arm.batcher.backend.runtime)
    except ServingError as error:
        raise Corrupt(
            f"what answered it can't be loaded: {error}",
            hint=f"Deploy it again, then replay: %deploy {'+'.join(kept.references)}",
        ) from error


def _wire(kept: Kept) -> Wire:
    from nbmlops.serving.wires import MLFLOW

    if kept.wire == MLFLOW.name:
        return MLFLOW
    if kept.wire == OIP:
        made: Wire = import_module("nbmlops.serving.oip.wire").OipWire(kept.model)
        return made
    raise InvalidInput(f"it came in the protocol {kept.wire!r}", expected=f"{MLFLOW.name} or {OIP}")


@contextmanager
def _own_modules(bundles: list[Path]) -> Iterator[None]:
    """Import the bundles' modules from the bundles, and forget them afterwards: the notebook has its own, maybe newer.

    What runs keeps the modules that it came with.
    """
    code = [folder for bundle in bundles for folder in bundle.glob("model/code")]
    tops = {path.stem for folder in code for path in folder.iterdir() if path.suffix in ("", ".py")}
    aside = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}
    paths = list(sys.path)
    for name in aside:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.path[:] = paths
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in tops and _lies_in(module, code):
                del sys.modules[name]
        sys.modules.update(aside)


def _lies_in(module: ModuleType, folders: list[Path]) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", []))
    return any(Path(place).is_relative_to(folder) for place in places for folder in folders)


def from_the_model_on(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the server's own frames at its beginning."""
    from nbmlops.serving.failures import is_plumbing

    while trace is not None and trace.tb_next is not None and is_plumbing(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def rows_of(data: ModelInput, arm: Arm) -> Any:
    """Return what the model gets, as a DataFrame where it is a table or a matrix."""
    import pandas as pd

    from nbmlops.serving.inputs import Generic, Table, Tensor
    from nbmlops.serving.runtimes.frames import data_frame, generic_frame

    if isinstance(data, Table):
        return data_frame(data, arm.bundle.signature.columns or ())
    if isinstance(data, Generic):
        return generic_frame(data)
    if isinstance(data, Tensor):
        return pd.DataFrame(data.array) if data.array.ndim == 2 else data.array
    return dict(zip(data.names, data.arrays, strict=True))


def answer_of(kept: Kept, row: int) -> str:
    """Return what the caller got for one row, as text; nothing where that was not kept."""
    try:
        answered = json.loads(kept.answer)["predictions"][row]
    except (ValueError, LookupError, TypeError):
        return ""
    return plain_text(answered)
