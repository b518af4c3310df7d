"""The notebook file as it was last saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.capture.lineage import Run

LARGEST = 64 * 1024 * 1024  # bytes: a notebook beyond that is mostly pictures, and takes a second to read


@dataclass(frozen=True)
class SavedCell:
    """A code cell of the file: its place among them, its id (empty before nbformat 4.5) and its source."""

    position: int
    id: str
    source: str


@dataclass(frozen=True)
class SavedNotebook:
    """The code cells of a notebook file, and when it was saved.

    Attributes
    ----------
    cells : tuple of SavedCell
        From top to bottom.
    saved_at : float, seconds since the epoch
    """

    cells: tuple[SavedCell, ...]
    saved_at: float

    def find(self, run: Run) -> SavedCell | None:
        """Return the cell that `run` executed: by its id, else by its source."""
        by_id = next((cell for cell in self.cells if run.cell_id and cell.id == run.cell_id), None)
        return by_id or next((cell for cell in self.cells if same(cell.source, run.source)), None)

    def position(self, run: Run) -> int | None:
        """Return the place of the cell that `run` executed, or None."""
        cell = self.find(run)
        return None if cell is None else cell.position

    def state(self, run: Run) -> str:
        """Say whether the file holds what `run` executed.

        Returns
        -------
        str
            ``saved``; ``edited`` or ``gone`` where the file was saved after the run; ``unknown`` where it was not,
            since the cell may have been typed after the last save.
        """
        cell = self.find(run)
        if cell is not None and same(cell.source, run.source):
            return "saved"
        if run.started_at is None or run.started_at > self.saved_at:
            return "unknown"
        return "gone" if cell is None else "edited"


def same(first: str, second: str) -> bool:
    """Say whether two sources are one, line ends and outer blank lines apart."""
    return first.replace("\r\n", "\n").strip() == second.replace("\r\n", "\n").strip()


def read_notebook(path: Path) -> SavedNotebook | None:
    """Return the notebook file, or None where it is missing, too large, or no notebook of format 4."""
    try:
        facts = path.stat()
        content = json.loads(path.read_text("utf-8")) if facts.st_size <= LARGEST else None
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        return None
    code = [cell for cell in content["cells"] if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    cells = (SavedCell(place, str(cell.get("id", "")), _source(cell)) for place, cell in enumerate(code))
    return SavedNotebook(tuple(cells), facts.st_mtime)


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)
