"""The page of the docs is made from what was measured, and nothing is left out of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nbmlops.testing.estimators import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
SAMPLES, RESULTS = ROOT / "benchmarks/results/conversion.json", ROOT / "benchmarks/results/conversion.md"
PAGE = ROOT / "docs/conversion-matrix.md"
AGAIN = "Run make bench-conversion, which measures every case and writes the page."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both pages, made anew from the samples in the repository."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(SAMPLES, folder)
    tool = ROOT / "benchmarks/bench_conversion.py"
    subprocess.run([sys.executable, str(tool), "--again", "--out", str(folder)], check=True, capture_output=True)
    return folder


def test_the_pages_say_what_was_measured_and_nothing_else(made):
    assert (made / PAGE.name).read_text() == PAGE.read_text(), AGAIN
    assert (made / RESULTS.name).read_text() == RESULTS.read_text(), AGAIN


def test_every_case_was_measured_and_is_on_the_page_once(made):
    cases = json.loads(SAMPLES.read_text())["cases"]
    assert list(cases) == [case.name for case in CATALOGUE], AGAIN
    told = PAGE.read_text().partition("## Traps")[0]
    for name in cases:
        assert told.count(f"\n| {name} |") == 1, name


def test_nothing_that_was_measured_is_wrong_and_what_stays_says_why():
    for name, case in json.loads(SAMPLES.read_text())["cases"].items():
        assert case["reason"], name
        if "check" in case:
            assert case["check"]["wrong"] == 0, name
            assert case["check"]["rows"] >= 1000, name


def test_a_wrong_conversion_ends_the_benchmark_with_an_error(made, tmp_path):
    found = json.loads(SAMPLES.read_text())
    name = next(name for name, case in found["cases"].items() if "check" in case)
    found["cases"][name]["check"]["wrong"] = 1
    (tmp_path / SAMPLES.name).write_text(json.dumps(found))
    tool = ROOT / "benchmarks/bench_conversion.py"
    done = subprocess.run(
        [sys.executable, str(tool), "--again", "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert name in done.stdout
