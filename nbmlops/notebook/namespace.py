"""Words of a magic's line, looked up among the notebook's variables first and files second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import nearest
from nbmlops.workflows.parameters import read_data


class Variables:
    """Names of a notebook.

    Parameters
    ----------
    namespace : mapping of str to object
        The variables that the line sees; never changed.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace

    def object(self, word: str) -> Any:
        """Return the variable that `word` names (dots reach attributes), else the path of a file that exists."""
        return self._variable(word) if self._is_known(word) else self._path(word)

    def data(self, word: str) -> Any:
        """Return the variable that `word` names, else what the file or URI holds."""
        if self._is_known(word):
            return self._variable(word)
        return read_data(word if "://" in word else self._path(word))

    def _is_known(self, word: str) -> bool:
        return word.partition(".")[0] in self.namespace

    def _variable(self, word: str) -> Any:
        first, *attributes = word.split(".")
        value = self.namespace[first]
        for place, attribute in enumerate(attributes, start=1):
            owner = ".".join([first, *attributes[: place - 1]])
            try:
                value = getattr(value, attribute)
            except AttributeError as error:
                raise NotFound(
                    f"{owner} has no attribute {attribute!r}", hint=nearest(attribute, dir(value))
                ) from error
        return value

    def _path(self, word: str) -> Path:
        path = Path(word).expanduser()
        if path.exists():
            return path
        if not all(part.isidentifier() for part in word.split(".")) and not Path(word).suffix:
            raise InvalidInput(
                f"{word!r} is neither a name nor a file",
                expected="a variable of this notebook, or a path",
                hint="Give the value of an expression a name first.",
            )
        known = [name for name in self.namespace if not name.startswith("_")]
        raise NotFound(f"no variable and no file is named {word!r}", hint=nearest(word, known))
