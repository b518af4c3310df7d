"""``%config NbMLOps``: the settings of `nbmlops.core.settings` as traits of one configurable."""

from __future__ import annotations

import inspect
import re
from typing import Any

from traitlets import Bool, Float, Int, TraitType, Unicode
from traitlets.config import Configurable

from nbmlops.core.settings import Settings, override, settings

SMALLEST = 1e-6  # the settings' numbers have to be positive


class SettingsTraits(Configurable):
    """Settings of nbmlops; a value set here holds for this kernel, above ``NBMLOPS_<NAME>`` in the environment."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)  # which applies the values of a configuration file
        for name, value in vars(settings()).items():
            if getattr(self, name) == Settings.defaults()[name]:
                setattr(self, name, value)
            else:
                override(**{name: getattr(self, name)})
        self.observe(lambda change: override(**{change["name"]: change["new"]}), list(Settings.defaults()))


def _descriptions() -> dict[str, str]:
    """Read the attributes' descriptions out of the docstring of `Settings`."""
    text = inspect.getdoc(Settings) or ""
    found = re.findall(r"^(\w+) : .*\n((?:^    .*\n?)+)", text, re.MULTILINE)
    return {name: " ".join(told.split()) for name, told in found}


def _trait(default: object, text: str) -> TraitType[Any, Any]:
    made: TraitType[Any, Any]
    if isinstance(default, bool):
        made = Bool(default, help=text)
    elif isinstance(default, int):
        made = Int(default, min=1, help=text)
    elif isinstance(default, float):
        made = Float(default, min=SMALLEST, help=text)
    else:
        made = Unicode(str(default), help=text)
    made.metadata["config"] = True
    return made


# The class's name is what users type: %config NbMLOps.strict = True
NbMLOps: type[SettingsTraits] = type(
    "NbMLOps",
    (SettingsTraits,),
    {name: _trait(default, _descriptions().get(name, "")) for name, default in Settings.defaults().items()}
    | {"__doc__": SettingsTraits.__doc__, "__module__": __name__},
)
