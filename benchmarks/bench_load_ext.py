"""What ``%load_ext nbmlops`` adds to a bare kernel that is already up, against ``import mlflow`` in the same kernel."""

from __future__ import annotations

from dataclasses import replace

import harness

SHELL = """
import time
import ipykernel.kernelapp
from ipykernel.zmqshell import ZMQInteractiveShell
shell = ZMQInteractiveShell.instance()
began = time.perf_counter()
{work}
print(time.perf_counter() - began)
"""

CASES = {
    "import mlflow": "import mlflow",
    "%load_ext nbmlops": "shell.run_line_magic('load_ext', 'nbmlops')",
    "%load_ext nbmlops, then the first %deploy --help": (
        "shell.run_line_magic('load_ext', 'nbmlops'); shell.run_line_magic('deploy', '--help')"
    ),
    "%load_ext autoreload (the floor)": "shell.run_line_magic('load_ext', 'autoreload')",
}

if __name__ == "__main__":
    made = harness.compare(
        "Loading the extension",
        {name: harness.in_new_interpreter(SHELL.format(work=work)) for name, work in CASES.items()},
    )
    goal = "%load_ext nbmlops adds at most 0.15 s"
    harness.report(replace(made, peer="import mlflow", goal=goal, packages=("ipykernel", "ipython", "mlflow")))
