from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmlops.serving import counts as module
from nbmlops.serving.counts import Counts, CountsFolder, Sheet
from nbmlops.serving.metrics import ServerMetrics

from .processes import listening, scorer
from .test_metrics import read, total, value

KEY = ("http_requests", "m", "1", "POST", "/invocations", "200")


def left(folder, name: str, pid: int, started: float, **fields) -> None:
    sheet = Sheet(pid, started, Counts(**fields))
    (folder / f"{name}.counts").write_bytes(msgspec.msgpack.encode(sheet))


def summed(shared: CountsFolder, own: Counts) -> Counts:
    shared.write(own)
    result = Counts()
    result.add(own, alive=True)
    for sheet in shared.others():
        result.add(sheet.counts, alive=sheet.alive)
    return result


@contextlib.contextmanager
def another() -> Iterator[tuple[int, float]]:
    """Yield the id and the start of a process that lives."""
    import psutil

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid, psutil.Process(child.pid).create_time()
        child.stdin.close()


def test_the_living_add_counters_and_gauges_and_the_dead_counters_alone(tmp_path):
    shared = CountsFolder(tmp_path)
    left(tmp_path, "dead", 2**22 + 5, 1.0, counters={KEY: 10}, gauges={("nbmlops_queue_depth", "m", "1"): 3})
    with another() as (pid, started):
        left(tmp_path, "living", pid, started, counters={KEY: 100}, gauges={("nbmlops_queue_depth", "m", "1"): 4})
        left(tmp_path, "reused", pid, started - 99, counters={KEY: 1000}, gauges={("nbmlops_queue_depth", "m", "1"): 5})
        found = summed(shared, Counts({KEY: 1}, {}, {("nbmlops_queue_depth", "m", "1"): 1}))
    assert found.counters == {KEY: 1111}
    assert found.gauges == {("nbmlops_queue_depth", "m", "1"): 5}


def test_many_dead_become_one_file_and_count_as_before(tmp_path):
    shared = CountsFolder(tmp_path)
    for number in range(30):
        left(tmp_path, f"dead{number}", 2**22 + number, 1.0, counters={KEY: 1}, histograms={("h",): [1, 0, 0.5]})
    for _ in range(3):
        found = summed(shared, Counts({KEY: 1}))
        assert (found.counters[KEY], found.histograms[("h",)]) == (31, [30, 0, 15])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_kill_between_folding_and_removing_counts_nothing_twice(tmp_path, monkeypatch):
    shared = CountsFolder(tmp_path)
    for number in range(3):
        left(tmp_path, f"dead{number}", 2**22 + number, 1.0, counters={KEY: 1})
    with monkeypatch.context() as patch:
        patch.setattr(module.Path, "unlink", lambda *args, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shared.fold()
    assert summed(shared, Counts()).counters[KEY] == 3
    left(tmp_path, "dead9", 2**22 + 9, 1.0, counters={KEY: 1})
    shared.fold()
    assert summed(shared, Counts()).counters[KEY] == 4
    assert sorted(path.name for path in tmp_path.glob("dead*")) == []


def test_files_that_it_cant_read_are_left_alone(tmp_path):
    shared = CountsFolder(tmp_path)
    (tmp_path / "half.counts").write_bytes(b"\x81")
    (tmp_path / "later.counts").write_bytes(msgspec.msgpack.encode(Sheet(0, 0, Counts({KEY: 5}), format=99)))
    assert summed(shared, Counts({KEY: 1})).counters == {KEY: 1}
    shared.fold()
    assert (tmp_path / "later.counts").exists()


def test_what_did_not_change_is_not_written_again(tmp_path):
    shared = CountsFolder(tmp_path)
    shared.write(Counts({KEY: 1}))
    (file,) = tmp_path.iterdir()
    file.unlink()
    shared.write(Counts({KEY: 1}))
    assert not list(tmp_path.iterdir())
    shared.write(Counts({KEY: 2}))
    assert list(tmp_path.iterdir()) == [file]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["count", "scrape", "write", "die", "fold"])), max_size=60)
)
def test_no_counter_ever_goes_down(tmp_path_factory, steps):
    """Three scorers count, are asked, write, fold, die and come back in any order."""
    folder = tmp_path_factory.mktemp("counts")
    lives, counted = [0, 0, 0], [0, 0, 0]
    told = ever = 0

    def shared(slot: int) -> CountsFolder:
        made = CountsFolder(folder)
        made._pid, made._started = slot + 1, float(lives[slot])
        made._own = f"{slot}-{lives[slot]}.counts"
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sheet, "alive", property(lambda sheet: sheet.pid and lives[sheet.pid - 1] == int(sheet.started)))
        patch.setattr(module, "FOLD", 2)
        for slot, step in steps:
            if step == "count":
                counted[slot] += 1
                ever += 1
            elif step == "write":
                shared(slot).write(Counts({KEY: counted[slot]}))
            elif step == "fold":
                shared(slot).fold()
            elif step == "die":
                lives[slot] += 1
                counted[slot] = 0
            else:
                found = summed(shared(slot), Counts({KEY: counted[slot]})).counters[KEY]
                assert told <= found <= ever
                told = found


def test_what_is_told_is_in_the_file_first(tmp_path):
    async def main() -> tuple[bytes, Counts]:
        metrics = ServerMetrics()
        metrics.share(str(tmp_path))
        metrics.observe_refusal("GET", "", status=404, code="not_found")
        text = metrics.text()
        (file,) = tmp_path.iterdir()
        sheet = msgspec.msgpack.decode(file.read_bytes(), type=Sheet)
        metrics.close()
        return text, sheet.counts

    text, counts = asyncio.run(main())
    assert total(read(text.decode()), "http_requests_total", code="404") == 1.0
    assert counts.counters["nbmlops_errors", "", "", "not_found"] == 1.0


def test_a_full_disk_stops_nothing_and_is_counted(tmp_path, monkeypatch):
    async def main() -> ServerMetrics:
        metrics = ServerMetrics()
        metrics.share(str(tmp_path))
        metrics.observe_refusal("GET", "", status=404, code="not_found")
        with monkeypatch.context() as patch:
            patch.setattr(module.Path, "write_bytes", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
            metrics.write()
        metrics.close()
        return metrics

    found = read(asyncio.run(main()).text().decode())
    assert total(found, "nbmlops_counts_write_failures_total") == 1.0
    assert total(found, "http_requests_total", code="404") == 1.0


@pytest.mark.integration
def test_a_scrape_tells_the_counts_of_all_scorers_living_and_dead(made, tmp_path):
    config = {
        "endpoint": "flights",
        "token": None,
        "counts": str(tmp_path / "counts"),
        "arms": [{"name": "1", "model": "m", "version": "1", "bundle": str(made("ten"))}],
    }

    def ask(url: str, times: int) -> None:
        for _ in range(times):  # a connection each, so that any scorer may get it
            requests.post(f"{url}/invocations", json={"inputs": {"x": [1.0]}}, timeout=30).raise_for_status()

    def scrape(url: str):
        return read(requests.get(f"{url}/metrics", timeout=30).text)

    with listening() as (listener, url), scorer(listener) as one, scorer(listener) as two:
        for process in (one, two):
            assert process.order(op="configure", config=config)["ok"]
        ask(url, 40)
        figures = [process.order(op="stats")["stats"]["arms"]["1"]["requests"] for process in (one, two)]
        assert sum(figures) == 40
        # Each scorer has written within a second of its last answer; ask until then.
        while (found := total(scrape(url), "http_requests_total", code="200", route="/invocations")) < 40:
            pass
        assert found == 40
        found = scrape(url)
        assert total(found, "nbmlops_scorers") == 2
        assert {dict(key[1:])["pid"] for key in value(found, "process_resident_memory_bytes", role="scorer")} == {
            str(process.popen.pid) for process in (one, two)
        }
        two.popen.send_signal(signal.SIGKILL)
        two.popen.wait()
        found = scrape(url)
        assert total(found, "http_requests_total", code="200", route="/invocations") == 40
        assert total(found, "nbmlops_scorers") == 1
        with scorer(listener) as three:
            assert three.order(op="configure", config=config)["ok"]
            assert one.end() == 0
            assert total(scrape(url), "http_requests_total", code="200", route="/invocations") == 40
            ask(url, 1)
            assert total(scrape(url), "http_requests_total", code="200", route="/invocations") == 41
