"""One round: load, a process that is killed, and each promise checked."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from .load import Load
from .world import NAME, World, kill, wait_until

KINDS = ("scorer", "worker", "supervisor", "kernel", "everything")
MODES = ("strict", "on")
TOLD_S = 5.0  # seconds until a status tells the truth again
BACK_S = 60.0  # seconds that bringing back what was killed may take on a busy machine
WINDOW_S = 0.2  # what a kill may lose where capture is not strict
BUSY_S = 0.8  # what a busy machine may add to it
WARM_UP = 60  # answers before something is killed, and after it is back
UNHEALTHY = "503 worker_unavailable"
ENDS_ALL = ("supervisor", "everything")


@dataclass
class Round:
    """What came of one round.

    Attributes
    ----------
    kind, mode : str
        What was killed; the mode of capture.
    answered : int
        Requests answered with a prediction.
    troubles : dict of str to int
        All other requests: ``broken`` connections, ``refused`` ones, statuses.
    told_s, back_s : float or None, seconds
        From the kill until a status told of it (or showed it replaced), and until all processes ran again.
    lost : int
        Answers that were not kept.
    lost_s : float, seconds
        How long before the kill the earliest of them had been given.
    broken : list of str
        Promises that were not kept.
    """

    kind: str
    mode: str
    answered: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    told_s: float | None = None
    back_s: float | None = None
    lost: int = 0
    lost_s: float = 0.0
    broken: list[str] = field(default_factory=list)

    def expect(self, kept: bool, promise: str) -> None:
        """Note a promise that was not kept."""
        if not kept:
            self.broken.append(promise)


def run(world: World, kind: str, mode: str, *, chance: random.Random) -> Round:
    """Run a round of one kind."""
    made = Round(kind, mode)
    world.deploy(mode)
    began = time.time()
    with world.load() as load:
        load.more(WARM_UP)
        killed, truth = _FAULTS[kind](world, chance)
        since = time.monotonic()
        made.told_s = wait_until(truth, TOLD_S)
        made.expect(made.told_s is not None, f"a status does not tell of it within {TOLD_S:g} s")
        if kind in ENDS_ALL:
            world.target.restart(NAME)
        whole = wait_until(world.is_whole, BACK_S)
        made.expect(whole is not None, f"it is not as it was within {BACK_S:g} s")
        made.back_s = time.monotonic() - since
        back = time.time()
        load.more(WARM_UP)
    _judge_answers(made, load, killed=killed, back=back)
    _judge_kept(made, world, load, began=began, killed=killed)
    return made


def _judge_answers(made: Round, load: Load, *, killed: float, back: float) -> None:
    made.answered, made.troubles = len(load.answers), load.told()
    made.broken += load.wrong
    for trouble in load.troubles:
        allowed = {"broken", UNHEALTHY, *(["refused"] if made.kind in ENDS_ALL else [])}
        in_time = killed <= trouble.at <= back + BUSY_S
        made.expect(
            trouble.what in allowed and in_time and made.kind != "kernel",
            f"a request met {trouble.what!r} {trouble.at - killed:+.2f} s from the kill",
        )


def _judge_kept(made: Round, world: World, load: Load, *, began: float, killed: float) -> None:
    """Compare what the clients were answered with what was collected."""

    def missing() -> set[str]:
        return {answer.prediction for answer in load.answers} - world.collected(began).keys()

    if made.mode != "strict":
        wait_until(lambda: not missing(), 2 * WINDOW_S + BUSY_S)
    lost = missing()
    ages = [killed - answer.at for answer in load.answers if answer.prediction in lost]
    made.lost, made.lost_s = len(lost), max(ages, default=0.0)
    made.expect(all(world.collected(began).values()), "a row was kept with another answer")
    if made.mode == "strict" or made.kind in ("worker", "kernel"):
        made.expect(not lost, f"{len(lost)} acknowledged records are lost")
    late = [age for age in ages if not -BUSY_S <= age <= WINDOW_S + BUSY_S]
    made.expect(not late, f"{len(late)} records are lost outside the window: {max(late, default=0.0):.2f} s old")


def _pause(chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 1.0))


Fault = Callable[[World, random.Random], tuple[float, Callable[[], bool]]]
"""Kills something; returns when, and what must hold of a status from soon after."""


def _child(part: str) -> Fault:
    def fault(world: World, chance: random.Random) -> tuple[float, Callable[[], bool]]:
        victims = world.victims(part)
        _pause(chance)
        killed, pid = kill(victims, chance)

        def told() -> bool:
            status = world.status()
            return status.health != "healthy" or pid not in status.pids

        return killed, told

    return fault


def _supervisor(world: World, chance: random.Random) -> tuple[float, Callable[[], bool]]:
    pid = world.status().pid
    assert pid is not None
    _pause(chance)
    killed, _ = kill([pid], chance)
    return killed, lambda: world.status().health == "down"


def _kernel(world: World, chance: random.Random) -> tuple[float, Callable[[], bool]]:
    """Kill a kernel that is changing the endpoint: another one finds it as it was or as it shall be, and goes on."""
    process = world.kernel()
    _pause(chance)
    killed = time.time()
    process.kill()
    process.communicate()

    def told() -> bool:
        status, spec = world.status(), world.target.spec(NAME)
        return spec is not None and status.traffic == spec.traffic and status.health == "healthy"

    return killed, told


def _everything(world: World, chance: random.Random) -> tuple[float, Callable[[], bool]]:
    status = world.status()
    _pause(chance)
    killed = time.time()
    for pid in (status.pid, *status.pids):
        if pid is not None:
            psutil.Process(pid).kill()
    return killed, lambda: world.status().health == "down"


_FAULTS: dict[str, Fault] = {
    "scorer": _child("serving.scorer"),
    "worker": _child("serving.worker"),
    "supervisor": _supervisor,
    "kernel": _kernel,
    "everything": _everything,
}
