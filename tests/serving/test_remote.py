from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbmlops.serving import frames, remote
from nbmlops.serving.errors import ModelFailed, WorkerUnavailable
from nbmlops.serving.frames import FrameError, pack_array, unpack_array
from nbmlops.serving.inputs import Generic, Table, Tensor
from nbmlops.serving.outputs import Outputs
from nbmlops.serving.remote import WorkerBackend
from nbmlops.serving.worker import Worker

plain_arrays = hnp.arrays(
    st.sampled_from(["<f8", "<f4", "<i8", "<i4", "|b1", "|u1", "<M8[ns]"]), hnp.array_shapes(max_dims=3)
)
object_arrays = st.lists(
    st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.booleans() | st.binary()
).map(lambda values: np.array([*values, None], dtype=object)[:-1])


@settings(max_examples=50)
@given(plain_arrays | object_arrays)
def test_arrays_survive_the_wire(array):
    import msgspec

    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(pack_array(array)), type=frames.ArrayData)
    back = unpack_array(wire)
    assert back.shape == array.shape
    if array.dtype == object:
        assert back.tolist() == array.tolist()
    else:
        assert back.dtype == array.dtype
        assert back.tobytes() == array.tobytes()


def test_texts_survive_as_objects():
    assert unpack_array(pack_array(np.array(["a", "éé"]))).tolist() == ["a", "éé"]
    assert unpack_array(pack_array(np.array([["a", "b"]]))).tolist() == [["a", "b"]]


class Echo:
    """Answers with the first column, or as its orders say."""

    batches = True
    inline = False
    outputs = ("label", "both")

    def predict(self, data, output):
        if isinstance(data, Generic):
            if data.data == "raise":
                raise ZeroDivisionError("in the worker")
            if data.data == "odd":
                return Outputs(payload=object())
            return Outputs(payload={"format": data.format, "data": data.data})
        array = data.columns[0] if isinstance(data, Table) else data.array
        return Outputs(array, np.ones((len(array), 2)) if output == "both" else None)


class Stage:
    """A worker on a socket, run in this process, which can be ended and begun again."""

    def __init__(self, folder: str) -> None:
        self.socket = Path(folder) / "w"
        self.task: asyncio.Task[None] | None = None

    async def begin(self, runtime=None) -> None:
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(Worker(runtime or Echo(), "sklearn").serve(self.socket, self.stop))
        while not self.socket.exists():
            await asyncio.sleep(0.005)

    async def end(self) -> None:
        self.stop.set()
        await self.task
        assert not self.socket.exists()


def play(story):
    async def run():
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(folder)
            backend = WorkerBackend(str(stage.socket), batches=True)
            try:
                return await story(stage, backend)
            finally:
                await backend.close()
                if stage.task is not None and not stage.task.done():
                    await stage.end()

    return asyncio.run(asyncio.wait_for(run(), 30))


NUMBERS = Table.of(("a", "s"), [np.array([1.0, 2.0]), np.array(["x", None], dtype=object)])


def test_a_worker_answers_calls():
    async def story(stage, backend):
        await stage.begin()
        await backend.connect(5)
        assert backend.outputs == ("label", "both")
        first = await backend.call(NUMBERS, "both")
        second = await backend.call(Tensor(np.array([[1, 2]])), "label")
        third = await backend.call(Generic("inputs", {"a": [1, None]}), "label")
        return first, second, third

    first, second, third = play(story)
    assert first.labels.tolist() == [1.0, 2.0]
    assert first.probabilities.shape == (2, 2)
    assert second.labels.tolist() == [[1, 2]]
    assert bytes(third.payload) == b'{"format":"inputs","data":{"a":[1,null]}}'


def test_several_calls_are_under_way_at_once():
    async def story(stage, backend):
        await stage.begin()
        calls = (backend.call(Tensor(np.array([[number]])), "label") for number in range(50))
        return await asyncio.gather(*calls)

    assert [answer.labels.tolist() for answer in play(story)] == [[[number]] for number in range(50)]


@pytest.mark.parametrize(("order", "words"), [("raise", "in the worker"), ("odd", "can't be sent")])
def test_an_error_comes_back_with_its_traceback(order, words):
    async def story(stage, backend):
        await stage.begin()
        with pytest.raises(ModelFailed) as caught:
            await backend.call(Generic("inputs", order), "label")
        assert words in caught.value.traceback
        return await backend.call(NUMBERS, "label")

    assert play(story).labels.tolist() == [1.0, 2.0]


def test_a_call_waits_for_a_worker_that_is_being_restarted():
    async def story(stage, backend):
        await stage.begin()
        await backend.call(NUMBERS, "label")
        await stage.end()
        while backend.connected:
            await asyncio.sleep(0.005)
        call = asyncio.create_task(backend.call(NUMBERS, "label"))
        await asyncio.sleep(0)
        await stage.begin()
        return await call

    assert play(story).labels.tolist() == [1.0, 2.0]


def test_a_call_that_was_cut_off_is_sent_again():
    import threading

    release = threading.Event()

    class Stuck(Echo):
        def predict(self, data, output):
            release.wait(10)
            return super().predict(data, output)

    async def story(stage, backend):
        await stage.begin(Stuck())
        call = asyncio.create_task(backend.call(NUMBERS, "label"))
        while not backend._calls:
            await asyncio.sleep(0.005)
        await stage.end()
        await stage.begin()
        answer = await call
        release.set()
        return answer

    assert play(story).labels.tolist() == [1.0, 2.0]


def test_without_a_worker_a_call_is_given_up(monkeypatch):
    monkeypatch.setattr(remote, "RECONNECT_S", 0.05)

    async def story(stage, backend):
        with pytest.raises(WorkerUnavailable, match="no worker answers"):
            await backend.call(NUMBERS, "label")

    play(story)


def test_a_frame_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME", 1000)

    async def story(stage, backend):
        await stage.begin()
        with pytest.raises(ModelFailed) as caught:
            await backend.call(Tensor(np.zeros((1000, 1))), "label")
        assert "passes the limit" in caught.value.traceback
        answer = await backend.call(NUMBERS, "label")
        reader = asyncio.StreamReader()
        reader.feed_data((1001).to_bytes(4, "big"))
        with pytest.raises(FrameError, match="1001 bytes"):
            await frames.read_frame(reader)
        return answer

    assert play(story).labels.tolist() == [1.0, 2.0]


def test_nonsense_on_the_socket_ends_that_connection_alone():
    async def story(stage, backend):
        await stage.begin()
        await backend.connect(5)
        reader, writer = await asyncio.open_unix_connection(str(stage.socket))
        await frames.read_frame(reader)
        writer.write((3).to_bytes(4, "big") + b"\xc1\xc1\xc1")
        assert await reader.read() == b""
        writer.close()
        return await backend.call(NUMBERS, "label")

    assert play(story).labels.tolist() == [1.0, 2.0]


def test_the_socket_is_the_owners_alone():
    async def story(stage, backend):
        await stage.begin()
        await backend.connect(5)
        return stage.socket.stat().st_mode & 0o777

    assert play(story) == 0o600
