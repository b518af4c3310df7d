from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from nbmlops.serving.metrics import Histogram

ONE = {"inputs": {"x": [1.0]}}


def samples(served):
    answer = served.get("/metrics", authorization="Bearer t")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in families}) == len(families)
    return {(sample.name, *sorted(sample.labels.items())): sample.value for f in families for sample in f.samples}


def value(found, name, **labels):
    return {key: v for key, v in found.items() if key[0] == name and set(labels.items()) <= set(key[1:])}


def test_the_official_parser_reads_what_happened(served, made):
    served.configure(("1", made("ten"), 100), ("2", made("twenty"), 0), token="t")
    for _ in range(3):
        served.post(ONE, authorization="Bearer t")
    served.post({"inputs": {"x": [1.0] * 5}}, authorization="Bearer t")
    served.post({"inputs": {}}, authorization="Bearer t")
    served.post(ONE)
    found = samples(served)
    assert list(value(found, "nbmlops_requests_total", version="1", code="200").values()) == [4.0]
    assert list(value(found, "nbmlops_requests_total", version="1", code="422").values()) == [1.0]
    assert list(value(found, "nbmlops_requests_total", version="", code="401").values()) == [1.0]
    assert list(value(found, "nbmlops_errors_total", error="invalid_input").values()) == [1.0]
    assert list(value(found, "nbmlops_request_duration_seconds_count", version="1").values()) == [5.0]
    assert list(value(found, "nbmlops_batch_rows_sum", version="1").values()) == [8.0]
    assert list(value(found, "nbmlops_batch_rows_count", version="1").values()) == [4.0]
    assert list(value(found, "nbmlops_requests_in_flight", version="1").values()) == [0.0]
    assert list(value(found, "nbmlops_traffic_weight", version="2").values()) == [0.0]
    assert len(value(found, "nbmlops_model_info", runtime="onnx", model="flights")) == 2
    assert value(found, "nbmlops_queue_depth", version="1")
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"):
        assert all(number > 0 for number in value(found, name).values()), name


def test_labels_with_quotes_survive(served, made):
    arm = {"name": 'a"b\\c\n', "model": "m", "version": 'v"\n', "bundle": str(made("ten"))}
    served.run(served.control.configure({"endpoint": 'e"', "token": "t", "arms": [arm]}))
    header = served.post(ONE, authorization="Bearer t").headers["x-nbmlops-version"]
    assert header == 'a"b\\c?'
    assert value(samples(served), "nbmlops_model_info", arm='a"b\\c\n', endpoint='e"')


def test_a_value_on_a_bound_belongs_to_that_bucket():
    histogram = Histogram((1, 2))
    for number in (0.5, 1, 1.5, 2, 3):
        histogram.observe(number)
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 8.0
