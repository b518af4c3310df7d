"""A bundle served by itself: its own server, in an environment of its own, as an image runs it."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core.errors import EndpointError
from nbmlops.core.settings import settings
from nbmlops.deployment.processes import CONFIG, TOKEN, clean, served_alone
from nbmlops.deployment.spec import Limits

SERVING = "serving on "
LAST_LINES = 8
GRACE = 10.0  # seconds to end
NAME = "proof"


@dataclass(frozen=True)
class Alone:
    """A running server.

    Attributes
    ----------
    url : str
    headers : dict of str to str
        With the bearer token.
    errors : pathlib.Path
        The folder of the requests that it failed on.
    """

    url: str
    headers: dict[str, str]
    errors: Path


@contextmanager
def alone(bundle: Path, python: Path, *, limits: Limits) -> Iterator[Alone]:
    """Serve one bundle for the length of the block with nothing but its own files and its environment.

    Parameters
    ----------
    bundle : pathlib.Path
    python : pathlib.Path
        The environment's interpreter.
    limits : Limits

    Raises
    ------
    EndpointError
        It does not start; the message has its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="nbmlops-proof-") as name:
        folder, token = Path(name), secrets.token_urlsafe(32)
        (folder / CONFIG).write_text(json.dumps(_config(bundle.resolve(), folder / "errors", limits)))
        (folder / TOKEN).touch(mode=0o600)
        (folder / TOKEN).write_text(token)
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                served_alone(python, bundle.resolve(), folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=clean(),
            )
        try:
            url = _url(process, folder)
            yield Alone(url, {"Authorization": f"Bearer {token}"}, folder / "errors")
        finally:
            _end(process)


def _config(bundle: Path, errors: Path, limits: Limits) -> dict[str, Any]:
    return {
        "endpoint": NAME,
        "token": None,  # the token's file says it
        "arms": [{"name": "1", "model": NAME, "version": "1", "bundle": str(bundle)}],
        "limits": {"body_bytes": limits.body_bytes, "timeout_s": limits.timeout_s},
        "errors": str(errors),
    }


def _url(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait for the line with the address; what the model prints while it is loaded comes before it."""
    assert process.stdout is not None
    late = threading.Timer(settings().start_timeout, process.kill)
    late.start()
    try:
        for line in process.stdout:
            if line.startswith(SERVING.encode()):
                threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop it
                return line.decode().removeprefix(SERVING).strip()
    finally:
        late.cancel()
    process.wait()
    last = (folder / "stderr").read_text(errors="replace").splitlines()[-LAST_LINES:]
    said = "".join(f"\n    {line}" for line in last)
    raise EndpointError(f"the bundle's server ended with exit code {process.returncode} before it answered{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, on which it ends, or end it by force."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
