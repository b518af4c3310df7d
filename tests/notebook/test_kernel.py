"""The magics in a real kernel, as JupyterLab, nbclient and papermill meet them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import run_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from nbmlops.core.workspace import Workspace
from nbmlops.journal import Journal

pytestmark = pytest.mark.integration
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SLOW = (
    "from nbmlops.core import progress\n"
    "from nbmlops.notebook.stage_line import stage_line\n"
    "with stage_line(get_ipython()) as listen, progress.stages(listen):\n"
    "    progress.stage('capturing')\n"
    "    progress.stage('writing')\n"
)


def executed(cells: list[str], folder: Path, *, allow_errors: bool = False) -> list[list[dict]]:
    """Run cells in a new kernel and return each cell's outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=allow_errors)
    client.execute(cwd=str(folder))
    return [cell.outputs for cell in notebook.cells]


def test_an_error_is_one_line_and_tb_the_rest(workspace: Workspace) -> None:
    cells = ["%load_ext nbmlops", "%tag flights/1 area", "%tb"]
    _, failed, traceback = executed(cells, workspace.root, allow_errors=True)
    [error] = failed
    assert (error["output_type"], error["ename"]) == ("error", "InvalidInput")
    assert [ANSI.sub("", line) for line in error["traceback"]] == [
        "InvalidInput: 'area' is no tag. Expected key=value, as in area=botany."
    ]
    assert "Traceback" in str(traceback)


def test_run_all_stops_at_an_error(workspace: Workspace) -> None:
    with pytest.raises(CellExecutionError, match="is no tag"):
        executed(["%load_ext nbmlops", "%tag flights/1 area", "1 / 0"], workspace.root)


def test_stages_are_one_output_that_is_replaced(workspace: Workspace) -> None:
    [outputs] = executed([SLOW], workspace.root)
    assert [output["output_type"] for output in outputs] == ["display_data"]
    assert "…" not in outputs[0]["data"]["text/plain"]


def test_a_result_has_both_forms(workspace: Workspace) -> None:
    Journal.open(workspace).append("model.registered", "model/flights/1", {"name": "flights", "version": 1})
    _, [output] = executed(["%load_ext nbmlops", "%events"], workspace.root)
    assert "flights" in output["data"]["text/plain"]
    assert "<table" in output["data"]["text/html"]


def test_the_front_end_gets_completions(workspace: Workspace) -> None:
    Journal.open(workspace).append("model.registered", "model/flights/1", {"name": "flights", "version": 1})
    with run_kernel(kernel_name="python3", cwd=str(workspace.root)) as client:
        client.execute_interactive("%load_ext nbmlops", timeout=60)
        reply = client.complete("%deploy flights/1 --endp", reply=True, timeout=60)["content"]
        assert reply["matches"] == ["--endpoint"]
        reply = client.complete("%deploy fli", reply=True, timeout=60)["content"]
        assert reply["matches"] == ["flights", "flights/1"]
        assert (reply["cursor_start"], reply["cursor_end"]) == (8, 11)
