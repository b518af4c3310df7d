"""The scoring script: a cell, or a function, that is registered and served like a model."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from nbmlops.core.display import Card, Shown
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record, frozen_map
from nbmlops.workflows.parameters import Assets, DataArg, Parameter, Trust, read_data
from nbmlops.workflows.script import check_function, make_script, own_globals, scored_by

Body = Annotated[Any, Parameter("The cell's text.", "CELL", cell=True)]
VariableName = Annotated[str, Parameter("The variable that holds the script from then on.", "NAME")]
Models = Annotated[
    Mapping[str, str],
    Parameter(
        "A registered model that the script finds under a name of its own: NAME=REF; may be repeated.",
        "NAME=REF",
        read=lambda words, names: _models(words),
        many=True,
        option="model",
    ),
]


@dataclass(frozen=True)
class Entry(Record, Shown):
    """A scoring script. Call it with data: that is what a request to its endpoint does.

    Attributes
    ----------
    name : str
        The variable that holds it.
    function : str
        Name of the function that scores.
    model : object
        What is registered: it has ``predict``, or is the function itself.
    given : tuple of str
        Names of the notebook that the script uses; it keeps what they were when it was made.
    models : mapping of str to str
        Name in the script -> the model version that it holds.
    assets : tuple of pathlib.Path
        Files and folders that go with it, relative to the current folder.
    data : table or array or None
        Rows as the script takes them: its signature.
    """

    name: str
    function: str
    model: Any = field(repr=False, compare=False)
    given: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=frozen_map)
    assets: tuple[Path, ...] = ()
    data: Any = field(default=None, repr=False, compare=False)

    def __call__(self, data: Any, **params: Any) -> Any:
        """Return what the script answers to `data`; `params` are the function's further arguments."""
        predict = getattr(self.model, "predict", self.model)
        return predict(data, **params)

    def _show_(self) -> Card:
        fields = {
            "scores with": self.function,
            "uses": self.given,
            "models": self.models,
            "assets": [str(path) for path in self.assets],
            "signature": "none: give --data, so that requests are checked" if self.data is None else "from its data",
        }
        note = f"{self.name}(rows) runs it here. %register_model {self.name} --name NAME registers it."
        return Card(title=f"Scoring script {self.name}", fields=fields, note=note)


def entry(
    source: Body,
    name: VariableName,
    *,
    data: DataArg | None = None,
    assets: Assets | None = None,
    models: Models | None = None,
    trust: Trust = False,
) -> Entry:
    """Make a scoring script of a cell.

    The cell defines init() and run(data), or one function of the data; init runs once, before the first request. The
    script runs in a namespace of its own. It sees what it defines itself, and the names of the notebook that it uses
    as they are now. Assets are opened by the same relative path in the notebook and where it is served.

    Parameters
    ----------
    source : str or callable
        The text, or a function.
    name : str
    data : DataFrame or array, optional, shape (n_samples, n_features)
        Rows as the script takes them. A request that does not fit them is refused with 422.
    assets : sequence of path, optional
        Below the current folder.
    models : mapping of str to str, optional
        Name in the script -> reference of a registered model.
    trust : bool, default False
        Load models that this workspace did not register.

    Returns
    -------
    Entry

    Raises
    ------
    InvalidInput
        The text is no Python, or it is not clear which function scores.
    """
    if not name.isidentifier():
        raise InvalidInput(f"{name!r} is no name for a variable", expected="a name such as score")
    facts: dict[str, Any] = {"assets": _assets(assets or ()), "data": read_data(data)}
    if callable(source):
        if models:
            raise InvalidInput("a function has its models already", expected="models for a script given as text")
        check_function(source)
        return Entry(name, getattr(source, "__name__", name), source, **facts)
    file = f"<entry {name}>"
    function = scored_by(source, file)
    references, loaded = _load(models or {}, trust=trust)
    given = {word: value for word, value in _used(source).items() if word not in loaded}
    script = make_script(source, file, function=function, given=given | loaded)
    check_function(script.names[function])
    return Entry(name, function, script, tuple(sorted(given)), frozen_map(references), **facts)


def _used(source: str) -> dict[str, Any]:
    """Return the notebook's names that a text uses and does not define."""
    from nbmlops.capture.flow import flow
    from nbmlops.capture.notebook import current_shell

    shell = current_shell()
    names = vars(sys.modules["__main__"]) if shell is None else shell.user_ns
    found = flow(source)
    wanted = (found.reads | found.deferred - found.binds) - own_globals(source)
    return {word: names[word] for word in wanted if word in names and not hasattr(builtins, word)}


def _load(models: Mapping[str, str], *, trust: bool) -> tuple[dict[str, str], dict[str, Any]]:
    """Return name -> the exact version, and name -> its object."""
    if not models:
        return {}, {}
    from nbmlops.workflows.session import current

    registry = current().registry
    references = {name: registry.version(ref).reference for name, ref in models.items()}
    return references, {name: registry.load(ref, trust=trust) for name, ref in references.items()}


def _models(words: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Read ``NAME=REF`` words; a reference alone is called ``model``."""
    if isinstance(words, Mapping):
        return dict(words)
    read: dict[str, str] = {}
    for word in words:
        name, equals, ref = word.partition("=")
        name, ref = (name, ref) if equals else ("model", word)
        if not name.isidentifier() or name in read:
            raise InvalidInput(f"{word!r} is no model of a script", expected="NAME=REF, each name once")
        read[name] = ref
    return read


def _assets(assets: Sequence[str | Path]) -> tuple[Path, ...]:
    paths = tuple(Path(asset) for asset in assets)
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInput(
                f"asset {str(path)!r} lies outside of the current folder",
                expected="a path below it, which leads to the same file where the script is served",
                hint="Copy it beside the notebook.",
            )
        if not path.exists():
            raise InvalidInput(f"there is no asset {str(path)!r}", expected="a file or folder below the current one")
    return paths
