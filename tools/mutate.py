"""Take out each guard that tests/mutants/*.toml names, one at a time; the tests named with it must notice.

Every mutant is tried on a copy of the tree, so that the checkout is never touched. A mutant that its tests do not
notice, a text that is not found exactly once, and a test that fails without any mutation are failures.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 300  # seconds for one run of pytest
TESTS_FAILED = 1  # pytest's exit code; others mean that the tests could not be run at all


@dataclass(frozen=True)
class Mutant:
    """A guard taken out: the text, what stands in its place and the tests that must fail."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the tests said about one mutant."""

    mutant: Mutant
    verdict: str  # "killed", "SURVIVED", "BROKEN"
    seconds: float
    detail: str = ""


def read_mutants(folder: Path) -> list[Mutant]:
    """Read every mutant; a name may be used once only."""
    mutants = []
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            tests = tuple(entry.pop("tests"))
            mutants.append(Mutant(tests=tests, **entry))
    names = [mutant.name for mutant in mutants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        sys.exit(f"mutants with the same name: {', '.join(twice)}")
    return mutants


def copy_tree(destination: Path) -> Path:
    """Copy what git tracks, and what it would, into `destination`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


def run_tests(tree: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run `tests` in `tree`; return pytest's exit code and the end of what it said."""
    # Without compiled files: two texts of one size, written within a second, would share one.
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"no answer after {TIMEOUT} s"
    return done.returncode, (done.stdout + done.stderr)[-1500:]


def try_mutant(tree: Path, mutant: Mutant) -> Outcome:
    """Apply one mutant in `tree`, run its tests and put the file back."""
    started = time.monotonic()
    path = tree / mutant.file
    source = path.read_text() if path.is_file() else ""
    found = source.count(mutant.find)
    if found != 1:
        return Outcome(mutant, "BROKEN", 0.0, f"its text is found {found} times in {mutant.file}, expected once")
    path.write_text(source.replace(mutant.find, mutant.replace))
    try:
        code, said = run_tests(tree, mutant.tests)
    finally:
        path.write_text(source)
    seconds = time.monotonic() - started
    if code == TESTS_FAILED:
        return Outcome(mutant, "killed", seconds)
    if code == 0:
        return Outcome(mutant, "SURVIVED", seconds, f"{', '.join(mutant.tests)} still pass")
    return Outcome(mutant, "BROKEN", seconds, f"pytest ended with {code}: {said}")


def try_all(mutants: list[Mutant], *, jobs: int) -> list[Outcome]:
    """Try the mutants in `jobs` copies of the tree side by side, after a run without any mutation."""
    with tempfile.TemporaryDirectory(prefix="nbmlops-mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            trees.put(copy_tree(Path(folder) / str(number)))
        first = trees.get()
        code, said = run_tests(first, tuple(sorted({test for mutant in mutants for test in mutant.tests})))
        trees.put(first)
        if code != 0:
            sys.exit(f"the tests named by the mutants do not pass as they are:\n{said}")

        def attempt(mutant: Mutant) -> Outcome:
            tree = trees.get()
            try:
                outcome = try_mutant(tree, mutant)
            finally:
                trees.put(tree)
            print(f"{outcome.verdict:9} {outcome.seconds:5.1f} s  {mutant.name}", flush=True)
            return outcome

        return list(pool.map(attempt, mutants))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return 1 unless every mutant was noticed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="try N of them, drawn by --seed (0: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose name or file contains TEXT")
    options = parser.parse_args(arguments)
    mutants = [one for one in read_mutants(ROOT / "tests/mutants") if options.only in f"{one.name} {one.file}"]
    if 0 < options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    if not mutants:
        sys.exit("no mutant to try in tests/mutants/")
    outcomes = try_all(mutants, jobs=options.jobs)
    missed = [outcome for outcome in outcomes if outcome.verdict != "killed"]
    for outcome in missed:
        print(f"\n{outcome.verdict}: {outcome.mutant.name} ({outcome.mutant.file})\n{outcome.detail}", file=sys.stderr)
    print(f"\n{len(outcomes) - len(missed)} of {len(outcomes)} guards are held by their tests")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
