"""An explainer in a process of its own: shap holds the interpreter while it works, and takes seconds to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbmlops.core.progress import stage, stages
from nbmlops.explanation.seam import EXPLAINER_ERRORS, Explainer, Part, Prepared
from nbmlops.explanation.subject import Subject

ASKED, FOUND = "asked.pkl", "found.pkl"
START = 120.0  # seconds that importing and preparing may take beyond the time for the work


def apart(explainer: Explainer, subject: Subject, seconds: float) -> tuple[Part, Prepared]:
    """Do what `bounded` does, in a process of its own that is gone afterwards, whatever happens.

    Raises
    ------
    RuntimeError
        The explainer failed there, or took far longer than it was given.
    """
    import cloudpickle

    stage(f"explaining: {explainer.name}, in a process of its own")
    with tempfile.TemporaryDirectory(prefix="nbmlops-") as name:  # of mode 0700, as the rows are the user's
        folder = Path(name)
        (folder / ASKED).write_bytes(cloudpickle.dumps((explainer, subject, seconds)))
        failure = _run(folder, seconds + START)
        if failure or not (folder / FOUND).exists():
            raise RuntimeError(failure or "its process ended without an answer")
        part, prepared = cloudpickle.loads((folder / FOUND).read_bytes())
    return part, prepared


def _run(folder: Path, patience: float) -> str:
    """Run the child, pass its stages on, and return why it failed; nothing where it did not."""
    command = [sys.executable, "-m", "nbmlops.explanation", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    failure = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as child:
        clock = threading.Timer(patience, child.kill)
        clock.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "stage" in said:
                    stage(said["stage"])
                failure = said.get("failure", failure)
            child.wait()
            overdue = child.returncode == -9
        finally:
            clock.cancel()
            child.kill()
    return failure or ("it took far longer than it was given" if overdue else "")


def work(folder: Path) -> None:
    """Explain what `apart` left in `folder`: the child's side."""
    import cloudpickle

    from nbmlops.explanation.choice import bounded

    said = sys.stdout
    with redirect_stdout(sys.stderr):  # a model's own prints are no stages
        try:
            explainer, subject, seconds = cloudpickle.loads((folder / ASKED).read_bytes())
            with stages(lambda text: _say(said, stage=text)):
                part, prepared = bounded(explainer, subject, seconds)
        except EXPLAINER_ERRORS as error:
            _say(said, failure=(str(error) or type(error).__name__).splitlines()[0])
            return
        answer = Part(part.values), replace(prepared, explain=_spent)
        (folder / FOUND).write_bytes(cloudpickle.dumps(answer))


def _say(stream: Any, **what: str) -> None:
    stream.write(json.dumps(what) + "\n")
    stream.flush()


def _spent(rows: object) -> Part:
    raise RuntimeError("the explainer's process has ended")
