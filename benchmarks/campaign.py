"""Kill processes of a live endpoint at random under load, round after round, and check what was promised for it.

``python benchmarks/campaign.py [--rounds N] [--seed N] [--out FOLDER]`` writes ``campaign.md``; the exit code is 1 if a
promise was broken.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from faults.rounds import BUSY_S, KINDS, MODES, TOLD_S, WINDOW_S, Round, run
from faults.world import World
from harness import machine

HERE = Path(__file__).resolve().parent


def schedule(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield kind and mode of each round: every kind once, in another order each time, in both modes by turns."""
    for turn in itertools.count():
        kinds = chance.sample(KINDS, len(KINDS))
        for kind in kinds:
            yield kind, MODES[(KINDS.index(kind) + turn) % len(MODES)]


def campaign(rounds: int, seed: int) -> list[Round]:
    """Run so many rounds on one endpoint, then take it down; what it leaves is a broken promise of the last round."""
    chance, done = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="nbmlops-campaign-") as folder:
        world = World(Path(folder) / "project")
        try:
            for kind, mode in itertools.islice(schedule(chance), rounds):
                done.append(run(world, kind, mode, chance=chance))
                print(line(len(done), done[-1]), flush=True)
            done[-1].broken += world.leave()
        finally:
            world.abandon()
    return done


def line(number: int, made: Round) -> str:
    """Return the row of one round."""
    met = ", ".join(f"{count} {what}" for what, count in sorted(made.troubles.items())) or "none"
    times = [f"{seconds:.2f}" if seconds is not None else "never" for seconds in (made.told_s, made.back_s)]
    lost = f"{made.lost} ({made.lost_s:.2f} s)" if made.lost else "0"
    verdict = "; ".join(dict.fromkeys(made.broken)) or "kept"
    cells = [str(number), made.kind, made.mode, f"{made.answered:,}", met, *times, lost, verdict]
    return f"| {' | '.join(cells)} |"


def report(done: list[Round], seed: int) -> str:
    """Return the page."""
    broken = sum(bool(made.broken) for made in done)
    strict = sum(made.answered for made in done if made.mode == "strict")
    return f"""# Processes killed under load

{len(done)} rounds with seed {seed} on one endpoint: two scorers, each with a worker process; half of the traffic goes
to an ONNX model in the scorers, half to a pickled one in the workers; four connections send without a pause. In each
round one kind of process is killed with SIGKILL at a random moment: a scorer, a worker, the supervisor, another
kernel that is moving the traffic, or every process of the endpoint at once. {machine()}.

What has to hold, and is checked in each round:

- No answer is wrong. Where capture is strict, every answer that a client got was kept ({strict:,} of them here). Where
  it is not, an answer may be lost that was given less than {WINDOW_S:g} s (on a busy machine {BUSY_S:g} s more) before
  the kill, and only with the scorer that gave it.
- No connection is refused while the supervisor lives. What was in flight in a killed scorer breaks. What
  was in flight in a killed worker is sent to the next one, and gets 503 only where that takes over 5 s.
- Within {TOLD_S:g} s a status says that it is not healthy, or shows the process replaced. A supervisor is restarted by
  hand, on the same port.
- No process is there that does not belong to the endpoint; in the end no process, port, socket or folder is left.

{len(done) - broken} of {len(done)} rounds kept all of it.

| Round | Killed | Capture | Answered | Other requests | Told after (s) | Back after (s) | Lost (oldest) | Promises |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(line(number, made) for number, made in enumerate(done, 1))}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE.parent / "build/benchmarks")
    options = parser.parse_args()
    began = time.monotonic()
    done = campaign(options.rounds, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "campaign.md").write_text(report(done, options.seed))
    print(f"{len(done)} rounds in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return int(any(made.broken for made in done))


if __name__ == "__main__":
    raise SystemExit(main())
