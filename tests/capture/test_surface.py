from __future__ import annotations

import subprocess
import sys

import nbmlops.capture


def test_every_public_name_is_there() -> None:
    for name in nbmlops.capture.__all__:
        assert getattr(nbmlops.capture, name).__name__ == name
    assert not hasattr(nbmlops.capture, "never_heard_of")
    assert {name for names in nbmlops.capture._HOMES.values() for name in names} == set(nbmlops.capture.__all__)


def test_the_recorder_loads_nothing_of_weight() -> None:
    script = "import sys\nfrom nbmlops.capture import watch\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "pandas", "pyarrow", "mlflow", "sklearn", "packaging", "IPython"}
