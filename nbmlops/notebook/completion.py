"""Completion of a magic's line: options, model versions, aliases, endpoints, variables and paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from nbmlops.core.errors import NbmlopsError
from nbmlops.workflows.verbs import MAGICS

LINE = re.compile(r"\s*(?:[\w.\[\]'\", ]+=\s*)?%%?(\w+)\s(.*)\Z", re.DOTALL)


def matcher(shell: InteractiveShell) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return the matcher of one shell, for ``Completer.custom_matchers``."""

    def match(context: CompletionContext) -> SimpleMatcherResult:
        line = LINE.match(context.line_with_cursor[: context.cursor_position])
        verb = MAGICS.get(line[1]) if line else None
        if line is None or verb is None:
            return {"completions": []}
        *before, fragment = re.split(r"\s+", line[2])
        try:
            found = sorted(set(offers(verb.function(), before, fragment, namespace=shell.user_ns)))
        except NbmlopsError:  # a damaged journal is told by the verbs, not by the Tab key
            return {"completions": []}
        found = [word for word in found if word.startswith(fragment)]
        completions = [SimpleCompletion(text=word, type="nbmlops") for word in found]
        return {"completions": completions, "matched_fragment": fragment, "suppress": bool(found)}

    matched: Callable[[CompletionContext], SimpleMatcherResult] = context_matcher(identifier="nbmlops")(match)
    return matched


def offers(
    function: Callable[..., Any], before: list[str], fragment: str, *, namespace: Mapping[str, Any]
) -> Iterable[str]:
    """Return what may stand where `fragment` begins, given the words `before` it."""
    from nbmlops.workflows.commands import fields

    known = [field for field in fields(function) if not field.kind.cell]
    options = {field.spelled: field for field in known if field.option}
    if fragment.startswith("-"):
        return [name for name, field in options.items() if name not in before or field.kind.many] + ["--help"]
    last = options.get(before[-1]) if before else None
    if last is not None and last.takes_value:
        return _values(last.kind.completes, fragment, namespace)
    arguments = [field for field in known if not field.option]
    place = _position(before, {name for name, field in options.items() if field.takes_value})
    if not arguments or (place >= len(arguments) and not arguments[-1].kind.many):
        return []
    return _values(arguments[min(place, len(arguments) - 1)].kind.completes, fragment, namespace)


def _position(words: list[str], with_value: set[str]) -> int:
    """Count the arguments among the words: what is neither an option nor an option's value."""
    count, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word in with_value:
            skip = True
        elif not word.startswith("--"):
            count += 1
    return count


def _values(kind: Any, fragment: str, namespace: Mapping[str, Any]) -> Iterable[str]:
    from nbmlops.workflows.candidates import candidates

    if kind in {"object", "data"}:
        from nbmlops.notebook.namespace import fitting  # late: it brings the kinds of parameters

        return [*fitting(kind, namespace), *_paths(fragment)]
    return _paths(fragment) if kind == "path" else candidates(kind)


def _paths(fragment: str) -> Iterable[str]:
    folder, _, start = fragment.rpartition("/")
    place = Path(folder or ("/" if fragment.startswith("/") else ".")).expanduser()
    shown = f"{folder}/" if "/" in fragment else ""
    if not fragment or not place.is_dir():
        return []
    return [f"{shown}{path.name}{'/' * path.is_dir()}" for path in place.iterdir() if path.name.startswith(start)]
