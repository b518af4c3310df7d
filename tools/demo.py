"""Run a tutorial notebook from top to bottom, tell what happened stage by stage, and keep it as HTML.

Fails when a stage is missing, is skipped, fails, or does not fail where it should.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks/00_the_whole_game.ipynb"
STAGES = {
    "00_the_whole_game": (
        "data",
        "fit",
        "register",
        "models",
        "profile",
        "deploy",
        "call from Python",
        "call with curl",
        "refused",
        "wrong column",
        "second version",
        "deploy again",
        "rollback",
        "history",
        "down",
        "checks",
    ),
    "01_serving_and_rollout": (
        "data",
        "deploy",
        "call",
        "shadow",
        "split",
        "ensemble",
        "rollout",
        "watch",
        "events",
        "errors",
        "replay",
        "collected",
        "down",
        "checks",
    ),
    "02_trust": (
        "data",
        "converted by hand",
        "certificate",
        "plan",
        "deploy",
        "helper",
        "refused",
        "proved",
        "explain",
        "one prediction",
        "down",
        "checks",
    ),
}
CELL_TIMEOUT = 180  # seconds
LINES = 14  # of what a cell said; the rest is in the HTML


@dataclass(frozen=True)
class Told:
    """What one stage did."""

    stage: str
    seconds: float
    said: str
    fault: str = ""


def said(cell: Any) -> str:
    """Return a cell's output as plain text: what it printed, its results and its error."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append(f"{output.ename}: {output.evalue}")
        elif output.output_type in {"display_data", "execute_result"} and "image/png" not in output.data:
            parts.append(output.data.get("text/plain", ""))
    return "\n".join(part.strip("\n") for part in parts if part.strip())


def fault(cell: Any) -> str:
    """Return what is wrong with an executed cell, or nothing."""
    failed = any(output.output_type == "error" for output in cell.outputs)
    meant_to = "raises-exception" in cell.metadata.get("tags", [])
    if cell.execution_count is None:
        return "was skipped"
    if failed and not meant_to:
        return "failed"
    return "was not refused, as it should be" if meant_to and not failed else ""


def tell(told: Told) -> None:
    """Print one stage."""
    print(f"\n{'✗' if told.fault else '✓'} {told.stage}  ({told.seconds:.1f} s)  {told.fault}".rstrip())
    lines = told.said.splitlines()
    for line in lines[:LINES]:
        print(f"    {line[:150]}")
    if len(lines) > LINES:
        print(f"    … {len(lines) - LINES} lines more in the HTML")
    sys.stdout.flush()


class Storyteller(NotebookClient):
    """Runs a notebook and tells each stage as soon as its cell is done."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, on_cell_start=self.begin, on_cell_executed=self.end, **options)
        self.began = 0.0
        self.told: list[Told] = []

    def begin(self, cell: Any, cell_index: int) -> None:
        """Note when a cell starts."""
        self.began = time.monotonic()

    def end(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Tell what a cell did."""
        if "stage" in cell.metadata:
            seconds = time.monotonic() - self.began
            self.told.append(Told(cell.metadata["stage"], seconds, said(cell), fault(cell)))
            tell(self.told[-1])


@contextmanager
def own_world(workspace: Path) -> Iterator[None]:
    """Give the kernel a fresh workspace and settings of its own, and leave no endpoint running whatever happens."""
    shutil.rmtree(workspace, ignore_errors=True)
    (workspace / ".nbmlops").mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="nbd-") as folder:
        world = {name: f"{folder}/{name.lower()}" for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
        world |= {"JUPYTER_RUNTIME_DIR": f"{folder}/run", "JUPYTER_PLATFORM_DIRS": "1"}
        world |= {"NBMLOPS_WORKSPACE": str(workspace), "MLFLOW_DISABLE_TELEMETRY": "true"}
        # A notebook's own shell commands find the programs of this environment, as they do under make lab.
        world |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        before = dict(os.environ)
        os.environ.update(world)
        try:
            yield
        finally:
            subprocess.run([sys.executable, "-m", "nbmlops.cli", "down"], capture_output=True, check=False)
            os.environ.clear()
            os.environ.update(before)


def run(notebook: Any, workspace: Path, *, folder: Path) -> list[Told]:
    """Execute the notebook in `folder`; an error that stops it is told, not raised."""
    client = Storyteller(
        notebook,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
    )
    with own_world(workspace):
        try:
            client.execute()
        except CellExecutionError:
            pass  # told already, with the cell's own output
        except (CellTimeoutError, DeadKernelError) as error:
            print(f"\n✗ {error}", file=sys.stderr)
    return client.told


def write(notebook: Any, out: Path, *, source: Path) -> Path:
    """Write the executed notebook and its HTML into the folder `out`; return the latter."""
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, out / source.name)
    exporter = HTMLExporter(embed_images=True)
    exporter.mathjax_url = ""  # there is no formula in it, and the page stays readable offline
    exporter.require_js_url = ""
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(source.parent)}})
    page = out / f"{source.stem}.html"
    page.write_text(body)
    return page


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return 1 unless every stage did what it should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--notebook", type=Path, default=NOTEBOOK)
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="where the notebook and its HTML go")
    options = parser.parse_args(arguments)
    source, out = options.notebook.resolve(), options.out.resolve()
    if source.stem not in STAGES:
        parser.error(f"{source.name} is no story that it knows; expected one of {', '.join(STAGES)}")
    stages = STAGES[source.stem]
    began = time.monotonic()
    print(f"Running {os.path.relpath(source)}", flush=True)
    notebook = nbformat.read(source, as_version=4)
    told = run(notebook, out / "demo-workspace", folder=NOTEBOOK.parent)
    page = write(notebook, out, source=source)
    done = [one.stage for one in told if not one.fault]
    missing = [stage for stage in stages if stage not in done]
    print(f"\n{len(done)} of {len(stages)} stages in {time.monotonic() - began:.0f} s.  Read it: {page}")
    if missing:
        print(f"Not done: {', '.join(missing)}", file=sys.stderr)
        return 1
    print("Open it live:  make lab" + ("" if source == NOTEBOOK else f" NOTEBOOK={os.path.relpath(source)}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
