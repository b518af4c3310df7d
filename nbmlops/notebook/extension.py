"""What ``%load_ext nbmlops`` adds to a shell, and how it is taken away again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from IPython.core.interactiveshell import InteractiveShell

from nbmlops.capture import unwatch, watch
from nbmlops.notebook.completion import matcher
from nbmlops.notebook.config import NbMLOps, SettingsTraits
from nbmlops.notebook.errors import forget_short_form
from nbmlops.notebook.magics import CellMagic, VerbMagic
from nbmlops.workflows.verbs import MAGICS


@dataclass(frozen=True)
class Extension:
    """What one shell was given."""

    config: SettingsTraits
    matcher: Callable[..., Any]


_loaded: WeakKeyDictionary[InteractiveShell, Extension] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Register the magics, ``%config NbMLOps``, completion and the recorder of executed cells."""
    if shell in _loaded:
        return
    extension = Extension(NbMLOps(parent=shell), matcher(shell))
    for name, verb in MAGICS.items():
        made = CellMagic(verb, shell) if verb.cell else VerbMagic(verb, shell)
        shell.register_magic_function(made, "cell" if verb.cell else "line", name)
    shell.configurables.append(extension.config)
    shell.Completer.custom_matchers.append(extension.matcher)
    shell.events.register("pre_run_cell", forget_short_form)
    watch(shell)
    _loaded[shell] = extension


def unload(shell: Any) -> None:
    """Take away what `load` gave."""
    extension = _loaded.pop(shell, None)
    if extension is None:
        return
    for magics in shell.magics_manager.magics.values():
        for name in MAGICS:
            if isinstance(magics.get(name), VerbMagic):
                del magics[name]
    shell.configurables.remove(extension.config)
    shell.Completer.custom_matchers.remove(extension.matcher)
    shell.events.unregister("pre_run_cell", forget_short_form)
    unwatch(shell)
    MAGICS["track"].function()(off=True)
