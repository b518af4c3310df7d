"""The tutorial notebook, run live in JupyterLab in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build/screenshots"
NOTEBOOK = "notebooks/00_the_whole_game.ipynb"
PATIENCE = 240.0  # seconds; two slow cores run Lab, a browser, a kernel and a server
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"},  # so that every cell is there to be looked at
}
READY = """() => {
  const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
  return session?.isReady && session.session?.kernel?.status === 'idle';
}"""
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
FINISHED = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = [...panel.content.model.cells].filter(cell => cell.type === 'code');
  const stopped = cells.some(cell => !cell.getMetadata('tags')?.includes('raises-exception')
    && cell.outputs.toJSON().some(output => output.output_type === 'error'));
  const idle = panel.context.sessionContext.session.kernel.status === 'idle';
  return idle && (stopped || cells.every(cell => cell.executionCount !== null));
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"


@contextmanager
def jupyter_lab(project: Path, log: Path) -> Iterator[str]:
    """Run JupyterLab on `project`; give the address of the notebook, with its token."""
    settings = Path(os.environ["JUPYTERLAB_SETTINGS_DIR"])
    for name, values in SETTINGS.items():
        path = settings / f"@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={project}"]
    with log.open("w") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said, cwd=project)
        try:
            address = _address(server, log)
            yield f"{address['url']}lab/tree/{NOTEBOOK}?token={address['token']}"
        finally:
            server.terminate()
            server.wait(30)


def _address(server: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    record = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + 90
    while not record.exists():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    found: dict[str, Any] = json.loads(record.read_text())
    return found


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of what the notebook needs, with a workspace of its own that is taken down whatever happens."""
    with tempfile.TemporaryDirectory(prefix="flights-") as folder:  # its short path is seen in the pictures
        made = Path(folder)
        (made / "notebooks").mkdir()
        shutil.copy(ROOT / NOTEBOOK, made / "notebooks")
        shutil.copytree(ROOT / "docs/images", made / "docs/images")
        (made / ".nbmlops").mkdir()
        monkeypatch.setenv("NBMLOPS_WORKSPACE", folder)
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield made
        subprocess.run([sys.executable, "-m", "nbmlops.cli", "down"], check=False, capture_output=True)


@pytest.fixture
def page(debian: Callable[[str, bool], None]) -> Iterator[Page]:
    """A page of the system's own browser: Playwright would fetch another one from the network."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    debian("chromium", executable is not None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1280, "height": 1280})
        opened.set_default_timeout(PATIENCE * 1000)
        yield opened
        browser.close()


@pytest.mark.integration
@pytest.mark.timeout(500)
def test_the_notebook_runs_live_in_jupyterlab(project: Path, page: Page) -> None:
    with jupyter_lab(project, project / "lab.log") as address:
        page.goto(address)
        page.wait_for_function(READY)
        page.evaluate(RUN_ALL)
        page.wait_for_function(FINISHED)
        cells = page.evaluate(CELLS)
        _take_pictures(page, cells)

    for cell in cells:
        errors = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
        meant_to = "raises-exception" in cell["metadata"].get("tags", [])
        assert bool(errors) == meant_to, (cell["source"], errors)
    assert "All as promised." in json.dumps(cells[-1]["outputs"])
    assert all(cell.get("execution_count") for cell in cells if cell["cell_type"] == "code")


def _take_pictures(page: Page, cells: list[dict[str, Any]]) -> None:
    """Keep a picture of each stage, for a person to look at."""
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    for number, cell in enumerate(cells):
        stage = cell["metadata"].get("stage", "prose").replace(" ", "-")
        shown = page.locator(".jp-Notebook .jp-Cell").nth(number)
        shown.scroll_into_view_if_needed()
        shown.screenshot(path=SCREENSHOTS / f"{number + 1:02}-{stage}.png")
    stages = [cell["metadata"].get("stage") for cell in cells]
    measured = page.locator(".jp-Notebook .jp-Cell").nth(stages.index("profile"))
    measured.evaluate("cell => cell.scrollIntoView({block: 'start'})")
    page.screenshot(path=SCREENSHOTS / "lab.png")
