"""README's example runs as it is written, and links between the documents lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")

FITTED = """
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
rng = np.random.default_rng(0)
train = pd.DataFrame(rng.normal(size=(200, 2)), columns=["hour", "distance"])
train["late"] = (train.hour > 0).astype(int)
test = train.drop(columns="late").head(7)
model = LogisticRegression().fit(train.drop(columns="late"), train.late)
better = LogisticRegression(C=10).fit(train.drop(columns="late"), train.late)
"""
RUN = """
import sys
from nbmlops.testing.shell import notebook
with notebook() as cells:
    try:
        ran = [cells.run(cell) for cell in sys.argv[1:]]
        for run in ran:
            assert run.error is None, run.stdout
        fitted, deployed, rolled_out, trusted = ran
        assert len(deployed.result) == 7, deployed.result
        assert list(rolled_out.result.version) == ["1"] * 7, rolled_out.result
        assert trusted.result.residual < 1e-6, trusted.result
    finally:
        cells.run("nbmlops.down()")
"""


def links() -> list[tuple[Path, str]]:
    found = [(document, link) for document in DOCUMENTS for link in LINK.findall(document.read_text())]
    return [(document, link) for document, link in found if "://" not in link and not link.startswith("mailto:")]


def test_links_between_documents_lead_somewhere() -> None:
    assert len(links()) > 5
    assert [f"{file.name}: {link}" for file, link in links() if not (file.parent / link).exists()] == []


@pytest.mark.integration
def test_the_examples_run_as_written(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / ".nbmlops").mkdir()
    command = [sys.executable, "-c", RUN, FITTED, *examples]
    environment = os.environ | {"NBMLOPS_WORKSPACE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
