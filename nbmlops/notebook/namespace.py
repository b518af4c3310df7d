"""Words of a magic's line, looked up among the notebook's variables first and files second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, ModuleType
from typing import Any

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import nearest
from nbmlops.workflows.parameters import read_data

IPYTHONS_OWN = frozenset({"get_ipython", "exit", "quit", "open"})


def own(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that the user made: no modules, no builtins, nothing that IPython itself put there."""
    return {
        name: value
        for name, value in namespace.items()
        if not (name.startswith("_") or name in IPYTHONS_OWN or isinstance(value, (ModuleType, BuiltinFunctionType)))
    }


def fitting(kind: str, namespace: Mapping[str, Any]) -> list[str]:
    """Return the user's names that may stand for a word.

    Parameters
    ----------
    kind : {"object", "data"}
        ``data`` takes frames and arrays, ``object`` what predicts or can be called.
    namespace : mapping of str to object
    """
    # The type is asked, not the object: a property may compute for minutes.
    if kind == "data":
        return [name for name, value in own(namespace).items() if _has(value, "shape", "columns")]
    return [name for name, value in own(namespace).items() if callable(value) or _has(value, "predict", "forward")]


def _has(value: Any, *attributes: str) -> bool:
    return any(hasattr(type(value), attribute) for attribute in attributes)


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
        return self._variable(word) if self._is_known(word) else self._path(word, own(self.namespace))

    def data(self, word: str) -> Any:
        """Return the variable that `word` names, else what the file or URI holds."""
        if self._is_known(word):
            return self._variable(word)
        return read_data(word if "://" in word else self._path(word, fitting("data", self.namespace)))

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

    def _path(self, word: str, known: Iterable[str]) -> Path:
        path = Path(word).expanduser()
        if path.exists():
            return path
        if not all(part.isidentifier() for part in word.split(".")) and not Path(word).suffix:
            raise InvalidInput(
                f"{word!r} is neither a name nor a file",
                expected="a variable of this notebook, or a path",
                hint="Give the value of an expression a name first.",
            )
        raise NotFound(f"no variable and no file is named {word!r}", hint=nearest(word, known))
