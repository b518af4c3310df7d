"""The recorder in a real kernel, spoken to as JupyterLab does: with the cell's id in the message's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.integration
PATIENCE = 120.0  # seconds


@pytest.fixture
def kernel(tmp_path: Path, write_notebook) -> Iterator[BlockingKernelClient]:
    import os

    manager = KernelManager(kernel_name="python3")
    session = str(tmp_path / "story.ipynb")
    manager.start_kernel(env=os.environ | {"JPY_SESSION_NAME": session}, cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def run(client: BlockingKernelClient, cell_id: str, source: str) -> str:
    """Run a cell as the front end does, and return what it printed."""
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content, metadata={"cellId": cell_id})
    client.shell_channel.send(message)
    printed = []
    while True:
        answer: dict[str, Any] = client.get_iopub_msg(timeout=PATIENCE)
        if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if answer["msg_type"] == "stream":
            printed.append(answer["content"]["text"])
        assert answer["msg_type"] != "error", answer["content"]["traceback"]
        if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
            return "".join(printed)


def test_ids_path_producer_and_warnings_come_from_a_real_kernel(kernel: BlockingKernelClient, write_notebook) -> None:
    run(kernel, "load", "from nbmlops.capture import watch, capture_notebook\n_ = watch(get_ipython())")
    run(kernel, "data", "X, y = [[0.0], [1.0]], [0, 1]")
    run(kernel, "fit", "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(X, y)")
    path = write_notebook(("fit", "from sklearn import svm"), ("data", "X, y = [[0.0], [1.0]], [0, 1]"))
    show = "import json; print(json.dumps(capture_notebook(obj=model).to_dict()))"
    found = json.loads(run(kernel, "show", show))
    assert found["path"] == str(path)
    assert [cell["id"] for cell in found["cells"]] == ["load", "data", "fit", "show"]
    assert found["produced_by"] == [3]
    cell = 'cell [3] "from sklearn.linear_model import LogisticRegression"'
    assert found["warnings"] == [
        f"The model came from {cell}, which was edited since it ran.",
        f"Cells ran out of order: {cell} used 'X' and 'y' of cell [2] \"X, y = [[0.0], [1.0]], [0, 1]\", "
        "which stands below it.",
    ]
