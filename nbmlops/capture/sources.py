"""The text of functions that live in cells: it travels with the model, so that a traceback elsewhere shows it."""

from __future__ import annotations

import linecache
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from nbmlops.capture.objects import travelling

LONGEST = 20_000  # lines of one cell
KERNEL_FOLDER = "ipykernel_"  # in the names that ipykernel gives to cells; a debugger writes such files


def cell_sources(*objects: Any) -> dict[str, str]:
    """Return the name that Python gave to each cell -> its text, of the cells that the objects' functions live in.

    Only the lines of those functions are in it; all others are empty, so that numbers stay right and nothing else
    that a cell holds (a password, a path) travels along.

    Parameters
    ----------
    *objects : object
        The model, and whatever else is stored by value.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for code in travelling(*objects):
        if _is_cell(code.co_filename):
            wanted[code.co_filename].update(range(code.co_firstlineno, _last_line(code) + 1))
    return {name: text for name, lines in sorted(wanted.items()) if (text := _text(name, lines))}


def _is_cell(name: str) -> bool:
    return name in linecache.cache and (KERNEL_FOLDER in name or not Path(name).exists())


def _last_line(code: CodeType) -> int:
    ends = [end for _, end, _, _ in code.co_positions() if end is not None]
    return max([code.co_firstlineno, *ends, *map(_last_line, _inner(code))])


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _text(name: str, wanted: set[int]) -> str:
    lines = linecache.getlines(name)[: min(LONGEST, max(wanted))]
    kept = [line.rstrip("\n") if number in wanted else "" for number, line in enumerate(lines, start=1)]
    return "\n".join(kept) + "\n" if any(kept) else ""
