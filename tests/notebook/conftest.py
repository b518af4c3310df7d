"""A notebook with the magics, and a verb that only tells what it was given."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from nbmlops.core.errors import NotFound
from nbmlops.core.progress import stage
from nbmlops.notebook.magics import VerbMagic
from nbmlops.testing.shell import Notebook, notebook
from nbmlops.workflows import verbs
from nbmlops.workflows.parameters import Assets, DataArg, EndpointName, ModelRef, Obj, Parameter, Reason, Tags
from nbmlops.workflows.verbs import Verb


def probe(
    obj: Obj,
    *,
    name: Annotated[str, Parameter("Its name.", "NAME")] = "unnamed",
    data: DataArg | None = None,
    tags: Tags | None = None,
    assets: Assets | None = None,
    endpoint: EndpointName | None = None,
    auth: Annotated[bool, Parameter("Serve without a token.")] = True,
    plan: Annotated[bool, Parameter("Show the plan.")] = False,
    reason: Reason | None = None,
) -> dict[str, Any]:
    """Tell what was given.

    More about it.

    Parameters
    ----------
    obj : object
    """
    given = dict(locals())
    stage("probing")
    return given


def inspect_model(ref: ModelRef) -> str:
    """Return the reference, or fail."""
    if ref.startswith("no"):
        raise NotFound(f"no model is named {ref!r}", hint="Did you mean flights?")
    if ref == "broken":
        raise ZeroDivisionError("a bug")
    return ref


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    # tmp_path: a test may go into its folder, which must outlive the shell.
    stubs = types.ModuleType("nbmlops_stub_verbs")
    stubs.probe, stubs.inspect_model = probe, inspect_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, stubs.__name__, stubs)
    with notebook() as opened:
        for name, function in (("probe", probe), ("inspect_model", inspect_model)):
            verb = Verb(name, f"{stubs.__name__}:{name}", function.__doc__.splitlines()[0], magic=name, cli=name)
            monkeypatch.setitem(verbs.MAGICS, name, verb)
            opened.shell.register_magic_function(VerbMagic(verb, opened.shell), "line", name)
        yield opened
