"""What a server that fails in a fresh environment lacks, by name, and what to do about it."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.capture.distributions import canonical, installed
from nbmlops.capture.notebook import current_shell
from nbmlops.core.errors import NbmlopsError, Refused, ScoringError

if TYPE_CHECKING:
    from nbmlops.registry import Reference

AGAIN = "register the model again, then deploy that version"
IN_THE_KERNEL = "it is a name of this notebook"


def explain(error: NbmlopsError, reference: str, *, notes: Iterable[str] = ()) -> Refused:
    """Return a failed proof as a refusal that names what is missing.

    Parameters
    ----------
    error : EndpointError or ScoringError
        Why the server did not start, or did not answer; of the model's traceback the last error counts.
    reference : str
        The model version.
    notes : iterable of str
        What was noticed at its registration; what concerns the missing name is repeated.
    """
    text = "\n".join([str(error), error.traceback if isinstance(error, ScoringError) else ""])
    told = [(match.start(), match.groups(), tell) for pattern, tell in _TELLING for match in re.finditer(pattern, text)]
    found = None
    if told:  # what was raised last says it: an exception follows the one that it was raised for
        _, groups, tell = max(told, key=lambda one: one[0])
        found = tell(*groups)
    what, remedy = found or (_last_line(text), f"Its traceback is the cause of this error. Mend it, {AGAIN}.")
    said = "".join(f" Noticed at its registration: {note}." for note in notes)
    return Refused(
        f"{reference} does not work in a fresh environment: {what}",
        expected="everything that it needs in its bundle and its lock",
        hint=f"{remedy}{said}",
    )


def _module(name: str) -> tuple[str, str]:
    top = name.partition(".")[0]
    owners = sorted(installed().owners([name]) or installed().owners([top]))
    place = _own_module(top)
    if owners and (place is None or not _is_editable(owners)):
        packages = ", ".join(owners)
        return (
            f"package {packages} (module {name!r}) is not in its lock, since it is imported only when the model runs",
            f"Write `import {top}` in the cell or module that uses it, {AGAIN}.",
        )
    if place is not None:
        return (
            f"helper module {top!r} ({place}) was not shipped with it",
            f"Import it at the top of the cell or module that uses it (`import {top}`), {AGAIN}.",
        )
    return f"module {name!r} is missing, and this kernel has none either", f"Install what holds it, {AGAIN}."


def _own_module(top: str) -> str | None:
    """Return the path of a module of the project, as this kernel knows it."""
    module = sys.modules.get(top)
    try:
        spec = module.__spec__ if module is not None else importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    origin = spec.origin if spec is not None else None
    return origin if origin not in (None, "built-in", "frozen") else None


def _is_editable(packages: Iterable[str]) -> bool:
    return any(installed().by_name[name].origin[0] == "editable" for name in packages)


def _import(name: str, module: str) -> tuple[str, str]:
    owners = installed().owners([module])
    here = "".join(
        f"; this kernel has {one} {installed().by_name[one].version}" for one in map(canonical, sorted(owners))
    )
    return (
        f"{module!r} has no {name!r} in the version that is locked{here}",
        f"Import what the model uses in the kernel that it was fitted in, {AGAIN}.",
    )


def _file(path: str) -> tuple[str, str]:
    if Path(path).is_absolute():
        return f"file {path} is missing", f"Keep it below the notebook's folder, open it by a relative path, {AGAIN}."
    there = "" if Path(path).exists() else ", and it is not below this kernel's folder either"
    return (
        f"file {path!r}, opened by a relative path, was not shipped with it{there}",
        f"Register the model again with --asset {path}, then deploy that version.",
    )


def _name(name: str) -> tuple[str, str]:
    shell = current_shell()
    names: Any = vars(sys.modules["__main__"]) if shell is None else shell.user_ns
    known = f", {IN_THE_KERNEL}" if name in names else ""
    return (
        f"the name {name!r} that its code relies on is not defined where it is served{known}",
        f"Define {name!r} in the same cell or module, or pass it as an argument, {AGAIN}.",
    )


def _attribute(name: str) -> tuple[str, str]:
    return (
        f"function or class {name!r} of the notebook was not shipped with it",
        f"Run the cell that defines {name!r} again, {AGAIN}.",
    )


def _column(name: str) -> tuple[str, str]:
    return (
        f"its code asks for {name}, which the rows that were saved with it lack",
        f"Give the data as the model takes it (--data), {AGAIN}.",
    )


_TELLING: tuple[tuple[str, Callable[..., tuple[str, str]]], ...] = (
    (r"No module named '([^']+)'", _module),
    (r"cannot import name '([^']+)' from '([^']+)'", _import),
    (r"No such file or directory: '([^']+)'", _file),
    (r"Can't get attribute '([^']+)' on <module '__main__'", _attribute),
    (r"(?:name|local variable) '([^']+)' is not defined", _name),
    (r"KeyError: (['\"].+?['\"])", _column),
)


def _last_line(text: str) -> str:
    """Return what was raised: the first line of the message, and the last of the traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " … ".join(dict.fromkeys([lines[0].rstrip("."), lines[-1]])) if lines else "it failed"


def reordered(reference: Reference, columns: Any) -> str:
    """Return what differs between the categories of the saved rows and those of a served signature; else nothing."""
    told = columns if isinstance(columns, (list, tuple)) else ()
    served = {str(one.get("name")): one.get("categories") for one in told}
    found = []
    for name, column in reference.inputs.items():
        fitted = getattr(column.dtype, "categories", None)
        listed = served.get(str(name))
        if fitted is None or listed is None or [str(one) for one in fitted] == [str(one) for one in listed]:
            continue
        found.append(
            f"column {str(name)!r} was fitted with its categories in the order {', '.join(map(str, fitted))} "
            f"and is served with {', '.join(map(str, listed))}"
        )
    return "; ".join(found)
