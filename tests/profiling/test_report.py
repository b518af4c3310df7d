from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from matplotlib import image

from nbmlops.core.errors import Corrupt
from nbmlops.profiling import ProfileReport
from nbmlops.profiling.plot import png
from nbmlops.profiling.recommend import recommend
from tests.profiling.conftest import make_level


def test_a_report_survives_being_stored(report):
    assert ProfileReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_what_is_no_report_is_refused():
    with pytest.raises(Corrupt, match="can't be read"):
        ProfileReport.from_dict({"levels": 3})


def test_a_report_shows_levels_errors_and_the_rule_as_text_and_as_a_page(report):
    page, text = report._repr_html_(), report._show_().text
    for words in ("p99 ms", "83 MiB at most", "--memory 128", "1 worker", "5 (429: 5)", "to the next 64 MiB"):
        assert words in page
        assert words in text
    assert "data:image/png;base64," in page


def test_the_picture_is_transparent_and_shows_every_level(report):
    picture = image.imread(io.BytesIO(png(report.plot())))
    assert picture.shape[2] == 4
    assert picture[0, 0, 3] == 0
    latency, rate = report.plot().axes
    assert [list(line.get_ydata()) for line in latency.lines] == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert [bar.get_height() for bar in rate.patches] == [50.0, 300.0, 50.0]


def test_nothing_heavy_is_imported_before_the_picture():
    script = "import sys, nbmlops.profiling; print({'matplotlib', 'mlflow', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(("peak", "memory"), [(83.0, 128), (85.4, 192), (42.6, 64), (0.1, 64)])
def test_memory_is_half_as_much_again_to_the_next_64_mib(peak, memory):
    assert recommend([make_level()], peak, 4).memory_mib == memory


@pytest.mark.parametrize(("p95", "workers"), [(2.0, 1), (250.0, 1), (251.0, 2), (600.0, 3), (9000.0, 4)])
def test_workers_keep_p95_prompt_at_the_highest_concurrency(p95, workers):
    levels = [make_level(1, p95_ms=9999.0), make_level(32, p95_ms=p95)]
    assert recommend(levels, 80.0, 4).workers == workers


@pytest.mark.parametrize(
    ("used", "p95", "cores"), [(0.2, 1.0, 0.5), (0.9, 1.0, 1.0), (0.9, 300.0, 2.0), (0.9, 9e3, 4.0)]
)
def test_cores_are_what_the_workers_use_and_never_more_than_there_are(used, p95, cores):
    assert recommend([make_level(cores=used, p95_ms=p95)], 80.0, 4).cores == cores


def test_the_rule_has_its_numbers(report):
    rule = report.recommendation.rule
    for words in ("32 connections", "2.0 ms", "4 cores", "0.40", "83 MiB"):
        assert words in rule
