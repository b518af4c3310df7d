from __future__ import annotations

import asyncio

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from nbmlops.serving import families, metrics
from nbmlops.serving.counts import Counts
from nbmlops.serving.metrics import Histogram

ONE = {"inputs": {"x": [1.0]}}


def read(text: str, parse=text_string_to_metric_families):
    """Return the samples, each once; the families must be told once too."""
    found = list(parse(text))
    assert len({family.name for family in found}) == len(found)
    samples = [((sample.name, *sorted(sample.labels.items())), sample.value) for f in found for sample in f.samples]
    assert len(dict(samples)) == len(samples)
    return dict(samples)


def samples(served):
    answer = served.get("/metrics", authorization="Bearer t")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(answer.body.decode())


def value(found, name, **labels):
    return {key: v for key, v in found.items() if key[0] == name and set(labels.items()) <= set(key[1:])}


def total(found, name, **labels):
    return sum(value(found, name, **labels).values())


def test_the_official_parser_reads_what_happened(served, made):
    served.configure(("1", made("ten"), 100), ("2", made("twenty"), 0), token="t")
    for _ in range(3):
        served.post(ONE, authorization="Bearer t")
    served.post({"inputs": {"x": [1.0] * 5}}, authorization="Bearer t")
    served.post({"inputs": {}}, authorization="Bearer t")
    served.post(ONE)
    found = samples(served)
    scored = {"version": "1", "method": "POST", "route": "/invocations", "model": "flights", "endpoint": "flights"}
    assert list(value(found, "http_requests_total", code="200", **scored).values()) == [4.0]
    assert list(value(found, "http_requests_total", code="422", **scored).values()) == [1.0]
    assert list(value(found, "http_requests_total", version="", route="/invocations", code="401").values()) == [1.0]
    assert list(value(found, "http_requests_total", version="2", code="200").values()) == [0.0]
    assert list(value(found, "nbmlops_errors_total", error_type="invalid_input").values()) == [1.0]
    assert list(value(found, "nbmlops_errors_total", error_type="unauthorized").values()) == [1.0]
    duration = "http_server_request_duration_seconds"
    assert total(found, f"{duration}_count", version="1", http_response_status_code="200", error_type="") == 4.0
    assert total(found, f"{duration}_count", version="1", error_type="invalid_input") == 1.0
    assert total(found, f"{duration}_count", version="1", http_route="/invocations", http_request_method="POST") == 5.0
    assert total(found, f"{duration}_sum", version="1") > 0
    assert list(value(found, "nbmlops_batch_rows_sum", version="1").values()) == [8.0]
    assert list(value(found, "nbmlops_batch_rows_count", version="1").values()) == [4.0]
    assert list(value(found, "http_server_active_requests", version="1").values()) == [0.0]
    assert list(value(found, "nbmlops_traffic_weight", version="2").values()) == [0.0]
    assert list(value(found, "nbmlops_model_ready", version="2").values()) == [1.0]
    assert len(value(found, "nbmlops_model_info", runtime="onnx", model="flights")) == 2
    assert value(found, "nbmlops_queue_depth", version="1")


def test_the_process_has_the_names_that_every_client_library_gives(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    found = samples(served)
    for name in (
        "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_cpu_seconds_total",
        "process_start_time_seconds", "process_open_fds", "process_max_fds",
    ):  # fmt: skip
        assert all(number > 0 for number in value(found, name, role="scorer").values()), name
        assert len(value(found, name, role="scorer")) == 1, name


def test_openmetrics_is_spoken_to_those_who_ask_for_it(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    served.post(ONE, authorization="Bearer t")
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    answer = served.get("/metrics", authorization="Bearer t", accept=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = read(answer.body.decode(), open_families)
    assert total(found, "http_requests_total", code="200") == 1.0
    assert served.application.metrics.exposition(b"text/plain;version=x")[1].startswith(b"text/plain; version=0.0.4")
    assert served.application.metrics.exposition(None)[1] == metrics.CONTENT_TYPE.encode()


def test_labels_with_quotes_survive(served, made):
    arm = {"name": 'a"b\\c\n', "model": "m", "version": 'v"\n', "bundle": str(made("ten"))}
    served.run(served.control.configure({"endpoint": 'e"', "token": "t", "arms": [arm]}))
    header = served.post(ONE, authorization="Bearer t").headers["x-nbmlops-version"]
    assert header == 'a"b\\c?'
    assert value(samples(served), "nbmlops_model_info", arm='a"b\\c\n', endpoint='e"')


def test_what_an_arm_counted_outlives_it(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    for _ in range(3):
        served.post(ONE, authorization="Bearer t")
    served.configure(("1", made("twenty"), 100), token="t")  # the same version, from another bundle
    assert total(samples(served), "http_requests_total", version="1", code="200") == 3.0
    served.post(ONE, authorization="Bearer t")
    served.configure(("2", made("ten"), 100), token="t")
    found = samples(served)
    assert total(found, "http_requests_total", version="1", code="200") == 4.0
    assert total(found, "nbmlops_batch_rows_sum", version="1") == 4.0
    assert not value(found, "http_server_active_requests", version="1")


def test_what_others_count_is_told_too(served, made):
    served.configure(("1", made("ten"), 100), token="t")

    def source(counts: Counts) -> None:
        counts.count(("nbmlops_capture_records", "dropped"), 2)
        counts.measure(("nbmlops_capture_pending",), 5)

    served.application.metrics.sources.append(source)
    found = samples(served)
    assert list(value(found, "nbmlops_capture_records_total", outcome="dropped").values()) == [2.0]
    assert list(value(found, "nbmlops_capture_pending").values()) == [5.0]


def test_the_routes_are_told_apart(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    arm = served.application.router.arms["1"]
    arm.metrics.observe(200, None, 0.001, wire="oip")
    arm.metrics.observe(422, "invalid_input", 0.001, wire="oip")
    found = samples(served)
    assert total(found, "http_requests_total", route="/v2/models/{model}/infer") == 2.0
    assert total(found, "http_requests_total", route="/invocations") == 0.0
    assert dict(arm.metrics.requests) == {200: 1, 422: 1}
    assert dict(arm.metrics.errors) == {"invalid_input": 1}


def test_methods_of_the_callers_own_invention_are_one(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    for method in ("GET", "BREW", "FROTH"):
        served.run(served.request(method, "/docs", headers={"authorization": "Bearer t"}))
    served.get("/no/such/path", authorization="Bearer t")
    found = samples(served)
    assert total(found, "http_requests_total", method="_OTHER", route="/docs", code="405") == 2.0
    assert total(found, "http_requests_total", method="GET", route="/docs", code="200") == 1.0
    assert total(found, "http_requests_total", method="GET", route="", code="404") == 1.0
    assert total(samples(served), "http_requests_total", route="/metrics", code="200") == 1.0


def test_what_is_captured_is_told_with_its_window(served, made, tmp_path):
    capture = {"folder": str(tmp_path / "a"), "mode": "strict", "window_s": 0.25}
    served.configure(("1", made("ten"), 100), token="t", capture=capture)
    for _ in range(3):
        served.post(ONE, authorization="Bearer t")
    found = samples(served)
    assert total(found, "nbmlops_capture_records_total", outcome="committed") == 3.0
    assert total(found, "nbmlops_capture_records_total", outcome="dropped") == 0.0
    assert list(value(found, "nbmlops_capture_records_total", outcome="dropped").values()) == [0.0]
    assert list(value(found, "nbmlops_capture_window_seconds").values()) == [0.25]
    assert list(value(found, "nbmlops_capture_pending").values()) == [0.0]
    assert list(value(found, "nbmlops_capture_failing").values()) == [0.0]
    served.configure(("1", made("ten"), 100), token="t", capture={**capture, "folder": str(tmp_path / "b")})
    served.post(ONE, authorization="Bearer t")
    assert total(samples(served), "nbmlops_capture_records_total", outcome="committed") == 4.0
    served.configure(("1", made("ten"), 100), token="t")
    assert total(samples(served), "nbmlops_capture_records_total", outcome="committed") == 4.0


def test_shadows_and_what_guardrails_judge_by_are_told(served, made):
    arms = [
        {"name": name, "model": "m", "version": name, "bundle": str(made("ten")), "weight": weight, "shadow": shadow}
        for name, weight, shadow in (("1", 100, 0), ("2", 0, 100))
    ]
    served.run(served.control.configure({"endpoint": "e", "token": "t", "arms": arms}))
    for _ in range(5):
        served.post(ONE, authorization="Bearer t")

    async def compared() -> None:
        while served.application.notes.shadows.comparisons["2"].pairs < 5:
            await asyncio.sleep(0)

    served.run(asyncio.wait_for(compared(), 30))
    found = samples(served)
    assert total(found, "nbmlops_shadow_requests_total", version="2", outcome="compared") == 5.0
    assert total(found, "nbmlops_shadow_agreeing_requests_total", version="2") == 5.0
    assert total(found, "nbmlops_guardrail_observations_total", version="1", outcome="answered") == 5.0
    assert total(found, "nbmlops_shadow_percent", version="2") == 100.0


def test_a_value_on_a_bound_belongs_to_that_bucket():
    histogram = Histogram((1, 2))
    for number in (0.5, 1, 1.5, 2, 3):
        histogram.observe(number)
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 8.0


@pytest.mark.parametrize("table", [families.COUNTERS, families.GAUGES, families.HISTOGRAMS])
def test_names_and_units_follow_the_convention(table):
    for name, family in table.items():
        assert name.startswith(("http_", "process_", "nbmlops_")), name
        assert not name.endswith(("_total", "_ms", "_milliseconds", "_mb")), name
        assert family.help.endswith("."), name
