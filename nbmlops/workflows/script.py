"""A scoring script as an object with ``predict``: stored by value, so that it runs where nbmlops is not installed."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from nbmlops.core.errors import InvalidInput

INIT, RUN = "init", "run"
FORMS = "init() and run(data), or exactly one function of the data"


def scored_by(source: str, file: str) -> str:
    """Return the name of the function that scores.

    Parameters
    ----------
    source : str
    file : str
        What the script is called in tracebacks.

    Raises
    ------
    InvalidInput
        When the text is no Python, or it is not clear which function scores.
    """
    try:
        tree = ast.parse(source, file)
    except SyntaxError as error:
        raise InvalidInput(
            f"line {error.lineno} is no Python: {error.msg}",
            expected="plain Python: magics and shell commands do not run where the script is served",
        ) from error
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if RUN in functions:
        return RUN
    if len(functions) == 1 and functions != [INIT]:
        return functions[0]
    found = f"it defines {', '.join(functions)}" if functions else "it defines no function"
    raise InvalidInput(f"the cell can't be a scoring script: {found}", expected=FORMS)


def own_globals(source: str) -> set[str]:
    """Return the names that the script's functions declare global, and so set themselves."""
    return {name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Global) for name in node.names}


def check_function(function: Any) -> None:
    """Raise InvalidInput unless `function` can be called with the data alone."""
    if inspect.iscoroutinefunction(function):
        raise InvalidInput(f"{function.__name__} is asynchronous", expected="a plain function of the data")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        name = f"{function.__name__}{inspect.signature(function)}"
        raise InvalidInput(f"{name} can't score: {error}", expected="a function of one argument, the data") from error


def make_script(source: str, file: str, *, function: str, given: Mapping[str, Any]) -> Any:
    """Run a script's text and return the object that scores with it.

    Wherever the object is loaded, the text runs anew, with the names it was given, and then its ``init``.

    Parameters
    ----------
    source : str
    file : str
        What the script is called in tracebacks.
    function : str
        Name of the function that scores.
    given : mapping of str to object
        Names that the text uses and does not define.
    """

    # A class made here, not at the top of a module, is stored whole.
    class Script:
        def __init__(self, source: str, file: str, *, function: str, given: dict[str, Any]) -> None:
            self.source, self.file, self.function, self.given = source, file, function, given
            self.begin()

        def begin(self) -> None:
            lines = self.source.splitlines(keepends=True)
            linecache.cache[self.file] = (len(self.source), None, lines, self.file)
            # The module itself: its dict, which Python would put there, also holds what IPython added to it.
            self.names = {"__name__": "__main__", "__builtins__": builtins, **self.given}
            exec(compile(self.source, self.file, "exec"), self.names)  # noqa: S102 - the user's own cell
            if self.function == "run" and callable(self.names.get("init")):
                self.names["init"]()
            scores = self.names[self.function]

            @functools.wraps(scores)  # its further arguments are the model's parameters
            def predict(data: Any, **params: Any) -> Any:
                answer = scores(data, **params)
                # One value a row is an array, here and from the endpoint alike.
                return answer.to_numpy() if getattr(answer, "ndim", 0) == 1 and hasattr(answer, "to_numpy") else answer

            self.predict = predict

        def __getstate__(self) -> dict[str, Any]:
            return {name: value for name, value in vars(self).items() if name not in ("names", "predict")}

        def __setstate__(self, state: dict[str, Any]) -> None:
            vars(self).update(state)
            self.begin()

    # As if a cell had defined it: nbmlops is not what the script needs.
    Script.__module__ = "__main__"
    for member in vars(Script).values():
        if isinstance(member, FunctionType):
            member.__module__ = "__main__"
    return Script(source, file, function=function, given=dict(given))
