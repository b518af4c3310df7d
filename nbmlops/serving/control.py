"""Carries out the orders to a scorer: configure, stats."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from .application import Application
from .arms import Arm, load_arm
from .configuration import ArmConfig, ServingConfig, parse_config
from .ensemble import EnsembleBackend
from .errors import ServingError, WorkerUnavailable
from .observations import Observations
from .pins import installed_for
from .remote import WorkerBackend
from .router import Router

CONNECT_S = 10.0


class Control:
    """Loads arms and swaps them into an application.

    Parameters
    ----------
    application : Application
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._retiring: set[asyncio.Task[None]] = set()

    async def configure(self, document: Any) -> dict[str, Any]:
        """Serve a configuration; on any error the one before stays in force untouched.

        Arms whose bundle and worker are the same stay loaded. Requests in flight finish on the arms they began with.

        Raises
        ------
        ServingError
        """
        return await self.apply(parse_config(document))

    async def apply(self, config: ServingConfig) -> dict[str, Any]:
        """Serve a configuration that was read already."""
        loop = asyncio.get_running_loop()
        current = self._application.router.arms if self._application.router else {}
        arms: list[Arm] = []
        fresh: list[Arm] = []
        try:
            for entry in config.arms:
                arm = _kept(current.get(entry.name), entry)
                if arm is None:
                    arm = await loop.run_in_executor(None, load_arm, entry)
                    fresh.append(arm)
                    await _connect(arm)
                arms.append(arm)
        except ServingError:
            for arm in fresh:
                await arm.close()
            raise
        self._swap(config, arms, current)
        return {"arms": [arm.description() for arm in arms]}

    def _swap(self, config: ServingConfig, arms: list[Arm], current: dict[str, Arm]) -> None:
        if config.guardrails is not None and self._weights(config) != self._weights(self._application.config):
            for arm in arms:  # versions are judged by what they did at one split
                arm.observations = Observations()
        for arm, entry in zip(arms, config.arms, strict=True):
            arm.config = entry
        self._application.configure(config, Router(arms, config.salt))
        for arm in current.values():
            if arm not in arms:
                task = asyncio.get_running_loop().create_task(arm.close())
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    @staticmethod
    def _weights(config: ServingConfig | None) -> dict[str, float]:
        return {arm.name: arm.weight for arm in config.arms} if config else {}

    @staticmethod
    async def installed(bundle: Any) -> dict[str, Any]:
        """Return what is installed in this process for the lock of a bundle, by its path.

        Raises
        ------
        ServingError
        """
        try:
            # In a thread: what is looked up for the first time takes milliseconds, and requests do not wait for that.
            found = await asyncio.get_running_loop().run_in_executor(None, installed_for, Path(bundle))
            return {"installed": msgspec.to_builtins(found)}
        except (OSError, TypeError, msgspec.MsgspecError) as error:
            raise ServingError("invalid_bundle", f"{bundle} holds no readable bundle.json ({error})") from error

    def look(self) -> tuple[ServingConfig, dict[str, Observations]]:
        """Return the configuration in force and what its arms counted at this split of traffic."""
        application = self._application
        assert application.config is not None
        assert application.router is not None
        return application.config, {name: arm.observations for name, arm in application.router.arms.items()}

    def stats(self) -> dict[str, Any]:
        """Return what a supervisor wants to know.

        `idle_s` is the time since the last scoring request, in seconds; `retiring` counts arms that were swapped out
        and still have requests in flight, so that their workers are needed.
        """
        application = self._application
        arms = application.router.arms if application.router else {}
        return {
            "in_flight": application.in_flight,
            "retiring": len(self._retiring),
            "idle_s": monotonic() - application.metrics.last_request,
            "rss_bytes": application.metrics.rss_bytes(),
            "requests": sum(arm.metrics.requests.total() for arm in arms.values())
            + application.metrics.unrouted.total(),
            "errors": sum(arm.metrics.errors.total() for arm in arms.values()) + application.metrics.unrouted.total(),
            "arms": {
                name: {
                    "requests": arm.metrics.requests.total(),
                    "errors": arm.metrics.errors.total(),
                    "in_flight": arm.in_flight,
                    "weight": arm.config.weight,
                    "ready": arm.ready,
                    "observations": arm.observations.to_dict(),
                    "environment": arm.environment(),
                }
                for name, arm in arms.items()
            },
            "comparisons": {name: one.to_dict() for name, one in application.notes.shadows.comparisons.items()},
            "capture": application.notes.spool.figures() if application.notes.spool else None,
        }

    async def close(self) -> None:
        """Release all arms."""
        arms = self._application.router.arms.values() if self._application.router else []
        self._application.metrics.close()
        await asyncio.get_running_loop().run_in_executor(None, self._application.notes.close)
        await asyncio.gather(*(arm.close() for arm in arms), *self._retiring)


def _kept(arm: Arm | None, entry: ArmConfig) -> Arm | None:
    """Return the arm that is loaded already, if it is the one that `entry` asks for."""
    return arm if arm is not None and _loaded(arm.config) == _loaded(entry) else None


def _loaded(entry: ArmConfig) -> tuple[object, ...]:
    """Return what of an arm can't be changed while it is loaded."""
    return entry.bundle, entry.socket, entry.members, entry.combine


async def _connect(arm: Arm) -> None:
    backend = arm.batcher.backend
    for one in backend.members if isinstance(backend, EnsembleBackend) else [backend]:
        if isinstance(one, WorkerBackend):
            try:
                await one.connect(CONNECT_S)
            except WorkerUnavailable as error:
                raise ServingError("worker_unreachable", str(error)) from error
