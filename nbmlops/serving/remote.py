"""The scorer's side of a worker process.

A worker may die and come back at any time. Calls that were under way are sent once more to the next worker, since
scoring changes nothing; calls that find none wait for `RECONNECT_S` seconds and are then answered with 503.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import msgspec

from .documents import OUTPUTS, Output
from .errors import ModelFailed, WorkerUnavailable
from .frames import AnswerFrame, FrameError, Hello, answer_outputs, pack, read_frame, score_frame
from .inputs import ModelInput
from .outputs import Outputs
from .pins import Installed

RECONNECT_S = 5.0
_PAUSE_S = 0.05


class WorkerBackend:
    """Sends calls to the worker process behind a Unix socket.

    Parameters
    ----------
    socket : str
        The socket's path.
    batches : bool
        Whether rows of several requests may go into one call.
    """

    depth = 2  # the next call is on its way while the worker is busy with this one

    def __init__(self, socket: str, *, batches: bool) -> None:
        self.batches = batches
        self.outputs: tuple[str, ...] = OUTPUTS
        self.installed: Installed | None = None
        self._socket = socket
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[AnswerFrame]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._hello: msgspec.msgpack.Decoder[Hello] = msgspec.msgpack.Decoder(Hello)
        self._answer: msgspec.msgpack.Decoder[AnswerFrame] = msgspec.msgpack.Decoder(AnswerFrame)

    @property
    def connected(self) -> bool:
        """Whether the worker is there."""
        return self._up.is_set()

    async def connect(self, timeout: float) -> None:
        """Begin to keep a connection and wait for the first.

        Raises
        ------
        WorkerUnavailable
            There was none within `timeout` seconds.
        """
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        try:
            await asyncio.wait_for(self._up.wait(), timeout)
        except TimeoutError:
            raise WorkerUnavailable(f"no worker answers at {self._socket}") from None

    async def call(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one batch in the worker.

        Raises
        ------
        ModelFailed
            The model raised there.
        WorkerUnavailable
            No worker came within `RECONNECT_S`, or two died of this call.
        """
        for _ in range(2):
            await self.connect(RECONNECT_S)
            try:
                answer = await self._send(data, output, params)
            except ConnectionError:
                continue
            except FrameError as error:
                raise ModelFailed(str(error)) from error
            if answer.error is not None:
                raise ModelFailed(answer.error, answer.failure)
            return answer_outputs(answer)
        raise WorkerUnavailable("the worker ended twice while it scored this call")

    async def _send(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None) -> AnswerFrame:
        if self._writer is None:
            raise ConnectionError
        number = next(self._numbers)
        answer: asyncio.Future[AnswerFrame] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            self._writer.write(pack(score_frame(number, data, output, params=params)))
            await self._writer.drain()
            return await answer
        finally:
            del self._calls[number]

    async def _keep(self) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(self._socket)
            except OSError:
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                await self._listen(reader)
            except (OSError, asyncio.IncompleteReadError, FrameError, msgspec.MsgspecError):
                self._drop()
                await asyncio.sleep(_PAUSE_S)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        hello = self._hello.decode(await read_frame(reader))
        self.outputs, self.installed = hello.outputs, hello.installed
        self._up.set()
        while True:
            answer = self._answer.decode(await read_frame(reader))
            call = self._calls.get(answer.id)
            if call is not None and not call.done():
                call.set_result(answer)

    def _drop(self) -> None:
        self._up.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for call in self._calls.values():
            if not call.done():
                call.set_exception(ConnectionResetError("the worker went away"))

    async def close(self) -> None:
        """Let the connection go."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._drop()
