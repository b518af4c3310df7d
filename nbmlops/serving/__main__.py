"""One process that serves by itself: what images and ejected apps run.

``python -m nbmlops.serving --bundle DIR --port N --token-file FILE --model NAME --version V`` serves one bundle;
``--config FILE`` instead of the bundle serves what a JSON file says (see `configuration.ServingConfig`): several
versions with their traffic, shadows, guardrails, ensembles, capture.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from .application import Application
from .assets import enter
from .configuration import LOOPBACK
from .control import Control
from .errors import ServingError
from .guard import watch
from .scorer import say
from .server import make_server


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(prog="serving", description="Serves one bundle over HTTP.")
    served = parser.add_mutually_exclusive_group(required=True)
    served.add_argument("--bundle", help="the bundle's folder")
    served.add_argument("--config", type=Path, help="a JSON file that says what is served")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--name", action="append", default=[], help="a host name to answer to; * answers to any")
    parser.add_argument("--endpoint", help="the endpoint's name (default: the model's)")
    parser.add_argument("--model", default="model", help="the model's name (default: %(default)s)")
    parser.add_argument("--version", default="1", help="the model's version (default: %(default)s)")
    access = parser.add_mutually_exclusive_group(required=True)
    access.add_argument("--token-file", type=Path, help="the file that holds the bearer token")
    access.add_argument("--no-auth", action="store_true", help="answer anyone who can reach the port")
    return parser.parse_args()


def configuration(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration that the arguments stand for.

    Raises
    ------
    ServingError
        The token can't be read or is empty.
    """
    try:
        token = None if arguments.no_auth else arguments.token_file.read_text().strip()
    except OSError as error:
        message = f"{arguments.token_file} can't be read ({error.strerror}); give a token file or --no-auth"
        raise ServingError("invalid_configuration", message) from error
    names = {"hosts": [*LOOPBACK, *arguments.name]} if arguments.name else {}
    if arguments.config is not None:
        return {**_written(arguments.config), "token": token, **names}
    arm = {
        "name": arguments.version,
        "model": arguments.model,
        "version": arguments.version,
        "bundle": str(Path(arguments.bundle).absolute()),
    }
    return {"endpoint": arguments.endpoint or arguments.model, "token": token, "arms": [arm], **names}


def _written(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise ServingError("invalid_configuration", f"{path} can't be read as a JSON object ({error})") from error


async def _serve(arguments: argparse.Namespace) -> None:
    application = Application()
    control = Control(application)
    document = configuration(arguments)
    if arguments.bundle is not None:  # the process has one current folder, so one bundle's assets
        enter(Path(arguments.bundle))
    await control.configure(document)
    listener = socket.create_server((arguments.host, arguments.port), backlog=2048)
    listener.setblocking(False)
    print(f"serving on http://{arguments.host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201
    guard = asyncio.get_running_loop().create_task(watch(control.look, control.apply, say))
    try:
        await make_server(application).serve(sockets=[listener])
    finally:
        guard.cancel()
        await asyncio.wait_for(control.close(), 10)


def main() -> int:
    """Run the server until it is told to end; 1 when the bundle can't be served."""
    arguments = parse_arguments()
    try:
        uvloop.run(_serve(arguments))
    except ServingError as error:
        print(f"{error.code}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except (KeyboardInterrupt, TimeoutError):
        return 0
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
