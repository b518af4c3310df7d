"""From measured levels to cores, memory and workers, by a rule that can be said in three sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nbmlops.profiling.report import Level, Recommendation

PROMPT_MS = 250.0
"""p95 that a loaded endpoint should keep."""
HEADROOM = 1.5
MEMORY_STEP = 64  # MiB
CORE_STEP = 0.5


def recommend(levels: Sequence[Level], peak_rss_mib: float, machine_cores: int) -> Recommendation:
    """Return what to deploy with.

    Parameters
    ----------
    levels : sequence of Level
        Measured with one worker.
    peak_rss_mib : float, MiB
    machine_cores : int
        Neither workers nor cores exceed them.
    """
    busiest = max(levels, key=lambda level: level.concurrency)
    workers = min(max(math.ceil(busiest.p95_ms / PROMPT_MS), 1), machine_cores)
    used = max(level.cores for level in levels)
    cores = min(max(math.ceil(workers * used / CORE_STEP - 0.1), 1) * CORE_STEP, float(machine_cores))
    memory = math.ceil(peak_rss_mib * HEADROOM / MEMORY_STEP) * MEMORY_STEP
    rule = (
        f"Workers: as many as keep p95 at {busiest.concurrency} connections below {PROMPT_MS:.0f} ms (it was "
        f"{busiest.p95_ms:.1f} ms with one), at most one for each of this machine's {machine_cores} cores. "
        f"Cores: what one worker used at most ({used:.2f}) for each worker, to the next half. "
        f"Memory: {HEADROOM} times the most that was seen ({peak_rss_mib:.0f} MiB), to the next {MEMORY_STEP} MiB."
    )
    return Recommendation(cores=cores, memory_mib=memory, workers=workers, rule=rule)
