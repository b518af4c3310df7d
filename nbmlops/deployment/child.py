"""One scorer or worker process as its supervisor sees it: JSON lines to and from it, its standard error in the log."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINE_LIMIT = 1024 * 1024  # bytes of one answer
KEPT_LINES = 20  # of standard error, for the message when it fails
GRACE = 10.0  # seconds to finish what is in flight
LAST_WORDS = 1.0  # seconds to read what a process that ended had written
LAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL


class ChildFailed(Exception):
    """A process did not start, did not answer or said no.

    Attributes
    ----------
    code : str
        Short name of the failure.
    tail : tuple of str
        The last lines of its standard error.
    """

    def __init__(self, message: str, *, code: str = "failed", tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.tail = tuple(tail)


@dataclass(frozen=True)
class Command:
    """How to start a child: its name in the log, the command, what it inherits."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    descriptors: tuple[int, ...] = ()


class Child:
    """A running child process; make one with `start`."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process, log: logging.Logger) -> None:
        self.name = command.name
        self.process = process
        self.ready: dict[str, Any] = {}  # what it said when it was
        self.retired = False  # set before it is asked to go, so that its end is no accident
        self._log = log
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # Both are read all the time: a process whose pipe is full stands still.
        self._readers = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._copy_errors())]

    @classmethod
    async def start(cls, command: Command, log: logging.Logger, timeout: float) -> Child:
        """Start the process and wait until it says that it is ready.

        Parameters
        ----------
        timeout : float, seconds

        Raises
        ------
        ChildFailed
            When it says no, ends, or is not ready in time; it is gone then.
        """
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(command.environment),
            cwd=command.folder,
            pass_fds=command.descriptors,
        )
        child = cls(command, process, log)
        try:
            ready = child.ready = await asyncio.wait_for(child._waiting, timeout)
            if not ready.get("ready"):
                await child.kill()  # first, so that its last words are in the message
                message = str(ready.get("error", "it said that it is not ready"))
                raise child.failure(message, code=str(ready.get("code", "load_failed")))
        except TimeoutError:
            await child.kill()
            raise child.failure(f"it was not ready within {timeout:g} s", code="start_timeout") from None
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def failure(self, message: str, *, code: str = "failed") -> ChildFailed:
        """Return an error that names this child and carries what it said last."""
        return ChildFailed(f"{self.name}: {message}", code=code, tail=tuple(self._tail))

    async def ask(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send one message and return its answer.

        Raises
        ------
        ChildFailed
            When the process is gone, is silent for `timeout` seconds or answers ``"ok": false``.
        """
        async with self._turn:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                self._stdin.write(json.dumps(message).encode() + b"\n")
                await self._stdin.drain()
                if self._readers[0].done():
                    raise self.failure("it is gone", code="gone")
                answer = await asyncio.wait_for(self._waiting, timeout)
            except (ConnectionError, RuntimeError) as error:
                raise self.failure(f"it is gone ({error})", code="gone") from error
            except TimeoutError:
                # A late answer would be taken for the next one's: this process can't be talked to any more.
                self.process.kill()
                raise self.failure(f"it did not answer within {timeout:g} s", code="silent") from None
        if not answer.get("ok"):
            raise self.failure(str(answer.get("error", answer)), code=str(answer.get("code", "refused")))
        return answer

    async def wait(self) -> str:
        """Wait for the process to end and say how it did."""
        code = await self.process.wait()
        if code < 0:
            return f"{self.name} was ended by {_signal_name(-code)}"
        return f"{self.name} ended with exit code {code}"

    async def stop(self, grace: float = GRACE) -> None:
        """Close its input, which asks it to finish and go; end it by force where it stays."""
        self.retired = True
        self._stdin.close()
        for seconds, by_force in ((grace, self.process.terminate), (LAST_GRACE, self.process.kill)):
            try:
                await asyncio.wait_for(self.process.wait(), seconds)
            except TimeoutError:
                if self.running:
                    by_force()
            else:
                break
        await self._ended()

    async def kill(self) -> None:
        """End the process at once."""
        self.retired = True
        if self.running:
            self.process.kill()
        await self._ended()

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self.process.stdin is not None
        return self.process.stdin

    async def _ended(self) -> None:
        await self.process.wait()
        # Not for ever: a process that the model started may hold a pipe open.
        await asyncio.wait(self._readers, timeout=LAST_WORDS)
        for reader in self._readers:
            reader.cancel()

    async def _read_answers(self) -> None:
        """Hand each answer to whoever waits for it, and everything else to the log: models print."""
        assert self.process.stdout is not None
        async for line in _lines(self.process.stdout):
            try:
                answer = json.loads(line)
            except ValueError:
                answer = None
            if isinstance(answer, dict) and answer.keys() & {"ok", "ready"} and not self._waiting.done():
                self._waiting.set_result(answer)
            else:
                self._note(line)
        await self.process.wait()
        await asyncio.wait(self._readers[1:], timeout=LAST_WORDS)
        if not self._waiting.done():
            self._waiting.set_exception(
                self.failure(f"it ended with exit code {self.process.returncode}", code="ended")
            )
            self._waiting.exception()  # nobody may be waiting

    async def _copy_errors(self) -> None:
        assert self.process.stderr is not None
        async for line in _lines(self.process.stderr):
            self._note(line)

    def _note(self, line: str) -> None:
        if line:
            self._tail.append(line)
            self._log.info("%s: %s", self.name, line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines of any length; one past the limit comes in pieces."""
    rest = b""
    while block := await stream.read(65536):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LINE_LIMIT:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
