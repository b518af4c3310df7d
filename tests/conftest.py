"""Every test runs in a world of its own: no home, workspace, tracking server or notebook settings of the user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from nbmlops.core.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
SESSION = "NBMLOPS_TEST_SESSION"
FORGOTTEN_PREFIXES = ("NBMLOPS_", "MLFLOW_", "JUPYTER_", "JUPYTERLAB_", "IPYTHON", "GIT_DIR", "GIT_WORK_TREE")
LEAK_PATIENCE = 10.0  # seconds that a stopping process may still take to be gone
GIT_CONFIG = (
    "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n"
)

# A busy machine is no reason to fail, and speed is measured elsewhere.
hypothesis.settings.register_profile("nbmlops", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("nbmlops")

_home: Path | None = None


def _isolated(home: Path) -> dict[str, str]:
    """Return the environment of the tests; sockets need a short path, caches are shared between runs."""
    (home / "run").mkdir(mode=0o700)
    (home / "gitconfig").write_text(GIT_CONFIG)
    cache = ROOT / ".cache"
    return {
        SESSION: home.name,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter/config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter/data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter/run"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "jupyter/settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "jupyter/workspaces"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(cache / "matplotlib")),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "NBMLOPS_WORKSPACE": str(home / "workspace"),
        "NBMLOPS_ACTOR": "tester",
        "NBMLOPS_PROOF": "off",  # most tests are about something else; those of the proof ask for it
    }


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any module of the package is imported by a test."""
    global _home
    for name in list(os.environ):
        if name.startswith(FORGOTTEN_PREFIXES):
            del os.environ[name]
    _home = Path(tempfile.mkdtemp(prefix="nbt-"))
    (_home / "workspace").mkdir()
    os.environ.update(_isolated(_home))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves processes behind, end them, and say which test started them."""
    leaked = _leaked_processes()
    for process, story in leaked:
        session.config.get_terminal_writer().line(f"\nLEFT BEHIND: {story}", red=True)
        process.kill()
    if leaked:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if _home is not None:
        shutil.rmtree(_home, ignore_errors=True)


def _leaked_processes() -> list[tuple[psutil.Process, str]]:
    deadline = time.monotonic() + LEAK_PATIENCE
    while True:
        alive = _processes_of_this_session()
        if not alive or time.monotonic() > deadline:
            return alive
        psutil.wait_procs([process for process, _ in alive], timeout=0.2)


def _processes_of_this_session() -> list[tuple[psutil.Process, str]]:
    found = []
    forked = {child.pid for child in psutil.Process().children(recursive=True)}  # these keep the old environment
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        ours = environment.get(SESSION) == os.environ[SESSION] or process.pid in forked
        if ours and process.pid != os.getpid() and "multiprocessing.resource_tracker" not in command:
            test = environment.get("PYTEST_CURRENT_TEST", "an unknown test")
            found.append((process, f"process {process.pid} ({command[:200]}), started by {test}"))
    return found


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Give back variables and folder as they were, also where code under test sets them (MLflow does)."""
    before, here = dict(os.environ), Path.cwd()
    yield
    os.chdir(here)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@pytest.fixture(scope="session")
def debian() -> Callable[[str, bool], None]:
    """Leave a test out where a program that pip can't bring is missing; in CI that is a failure."""

    def need(package: str, found: bool) -> None:
        if found:
            return
        reason = f"{package} is not installed (Debian, Ubuntu: sudo apt install {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    return need


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace that every verb finds."""
    root = tmp_path / "project"
    (root / ".nbmlops").mkdir(parents=True)
    monkeypatch.setenv("NBMLOPS_WORKSPACE", str(root))
    return Workspace.find(root).open()


@pytest.fixture
def run_on_mount(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python script in a mount namespace of its own, where its folder is a small file system.

    File modes don't stop root, mounts do. The script gets the folder as ``sys.argv[1]``; the mount is gone with it.
    It may fill the folder, or remount it: ``mount -o remount,ro FOLDER``.
    """
    folder = tmp_path / "mount"
    folder.mkdir()
    namespace = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    mount = 'mount -t tmpfs -o "size=$1" none "$2" && shift 2 && exec "$@"'

    def run(script: str, *, size: str = "4m") -> subprocess.CompletedProcess[str]:
        command = [*namespace, "sh", "-c", mount, "sh", size, str(folder), sys.executable, "-c", script, str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)

    return run
