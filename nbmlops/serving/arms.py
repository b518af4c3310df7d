"""An arm: one loaded model version, from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .batching import Backend, Batcher, ThreadBackend
from .bundle import Bundle, read_bundle
from .configuration import ArmConfig, MemberConfig
from .decoding import FrameDecoder, make_decoder
from .ensemble import EnsembleBackend, EnsembleRuntime, combination
from .inputs import Decoded, Generic, ModelInput, Rows, stack
from .metrics import ArmMetrics
from .observations import Observations
from .oip.wire import TensorDialect
from .outputs import AnswerEncoder
from .pins import Installed, installed_for
from .remote import WorkerBackend
from .runtimes import Runtime, make_runtime


class Arm:
    """One model version that answers requests.

    Parameters
    ----------
    config : ArmConfig
    bundle : Bundle
    backend : Backend
    quick : Runtime, optional
        The runtime to call on the event loop's own thread.
    members : mapping of str to pathlib.Path
        The bundles of an ensemble's members.
    """

    def __init__(
        self,
        config: ArmConfig,
        bundle: Bundle,
        backend: Backend,
        *,
        quick: Runtime | None = None,
        members: Mapping[str, Path] | None = None,
    ) -> None:
        self.config = config
        self.bundle = bundle
        self._loaded = members or {f"{config.model}/{config.version}": bundle.path}
        self.decoder = make_decoder(bundle.signature)
        self.dialect = TensorDialect(bundle)
        self.metrics = ArmMetrics()
        self.observations = Observations()
        self.in_flight = 0
        self.header = re.sub(r"[^ -~]", "?", config.name).encode()  # what no header may hold
        self.classes = bundle.signature.classes
        self.answer = AnswerEncoder(bundle.signature.classes)  # writes the body of MLflow's protocol
        self.batcher = Batcher(backend, self.assemble, quick=quick, observe=self.observe_batch)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered now."""
        return getattr(self.batcher.backend, "connected", True)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The values of ``params.output`` that this model can answer."""
        return self.batcher.backend.outputs

    def observe_batch(self, rows: int) -> None:
        """Count one call of the model."""
        self.metrics.batches.observe(rows)

    def assemble(self, batch: Sequence[Decoded]) -> ModelInput:
        """Join the data of several requests into what a runtime takes."""
        first = batch[0]
        if isinstance(first, Rows):
            assert isinstance(self.decoder, FrameDecoder)
            return self.decoder.tabulate(batch)  # type: ignore[arg-type]
        return first if isinstance(first, Generic) else stack(batch)  # type: ignore[arg-type]

    async def close(self) -> None:
        """Release the model once nothing is in flight on it."""
        while self.in_flight:
            await asyncio.sleep(0.05)
        await self.batcher.close()

    def environments(self) -> dict[str, Installed]:
        """Return of each model that is loaded what is installed in the process that runs it."""
        backend = self.batcher.backend
        backends = backend.members if isinstance(backend, EnsembleBackend) else [backend] * len(self._loaded)
        return {
            model: (one.installed or Installed()) if isinstance(one, WorkerBackend) else installed_for(path)
            for (model, path), one in zip(self._loaded.items(), backends, strict=True)
        }

    def environment(self) -> dict[str, Any]:
        """Return the ids of its environments, empty where members have several, and what differs from the locks."""
        found = self.environments()
        differs = [f"{model}: {one}" for model, at in found.items() for one in at.differs]
        told = {"environment_id": _one({one.environment_id for one in found.values()})}
        told["serving_environment_id"] = _one({one.serving_environment_id for one in found.values()})
        return {**told, "locked": _one({one.locked for one in found.values()}), "differs": differs}

    def description(self) -> dict[str, Any]:
        """Return what ``/version`` says of the arm."""
        manifest = self.bundle.manifest
        return {
            "name": self.config.name,
            "model": self.config.model,
            "version": self.config.version,
            "weight": self.config.weight,
            "runtime": manifest.runtime,
            "provider": self.bundle.provider,
            "bundle": self.bundle.digest,
            **self.environment(),
            "outputs": self.outputs,
            "ready": self.ready,
            "members": [f"{one.model}/{one.version}" for one in self.config.members],
        }


def load_arm(config: ArmConfig) -> Arm:
    """Read the bundle of an arm and load its model, here or through its worker.

    Raises
    ------
    ServingError
    """
    if config.members:
        return _load_ensemble(config)
    bundle = read_bundle(Path(config.bundle))
    if config.socket is not None:
        return Arm(config, bundle, WorkerBackend(config.socket, batches=bundle.manifest.runtime != "pyfunc"))
    runtime = make_runtime(bundle)
    return Arm(config, bundle, ThreadBackend(runtime), quick=runtime if runtime.inline else None)


def _load_ensemble(config: ArmConfig) -> Arm:
    members = config.members
    bundles = [read_bundle(Path(member.bundle)) for member in members]
    made = combination(config.combine, [one.weight for one in members], [bundle.signature for bundle in bundles])
    bundle = replace(bundles[0], signature=made.signature)
    paths = {f"{member.model}/{member.version}": one.path for member, one in zip(members, bundles, strict=True)}
    if all(member.socket is None for member in members):
        runtime = EnsembleRuntime([make_runtime(one) for one in bundles], made)
        return Arm(config, bundle, ThreadBackend(runtime), quick=runtime if runtime.inline else None, members=paths)
    backends = [_member_backend(member, one) for member, one in zip(members, bundles, strict=True)]
    return Arm(config, bundle, EnsembleBackend(backends, made), members=paths)


def _one(ids: set[str]) -> str:
    return next(iter(ids)) if len(ids) == 1 else ""


def _member_backend(member: MemberConfig, bundle: Bundle) -> Backend:
    if member.socket is None:
        return ThreadBackend(make_runtime(bundle))
    return WorkerBackend(member.socket, batches=bundle.manifest.runtime != "pyfunc")
